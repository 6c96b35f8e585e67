// SPDX-License-Identifier: GPL-2.0-only
//! An entry of the table: its words, and the flow and header that they describe.

use etherparse::EtherType;

use crate::bits::Field;
use crate::chip::Layout;
use crate::csum::diff32;
use crate::pppoe;

/// Bytes of the largest entry of any generation.
pub const MAX_SIZE: usize = 128;

/// IB1: state.
pub const IB1_STATE: Field = Field::new(29, 28);
/// IB1: the flow is UDP, not TCP.
pub const IB1_UDP: Field = Field::bit(30);
/// IB1: the entry does not age, and the PPE builds no other entry in its place.
pub const IB1_STATIC: Field = Field::bit(31);
/// IB1 of an entry that is not bound: timestamp.
pub const IB1_UNBIND_TIMESTAMP: Field = Field::new(7, 0);

/// State: free.
pub const STATE_INVALID: u32 = 0;
/// State: built by the PPE, not bound.
pub const STATE_UNBIND: u32 = 1;
/// State: bound.
pub const STATE_BIND: u32 = 2;
/// State: the connection is closing.
pub const STATE_FIN: u32 = 3;

/// Type: IPv4 with new addresses and ports.
pub const TYPE_IPV4_HNAPT: u32 = 0;
/// Type: IPv4, routed.
pub const TYPE_IPV4_ROUTE: u32 = 1;
/// Type: IPv6, routed, by 5-tuple.
pub const TYPE_IPV6_5T: u32 = 5;

/// A 5-tuple, in the words of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Key {
    /// IPv6, not IPv4.
    pub v6: bool,
    /// UDP, not TCP.
    pub udp: bool,
    /// Source port in the upper half, destination port in the lower.
    pub ports: u32,
    /// Source address; IPv4 in the first word.
    pub src: [u32; 4],
    /// Destination address; IPv4 in the first word.
    pub dst: [u32; 4],
}

impl Key {
    /// Reads the key of an entry of this family.
    fn decode(raw: &Raw, v6: bool) -> Self {
        let mut key = Key {
            v6,
            udp: IB1_UDP.get(raw.u32(0)) != 0,
            ..Key::default()
        };
        if v6 {
            key.src = raw.four(0x04);
            key.dst = raw.four(0x14);
            key.ports = raw.u32(0x24);
        } else {
            key.src[0] = raw.u32(0x04);
            key.dst[0] = raw.u32(0x08);
            key.ports = raw.u32(0x0c);
        }
        key
    }

    /// Bytes of an entry up to the end of this key.
    pub(crate) fn end(&self) -> usize {
        if self.v6 {
            0x28
        } else {
            0x10
        }
    }
}

/// Returns the bytes of an entry for `key` up to the end of the key, and their number.
///
/// The first word, IB1, is 0.
pub fn key_words(key: &Key) -> ([u8; 0x28], usize) {
    let mut bytes = [0; 0x28];
    let mut put = |offset: usize, word: u32| {
        bytes[offset..offset + 4].copy_from_slice(&word.to_le_bytes());
    };
    if key.v6 {
        for i in 0..4 {
            put(0x04 + 4 * i, key.src[i]);
            put(0x14 + 4 * i, key.dst[i]);
        }
        put(0x24, key.ports);
    } else {
        put(0x04, key.src[0]);
        put(0x08, key.dst[0]);
        put(0x0c, key.ports);
    }
    (bytes, key.end())
}

/// The words of an entry.
#[derive(Clone, Copy)]
pub struct Raw {
    /// The bytes as in memory; those behind the end of the chip's entries are 0.
    pub bytes: [u8; MAX_SIZE],
}

impl Raw {
    /// The words of a free entry.
    pub const FREE: Raw = Raw {
        bytes: [0; MAX_SIZE],
    };

    /// The little-endian word at `offset`.
    pub fn u32(&self, offset: usize) -> u32 {
        let b = &self.bytes[offset..offset + 4];
        u32::from_le_bytes([b[0], b[1], b[2], b[3]])
    }

    /// The little-endian half word at `offset`.
    pub fn u16(&self, offset: usize) -> u16 {
        u16::from_le_bytes([self.bytes[offset], self.bytes[offset + 1]])
    }

    fn four(&self, offset: usize) -> [u32; 4] {
        [0, 4, 8, 12].map(|at| self.u32(offset + at))
    }
}

/// The layer-2 words of an entry.
#[derive(Debug, Clone, Copy, Default)]
pub struct L2 {
    /// Tag control of the outer tag.
    pub vlan1: u16,
    /// Tag control of the inner tag.
    pub vlan2: u16,
    /// Ethertype, or the first half of a special tag.
    pub etype: u16,
    /// Destination address.
    pub dmac: [u8; 6],
    /// Source address.
    pub smac: [u8; 6],
    /// PPPoE session.
    pub pppoe_id: u16,
}

impl L2 {
    const ZERO: L2 = L2 {
        vlan1: 0,
        vlan2: 0,
        etype: 0,
        dmac: [0; 6],
        smac: [0; 6],
        pppoe_id: 0,
    };

    /// Reads the layer-2 words that begin at `offset`.
    fn decode(raw: &Raw, offset: usize) -> Self {
        let mac = |hi: usize, lo: usize| {
            let mut mac = [0; 6];
            mac[..4].copy_from_slice(&raw.u32(offset + hi).to_be_bytes());
            mac[4..].copy_from_slice(&raw.u16(offset + lo).to_be_bytes());
            mac
        };
        L2 {
            vlan1: raw.u16(offset),
            etype: raw.u16(offset + 2),
            vlan2: raw.u16(offset + 8),
            pppoe_id: raw.u16(offset + 16),
            dmac: mac(4, 10),
            smac: mac(12, 18),
        }
    }
}

/// Bytes of the longest layer-2 header that an entry can describe.
const MAX_HEAD: usize = 12 + 2 * 4 + 2 + pppoe::LEN;

/// An entry, decoded when it comes into the cache.
#[derive(Debug, Clone)]
pub struct Entry {
    /// First information block, as in memory when last read or written.
    pub ib1: u32,
    /// Second information block.
    pub ib2: u32,
    /// The key; `None` for a type that the model does not look up.
    pub key: Option<Key>,
    /// The tuple that replaces the key: source, destination, ports.
    pub new: Option<(u32, u32, u32)>,
    /// Sum that the new addresses add to a checksum.
    pub address_diff: u32,
    /// Sum that the new ports add to a checksum.
    pub port_diff: u32,
    /// PSE port the frame leaves through.
    pub dest_port: u8,
    /// The MIB counts packets and bytes.
    pub counted: bool,
    /// The PPE decrements TTL or hop limit.
    pub decrement: bool,
    /// Number of tags for the MTU; a PPPoE header and a special tag count as one each.
    pub tags: u8,
    /// The frame leaves with a PPPoE header.
    pub pppoe: bool,
    /// The layer-2 words.
    pub l2: L2,
    head: [u8; MAX_HEAD],
    head_len: u8,
}

impl Entry {
    /// A free entry.
    pub const FREE: Entry = Entry {
        ib1: 0,
        ib2: 0,
        key: None,
        new: None,
        address_diff: 0,
        port_diff: 0,
        dest_port: 0,
        counted: false,
        decrement: false,
        tags: 0,
        pppoe: false,
        l2: L2::ZERO,
        head: [0; MAX_HEAD],
        head_len: 0,
    };

    /// Reads the words of an entry.
    pub fn decode(raw: &Raw, layout: &Layout) -> Self {
        let ib1 = raw.u32(0);
        let kind = layout.ib1_type.get(ib1);
        let v6 = match kind {
            TYPE_IPV4_HNAPT | TYPE_IPV4_ROUTE => false,
            TYPE_IPV6_5T => true,
            _ => return Entry { ib1, ..Self::FREE },
        };
        let (ib2_at, l2_at) = if v6 { (0x38, 0x3c) } else { (0x10, 0x2c) };
        let key = Key::decode(raw, v6);
        let ib2 = raw.u32(ib2_at);
        let pppoe = layout.ib1_pppoe.get(ib1) != 0;
        let layers = layout.ib1_vlan_layer.get(ib1).min(2) as u8;
        let mut entry = Entry {
            ib1,
            ib2,
            key: Some(key),
            dest_port: layout.ib2_dest_port.get(ib2) as u8,
            counted: layout.ib2_mib_cnt.get(ib2) != 0,
            decrement: layout.ib1_ttl.get(ib1) != 0,
            tags: layers + u8::from(pppoe),
            pppoe,
            l2: L2::decode(raw, l2_at),
            ..Self::FREE
        };
        if kind == TYPE_IPV4_HNAPT {
            let (src, dst, ports) = (raw.u32(0x14), raw.u32(0x18), raw.u32(0x1c));
            entry.new = Some((src, dst, ports));
            entry.address_diff = diff32(key.src[0], src) + diff32(key.dst[0], dst);
            entry.port_diff = diff32(key.ports, ports);
        }
        entry.build_head(v6, layers, layout.ib1_vlan_tag.get(ib1) != 0);
        entry
    }

    /// Builds the layer-2 header the frame leaves with.
    ///
    /// **Assumption**: `vlan1` is the outer tag; tags have TPID 0x8100; of more than two
    /// layers the PPE writes two; the ethertype is the entry's word. A special tag takes the
    /// place of that word; the ethertype behind it follows from PPPoE and family.
    fn build_head(&mut self, v6: bool, layers: u8, vlan_tag: bool) {
        let mut head = [0; MAX_HEAD];
        let mut len = 0;
        let mut put = |bytes: &[u8]| {
            head[len..len + bytes.len()].copy_from_slice(bytes);
            len += bytes.len();
        };
        put(&self.l2.dmac);
        put(&self.l2.smac);
        let tci = [self.l2.vlan1, self.l2.vlan2];
        let special = layers > 0 && !vlan_tag;
        for (i, tci) in tci.iter().enumerate().take(usize::from(layers)) {
            let tpid = if special && i == 0 {
                self.l2.etype
            } else {
                EtherType::VLAN_TAGGED_FRAME.0
            };
            put(&tpid.to_be_bytes());
            put(&tci.to_be_bytes());
        }
        let etype = match (special, self.pppoe, v6) {
            (false, _, _) => self.l2.etype,
            (true, true, _) => pppoe::ETHERTYPE.0,
            (true, false, false) => EtherType::IPV4.0,
            (true, false, true) => EtherType::IPV6.0,
        };
        put(&etype.to_be_bytes());
        if self.pppoe {
            put(&pppoe::header(self.l2.pppoe_id, v6));
        }
        self.head = head;
        self.head_len = len as u8;
    }

    /// Length of the layer-2 header the frame leaves with.
    pub fn head_len(&self) -> usize {
        usize::from(self.head_len)
    }

    /// Returns the layer-2 header for an IP packet of `ip_len` bytes, and the header's length.
    pub fn head(&self, ip_len: usize) -> ([u8; MAX_HEAD], usize) {
        let mut head = self.head;
        let len = self.head_len();
        if self.pppoe {
            pppoe::set_ip_len(&mut head[..len], ip_len);
        }
        (head, len)
    }

    /// The state.
    pub fn state(&self) -> u32 {
        IB1_STATE.get(self.ib1)
    }
}
