// SPDX-License-Identifier: GPL-2.0-only

//! Entries of the PPE in MediaTek's NETSYS, the network block of the MT76xx and MT79xx
//! router chips.
//!
//! All generations share the places of key, translation and layer-2 fields; they differ
//! in length and ways, and in the bits of the two information blocks IB1 (word 0) and
//! IB2. `Layout` holds what differs, so that a generation is a constant.
//!
//! | word, IPv4 | word, IPv6 | bits 31:16 | bits 15:0 |
//! |---|---|---|---|
//! | 0 | 0 | IB1 | |
//! | 1 | 1 to 4 | source address | |
//! | 2 | 5 to 8 | destination address | |
//! | 3 | 9 | source port | destination port |
//! | 4 | 14 | IB2 | |
//! | 5 | - | new source address | |
//! | 6 | - | new destination address | |
//! | 7 | - | new source port | new destination port |
//! | 11 | 15 | EtherType | outer VLAN ID |
//! | 12 | 16 | destination Ethernet address, bytes 0 to 3 | |
//! | 13 | 17 | destination Ethernet address, bytes 4 and 5 | inner VLAN ID |
//! | 14 | 18 | source Ethernet address, bytes 0 to 3 | |
//! | 15 | 19 | source Ethernet address, bytes 4 and 5 | PPPoE session ID |
//!
//! Words are numbers: the first byte of an address is in bits 31:24. The CPU of every
//! such chip is little-endian, and so are the words in memory.

use core::mem::size_of;

use super::super::{
    bits::{
        lower,
        upper,
        word,
        Field, //
    },
    flow::{
        Flow,
        PsePort,
        Tuple,
        L4, //
    },
    reject::Reject, //
};
use super::{
    Decoded,
    Entry,
    Format,
    Kind,
    Slots,
    State,
    MAX_WORDS, //
};

mod layout;

use layout::{
    Layout,
    IB1_STATE,
    IB2_V1,
    LAYOUT_V1,
    LAYOUT_V2,
    LAYOUT_V3,
    STATE_BIND, //
};

/// IB1, all generations: UDP and not TCP.
const IB1_UDP: Field = Field::bit(30);
/// IB1 of entries that are not bound, all generations: time of the last frame.
const IB1_UNBIND_TIMESTAMP: Field = Field::new(7, 0);

/// IPv4 with address and port translation (HNAPT). Flows without NAT have this type,
/// too: the engine finds entries of the type without ports by addresses alone.
const TYPE_IPV4_HNAPT: u32 = 0;
/// IPv6 by addresses, ports and protocol.
const TYPE_IPV6_5T: u32 = 5;

/// EtherType of IPv4.
const ETH_P_IP: u16 = 0x0800;
/// EtherType of IPv6.
const ETH_P_IPV6: u16 = 0x86dd;
/// EtherType of PPPoE session frames.
const ETH_P_PPP_SES: u16 = 0x8864;

/// Queue of port 0 of a switch.
const DSA_QUEUE: u32 = 3;
/// Number of ports that a special tag can name.
pub const DSA_PORTS: u8 = 6;
/// In a special tag: the tag has the VLAN ID of an 802.1Q tag, too.
const DSA_TAGGED: u16 = 1 << 8;

/// Words of the key in entries of all types: IB1 and an IPv6 tuple.
const KEY_WORDS: usize = 10;

/// Where the fields are that all types have.
struct Places {
    /// Ports.
    ports: usize,
    /// IB2.
    ib2: usize,
    /// First word of the layer-2 fields.
    l2: usize,
}

/// Word of the source address, all types.
const SRC: usize = 1;
/// Word of the destination address, IPv4.
const V4_DST: usize = 2;
/// Word of the destination address, IPv6.
const V6_DST: usize = 5;
/// Words of the source address, IPv6.
const V6_SRC: [usize; 4] = [SRC, 2, 3, 4];
/// Words of the destination address, IPv6.
const V6_DSTS: [usize; 4] = [V6_DST, 6, 7, 8];
/// Words of the addresses and ports after translation, IPv4.
const V4_NEW: [usize; 3] = [5, 6, 7];

/// Places in entries of the IPv4 types.
const V4: Places = Places {
    ports: 3,
    ib2: 4,
    l2: 11,
};

/// Places in entries of the IPv6 types and of tunnels.
const V6: Places = Places {
    ports: 9,
    ib2: 14,
    l2: 15,
};

impl Places {
    /// The places of the layer-2 fields, one after the other.
    const fn l2(&self) -> [usize; 5] {
        let at = self.l2;
        [
            at,
            at.wrapping_add(1),
            at.wrapping_add(2),
            at.wrapping_add(3),
            at.wrapping_add(4),
        ]
    }
}

/// A table format of NETSYS.
#[derive(Clone, Copy, Debug)]
pub struct Netsys {
    layout: Layout,
}

/// NETSYS v1 without counters: MT7623.
pub static NETSYS_V1: Netsys = Netsys { layout: LAYOUT_V1 };

/// The same in MT7621, whose engine cannot read entries that lie across a multiple of
/// 1024 bytes. The table begins at such a multiple.
pub static NETSYS_V1_BOUNDARY: Netsys = Netsys {
    layout: Layout {
        boundary: Some(1024),
        ..LAYOUT_V1
    },
};

/// NETSYS v1 with counters: MT7622.
pub static NETSYS_V1_COUNTED: Netsys = Netsys {
    layout: Layout {
        ib2: IB2_V1,
        ..LAYOUT_V1
    },
};

/// NETSYS v2: MT7981 and MT7986.
pub static NETSYS_V2: Netsys = Netsys { layout: LAYOUT_V2 };

/// NETSYS v3: MT7988.
pub static NETSYS_V3: Netsys = Netsys { layout: LAYOUT_V3 };

/// The word at `at`, 0 if there is none.
fn at(words: &[u32], at: usize) -> u32 {
    words.get(at).copied().unwrap_or(0)
}

/// Sets a word, at a place known when this is compiled: an access and no more.
#[inline(always)]
fn put(words: &mut [u32; MAX_WORDS], at: usize, value: u32) {
    if let Some(word) = words.get_mut(at) {
        *word = value;
    }
}

/// Sets the words that entries of all types have.
#[inline(always)]
fn put_rest(words: &mut [u32; MAX_WORDS], at: &Places, ib1: u32, ib2: u32, l2: [u32; 5]) {
    put(words, 0, ib1);
    put(words, at.ib2, ib2);
    // No loop: it would be seen too late that the places are known.
    let ([a, b, c, d, e], [v, w, x, y, z]) = (at.l2(), l2);
    put(words, a, v);
    put(words, b, w);
    put(words, c, x);
    put(words, d, y);
    put(words, e, z);
}

/// The four words of an IPv6 address.
const fn v6_words(address: [u8; 16]) -> [u32; 4] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address;
    [
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
        u32::from_be_bytes([i, j, k, l]),
        u32::from_be_bytes([m, n, o, p]),
    ]
}

/// The IPv6 address in the four words from `first` on.
fn v6_address(words: &[u32], first: usize) -> [u8; 16] {
    let mut address = [0; 16];
    let words = words.iter().skip(first);
    for (bytes, word) in address.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    address
}

/// Ethernet address bytes 0 to 3 as a word, and 4 and 5 as half of one.
const fn mac_parts(mac: [u8; 6]) -> (u32, u16) {
    let [a, b, c, d, e, f] = mac;
    (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]))
}

/// The Ethernet address of the two parts.
const fn mac(high: u32, low: u16) -> [u8; 6] {
    let [a, b, c, d] = high.to_be_bytes();
    let [e, f] = low.to_be_bytes();
    [a, b, c, d, e, f]
}

/// The first half of the special tag by which MediaTek's switches are told the port: in
/// the EtherType field, and in frames in the place of the outer tag's EtherType. `None`
/// if it cannot name the port.
const fn special_tag(port: u8, tagged: bool) -> Option<u16> {
    if port >= DSA_PORTS {
        return None;
    }
    let to = 1_u16.wrapping_shl(port as u32);
    Some(if tagged { to | DSA_TAGGED } else { to })
}

/// The words by which the engine finds an entry, in the entry's order from word 1 on,
/// and how many they are.
#[inline(always)]
fn key(tuple: &Tuple) -> ([u32; 9], usize) {
    match *tuple {
        Tuple::V4 {
            src,
            dst,
            sport,
            dport,
        } => {
            let (src, dst) = (u32::from_be_bytes(src), u32::from_be_bytes(dst));
            ([src, dst, word(sport, dport), 0, 0, 0, 0, 0, 0], 3)
        }
        Tuple::V6 {
            src,
            dst,
            sport,
            dport,
        } => {
            let ([a, b, c, d], [e, f, g, h]) = (v6_words(src), v6_words(dst));
            ([a, b, c, d, e, f, g, h, word(sport, dport)], 9)
        }
    }
}

/// The engine's hash of a key (hash mode 1, seed 0), before it is cut to the number of
/// buckets.
#[inline(always)]
fn hash(v6: bool, key: [u32; 9]) -> u32 {
    let [s0, s1, s2, s3, d0, d1, d2, d3, ports] = key;
    let (hv1, hv2, hv3) = if v6 {
        (s3 ^ d3 ^ ports, s2 ^ d2 ^ d0, s1 ^ d1 ^ s0)
    } else {
        // Source, destination and ports are in the first three.
        (s2, s1, s0)
    };
    let mut hash = (hv1 & hv2) | (!hv1 & hv3);
    hash = hash.rotate_left(8);
    hash ^= hv1 ^ hv2 ^ hv3;
    hash ^ hash.wrapping_shr(16)
}

impl Netsys {
    /// The type in word 0.
    fn kind(&self, ib1: u32) -> Kind {
        match self.layout.ib1.kind.get(ib1) {
            TYPE_IPV4_HNAPT => Kind::V4Napt,
            1 => Kind::V4Route,
            2 => Kind::Bridge,
            3 => Kind::DsLite,
            4 => Kind::V6Route3,
            TYPE_IPV6_5T => Kind::V6Route5,
            7 => Kind::SixRd,
            other => Kind::Unknown(u8::try_from(other).unwrap_or(u8::MAX)),
        }
    }

    /// The first slot of the bucket of this hash.
    #[inline(always)]
    fn bucket_of(&self, hash: u32, capacity: u32) -> u16 {
        // A power of two, so that this is its logarithm.
        let shift = self.layout.ways.trailing_zeros();
        lower(hash.wrapping_shl(shift) & capacity.wrapping_sub(1))
    }

    /// The usable slots of the bucket that begins at `first`.
    #[inline(always)]
    fn slots_of(&self, first: u16, capacity: u32) -> Slots {
        let end = u32::from(first).saturating_add(self.layout.ways.into());
        if end > capacity {
            return Slots { first, ways: 0 };
        }
        let all = 1_u16.wrapping_shl(self.layout.ways.into()).wrapping_sub(1);
        let all = Slots { first, ways: all };
        if self.layout.boundary.is_none() {
            return all;
        }
        self.usable_of(all)
    }

    /// Those of `slots` that are usable.
    #[inline(never)]
    fn usable_of(&self, slots: Slots) -> Slots {
        let mut usable = slots.none();
        for slot in slots {
            if self.usable(slot) {
                usable.add(slot);
            }
        }
        usable
    }
}

impl Format for Netsys {
    fn entry_words(&self) -> usize {
        self.layout.words
    }

    fn ways(&self) -> u16 {
        self.layout.ways
    }

    fn timestamp_bits(&self) -> u32 {
        self.layout.ib1.timestamp.width()
    }

    fn bucket(&self, flow: &Flow, capacity: u32) -> u16 {
        let (key, _) = key(&flow.tuple);
        self.bucket_of(hash(flow.tuple.is_v6(), key), capacity)
    }

    fn usable(&self, slot: u16) -> bool {
        let Some(boundary) = self.layout.boundary else {
            return true;
        };
        let len = self.layout.words.saturating_mul(size_of::<u32>());
        let first = usize::from(slot).saturating_mul(len);
        let last = first.saturating_add(len).saturating_sub(1);
        first.checked_div(boundary) == last.checked_div(boundary)
    }

    fn slots(&self, flow: &Flow, capacity: u32) -> Slots {
        self.slots_of(self.bucket(flow, capacity), capacity)
    }

    fn encode_in(
        &self,
        flow: &Flow,
        timestamp: u16,
        capacity: u32,
        entry: &mut Entry,
    ) -> Result<Slots, Reject> {
        let Layout { ib1, ib2, .. } = &self.layout;

        let [outer, inner] = flow.out_encap.vlan;
        let tags = flow.out_encap.tags();
        let mut etype = match flow.tuple {
            Tuple::V4 { .. } => ETH_P_IP,
            Tuple::V6 { .. } => ETH_P_IPV6,
        };
        if flow.out_encap.pppoe.is_some() {
            etype = ETH_P_PPP_SES;
        }
        let dsa = flow.egress.dsa.map(|dsa| dsa.number);
        if let Some(port) = dsa {
            etype = special_tag(port, tags > 0).ok_or(Reject::Dsa)?;
        }
        // The special tag is one with the outer tag, or takes its place.
        let layers = tags.max(dsa.is_some().into());
        let plain = tags > 0 && dsa.is_none();
        let (dmac_high, dmac_low) = mac_parts(flow.dmac);
        let (smac_high, smac_low) = mac_parts(flow.smac);
        let l2 = [
            word(etype, outer.unwrap_or(0)),
            dmac_high,
            word(dmac_low, inner.unwrap_or(0)),
            smac_high,
            word(smac_low, flow.out_encap.pppoe.unwrap_or(0)),
        ];

        // Port 0 is the CPU's. Each of the others has the queue before its number, and each
        // port of a switch has one from the fourth on.
        let port = u32::from(flow.egress.port.0);
        let own = port.checked_sub(1).ok_or(Reject::ForeignEgress)?;
        let queue = dsa.map_or(own, |port| u32::from(port).saturating_add(DSA_QUEUE));
        if port > ib2.dest_port.max() || queue > ib2.qid.max() {
            return Err(Reject::ForeignEgress);
        }
        let info2 = ib2.preset | ib2.dest_port.put(port) | ib2.qid.put(queue);
        let info1 = ib1.preset
            | IB1_UDP.put((flow.l4 == L4::Udp).into())
            | ib1.ttl.put(flow.routed.into())
            | ib1.vlan_layer.put(layers.into())
            | ib1.vlan_tag.put(plain.into())
            | ib1.pppoe.put(flow.out_encap.pppoe.is_some().into())
            | ib1.timestamp.put(timestamp.into());

        let words = entry.cut(self.layout.words);
        let hash = match (&flow.tuple, &flow.new) {
            (Tuple::V4 { .. }, Tuple::V4 { .. }) => {
                let (orig, _) = key(&flow.tuple);
                let [src, dst, ports, ..] = orig;
                put(words, SRC, src);
                put(words, V4_DST, dst);
                put(words, V4.ports, ports);
                let ([src, dst, ports, ..], _) = key(&flow.new);
                let [new_src, new_dst, new_ports] = V4_NEW;
                put(words, new_src, src);
                put(words, new_dst, dst);
                put(words, new_ports, ports);
                put_rest(words, &V4, info1 | ib1.kind.put(TYPE_IPV4_HNAPT), info2, l2);
                hash(false, orig)
            }
            (Tuple::V6 { .. }, Tuple::V6 { .. }) => {
                if flow.is_nat() {
                    return Err(Reject::Nat66);
                }
                let (orig, _) = key(&flow.tuple);
                let [s0, s1, s2, s3, d0, d1, d2, d3, ports] = orig;
                let [src0, src1, src2, src3] = V6_SRC;
                put(words, src0, s0);
                put(words, src1, s1);
                put(words, src2, s2);
                put(words, src3, s3);
                let [dst0, dst1, dst2, dst3] = V6_DSTS;
                put(words, dst0, d0);
                put(words, dst1, d1);
                put(words, dst2, d2);
                put(words, dst3, d3);
                put(words, V6.ports, ports);
                put_rest(words, &V6, info1 | ib1.kind.put(TYPE_IPV6_5T), info2, l2);
                hash(true, orig)
            }
            _ => return Err(Reject::MixedFamily),
        };
        Ok(self.slots_of(self.bucket_of(hash, capacity), capacity))
    }

    fn decode(&self, words: &[u32]) -> Decoded {
        let Layout { ib1, ib2, .. } = &self.layout;
        let word0 = at(words, 0);
        let kind = self.kind(word0);
        let places = match kind {
            Kind::V4Napt | Kind::V4Route | Kind::Bridge => &V4,
            _ => &V6,
        };

        let v4 = |src, dst, ports: u32| Tuple::V4 {
            src: at(words, src).to_be_bytes(),
            dst: at(words, dst).to_be_bytes(),
            sport: upper(ports),
            dport: lower(ports),
        };
        let v6 = |ports: u32| Tuple::V6 {
            src: v6_address(words, SRC),
            dst: v6_address(words, V6_DST),
            sport: upper(ports),
            dport: lower(ports),
        };
        let [new_src, new_dst, new_ports] = V4_NEW;
        let (orig, new) = match kind {
            Kind::V4Napt => (
                Some(v4(SRC, V4_DST, at(words, V4.ports))),
                Some(v4(new_src, new_dst, at(words, new_ports))),
            ),
            Kind::V4Route => (Some(v4(SRC, V4_DST, 0)), None),
            Kind::DsLite => (Some(v4(SRC, V4_DST, at(words, V4.ports))), None),
            Kind::V6Route3 => (Some(v6(0)), None),
            Kind::V6Route5 | Kind::SixRd => (Some(v6(at(words, V6.ports))), None),
            Kind::Bridge | Kind::Unknown(_) => (None, None),
        };

        let [etype_vlan, dmac_high, dmac_vlan, smac_high, smac_pppoe] =
            places.l2().map(|place| at(words, place));
        let info2 = at(words, places.ib2);
        let special = ib1.vlan_layer.get(word0) > 0 && ib1.vlan_tag.get(word0) == 0;
        let to = upper(etype_vlan) & !DSA_TAGGED;
        let to = u8::try_from(to.trailing_zeros()).ok();
        Decoded {
            state: self.state(word0),
            kind,
            l4: if IB1_UDP.get(word0) == 1 {
                L4::Udp
            } else {
                L4::Tcp
            },
            orig,
            new,
            smac: mac(smac_high, upper(smac_pppoe)),
            dmac: mac(dmac_high, upper(dmac_vlan)),
            etype: upper(etype_vlan),
            vlan: [lower(etype_vlan), lower(dmac_vlan)],
            vlan_layers: u8::try_from(ib1.vlan_layer.get(word0)).unwrap_or(u8::MAX),
            dsa: to.filter(|port| special && *port < DSA_PORTS),
            pppoe: (ib1.pppoe.get(word0) == 1).then_some(lower(smac_pppoe)),
            egress: PsePort(u8::try_from(ib2.dest_port.get(info2)).unwrap_or(u8::MAX)),
            timestamp: self.timestamp(word0),
            ib1: word0,
            ib2: info2,
        }
    }

    fn bound_bits(&self) -> (u32, u32) {
        (IB1_STATE.put(IB1_STATE.max()), IB1_STATE.put(STATE_BIND))
    }

    fn state(&self, word0: u32) -> State {
        match IB1_STATE.get(word0) {
            0 => State::Invalid,
            1 => State::Unbound,
            STATE_BIND => State::Bound,
            _ => State::Fin,
        }
    }

    fn is_as_written(&self, words: &[u32], entry: &Entry) -> bool {
        let ib1 = &self.layout.ib1;
        // The time of the last frame, and that it may be in the cache.
        let own = ib1.timestamp.put(ib1.timestamp.max()) | (ib1.preset & !IB1_STATE.put(3));
        (at(words, 0) ^ entry.word0()) & !own == 0 && words.get(1..) == Some(entry.body())
    }

    fn timestamp(&self, word0: u32) -> u16 {
        lower(match self.state(word0) {
            State::Bound => self.layout.ib1.timestamp.get(word0),
            _ => IB1_UNBIND_TIMESTAMP.get(word0),
        })
    }

    fn key_words(&self) -> usize {
        KEY_WORDS
    }

    fn same_key(&self, words: &[u32], flow: &Flow) -> bool {
        // The type is left out: in the word of an unbound entry its bits are shared with
        // the engine's count of frames.
        let (key, len) = key(&flow.tuple);
        (IB1_UDP.get(at(words, 0)) == 1) == (flow.l4 == L4::Udp)
            && words
                .get(SRC..SRC.saturating_add(len))
                .is_some_and(|words| Some(words) == key.get(..len))
    }
}
