// SPDX-License-Identifier: GPL-2.0-only

//! What tests, benchmarks and examples share: rules as the kernel's flowtable makes them, and a
//! table in memory. No part of the module.
//!
//! The rules are written from the description of `nf_flow_rule_match`, `nf_flow_rule_route_ipv4`
//! and `nf_flow_rule_route_ipv6`. Their values are in the machine's own byte order, as in the
//! kernel.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use std::vec::Vec;

use super::{
    count::Count,
    flow::{
        DsaPort,
        DsaTag,
        Encap,
        Endpoint,
        Flow,
        PsePort,
        Tuple,
        L4, //
    },
    flow_rule::{
        Action,
        AddrType,
        MangleHeader,
        Match,
        VlanKey, //
    },
    format::Entry,
    hw::Hw,
    netdev::NetId,
    platform::{
        Clock,
        HwError,
        Storage, //
    },
    spec::Spec,
    table::{
        index_len,
        spares,
        Host,
        Record,
        Table, //
    }, //
};

/// The namespace of all devices.
pub const NET: NetId = NetId(7);

/// The protocol of all switches' tags.
pub const DSA_TAG: DsaTag = DsaTag(9);

/// The device of an endpoint: an index that [`endpoint_at`] knows.
pub const fn device_at(at: Option<Endpoint>) -> (i32, NetId) {
    let index = match at {
        // CAST: Widening; `i32::from` is not const.
        Some(Endpoint {
            port,
            dsa: Some(dsa),
        }) => port.0 as i32 | ((dsa.number as i32 + 1) << 8),
        Some(Endpoint { port, dsa: None }) => port.0 as i32,
        None => 0,
    };
    (index, NET)
}

/// The endpoint of a device of [`device_at`].
pub fn endpoint_at(ifindex: i32, net: NetId) -> Option<Endpoint> {
    assert_eq!(net, NET);
    let [port, number, ..] = ifindex.to_le_bytes();
    let dsa = |number| DsaPort {
        tag: DSA_TAG,
        number,
    };
    (ifindex != 0).then(|| Endpoint {
        port: PsePort(port),
        dsa: number.checked_sub(1).map(dsa),
    })
}

/// The key of the device by which packets arrive.
pub const fn meta(at: Option<Endpoint>) -> Match {
    Match::Meta {
        ingress: device_at(at),
        mask: u32::MAX,
        other_masks: 0,
    }
}

/// The action that sends packets out by a device.
pub const fn redirect(at: Option<Endpoint>) -> Action {
    Action::Redirect {
        egress: device_at(at),
    }
}

/// The key of a family, and of flags that must not be set.
pub const fn control(addr_type: AddrType, flags_mask: u32) -> Match {
    Match::Control {
        addr_type,
        flags_mask,
        thoff_mask: 0,
    }
}

/// The key of Ethernet type and IP protocol.
pub const fn basic(n_proto: u16, n_proto_mask: u16, ip_proto: u8, ip_proto_mask: u8) -> Match {
    Match::Basic {
        n_proto,
        n_proto_mask,
        ip_proto,
        ip_proto_mask,
    }
}

/// The key of two IPv4 addresses, with their masks.
pub const fn ipv4_addrs([src, dst]: [[u8; 4]; 2], [src_mask, dst_mask]: [[u8; 4]; 2]) -> Match {
    Match::Ipv4Addrs {
        src,
        dst,
        src_mask,
        dst_mask,
    }
}

/// The key of two IPv6 addresses, with their masks.
pub const fn ipv6_addrs([src, dst]: [[u8; 16]; 2], [src_mask, dst_mask]: [[u8; 16]; 2]) -> Match {
    Match::Ipv6Addrs {
        src,
        dst,
        src_mask,
        dst_mask,
    }
}

/// The key of two Ethernet addresses, with their masks.
pub const fn eth_addrs([src, dst]: [[u8; 6]; 2], [src_mask, dst_mask]: [[u8; 6]; 2]) -> Match {
    Match::EthAddrs {
        src,
        dst,
        src_mask,
        dst_mask,
    }
}

/// The key of two ports, with their masks.
pub const fn port_pair((sport, dport): (u16, u16), [sport_mask, dport_mask]: [u16; 2]) -> Match {
    Match::Ports {
        sport,
        dport,
        sport_mask,
        dport_mask,
    }
}

/// A tag as the kernel matches it.
pub const fn vlan_key(id: u16) -> VlanKey {
    VlanKey {
        id,
        id_mask: 0xfff,
        tpid: 0x8100,
        tpid_mask: 0xffff,
        prio_mask: 0,
        dei_mask: false,
        inner: 0,
        inner_mask: 0,
    }
}

/// An action that puts on a tag of 802.1Q.
pub const fn push_vlan(vid: u16) -> Action {
    let (proto, prio) = (0x8100, 0);
    Action::VlanPush { vid, proto, prio }
}

/// A mangle of four bytes of a header, of which those are kept that `keep` has.
pub const fn mangle(header: MangleHeader, offset: u32, val: [u8; 4], keep: [u8; 4]) -> Action {
    Action::Mangle {
        header,
        offset,
        mask: u32::from_ne_bytes(keep),
        val: u32::from_ne_bytes(val),
    }
}

/// An Ethernet address and headers on one side of the router.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// The port.
    pub at: Endpoint,
    /// The router's own address.
    pub own: [u8; 6],
    /// The neighbour's address.
    pub peer: [u8; 6],
    /// Headers of frames there.
    pub encap: Encap,
}

/// A tracked connection.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// The protocol.
    pub l4: L4,
    /// As the first packet arrives.
    pub orig: Tuple,
    /// As answers arrive.
    pub reply: Tuple,
    /// The source of the first packet is translated.
    pub snat: bool,
    /// Its destination is translated.
    pub dnat: bool,
    /// Where the first packet comes from, and where answers come from.
    pub sides: [Side; 2],
}

/// The rule of a flow.
pub fn rule_of(flow: &Flow) -> (Vec<Match>, Vec<Action>) {
    let side = |at, own, peer, encap| Side {
        at,
        own,
        peer,
        encap,
    };
    let connection = Connection {
        l4: flow.l4,
        orig: flow.tuple,
        reply: flow.new.reversed(),
        snat: flow.is_nat(),
        dnat: false,
        sides: [
            side(flow.ingress, [2; 6], [4; 6], flow.in_encap),
            side(flow.egress, flow.smac, flow.dmac, flow.out_encap),
        ],
    };
    (connection.matches(0), connection.actions(0))
}

impl Connection {
    /// The flow of one direction (1: answers).
    pub fn flow(&self, dir: usize) -> Flow {
        let (from, to) = (self.sides[dir], self.sides[1 - dir]);
        let tuples = [self.orig, self.reply];
        Flow {
            ingress: from.at,
            egress: to.at,
            l4: self.l4,
            tuple: tuples[dir],
            new: tuples[1 - dir].reversed(),
            smac: to.own,
            dmac: to.peer,
            in_encap: Encap {
                pppoe: None,
                ..from.encap
            },
            out_encap: to.encap,
            routed: true,
        }
    }

    /// The keys that the rule of one direction matches.
    pub fn matches(&self, dir: usize) -> Vec<Match> {
        let from = self.sides[dir];
        let tuple = [self.orig, self.reply][dir];
        let (addr_type, n_proto, addrs) = match tuple {
            Tuple::V4 { src, dst, .. } => {
                (AddrType::V4, 0x0800, ipv4_addrs([src, dst], [[0xff; 4]; 2]))
            }
            Tuple::V6 { src, dst, .. } => (
                AddrType::V6,
                0x86dd,
                ipv6_addrs([src, dst], [[0xff; 16]; 2]),
            ),
        };
        let mut out = vec![
            meta(Some(from.at)),
            control(addr_type, 0),
            basic(n_proto, 0xffff, self.l4.ip_proto(), 0xff),
            addrs,
            port_pair(tuple.ports(), [0xffff; 2]),
        ];
        if self.l4 == L4::Tcp {
            // FIN and RST.
            out.push(Match::Tcp { flags: 0, mask: 5 });
        }
        let keys = from.encap.vlan.into_iter().flatten().map(vlan_key);
        let kinds: [fn(VlanKey) -> Match; 2] = [Match::Vlan, Match::Cvlan];
        out.extend(kinds.into_iter().zip(keys).map(|(kind, key)| kind(key)));
        out
    }

    /// The actions of the rule of one direction.
    pub fn actions(&self, dir: usize) -> Vec<Action> {
        let (from, to) = (self.sides[dir], self.sides[1 - dir]);
        let ([s0, s1, s2, s3, s4, s5], [d0, d1, d2, d3, d4, d5]) = (to.own, to.peer);
        let header = MangleHeader::Eth;
        // The word of both addresses has the pairs as numbers, in its upper and its lower half.
        let pair = |shift: u32, bytes| Action::Mangle {
            header,
            offset: 4,
            mask: !(0xffff << shift),
            val: u32::from(u16::from_ne_bytes(bytes)) << shift,
        };
        let mut out = vec![
            pair(16, [s0, s1]),
            mangle(header, 8, [s2, s3, s4, s5], [0; 4]),
            mangle(header, 0, [d0, d1, d2, d3], [0; 4]),
            pair(0, [d4, d5]),
        ];
        out.extend((0..from.encap.tags()).map(|_| Action::VlanPop));
        out.extend(to.encap.vlan.into_iter().flatten().map(push_vlan));
        out.extend(to.encap.pppoe.map(|sid| Action::PppoePush { sid }));

        // Source translation changes the source of the first packet and the destination
        // of answers; destination translation the other two.
        let other = [self.reply, self.orig][dir];
        for (source, wanted) in [(dir == 0, self.snat), (dir == 1, self.dnat)] {
            if wanted {
                self.nat(&mut out, other, source);
            }
        }
        if !self.orig.is_v6() && (self.snat || self.dnat) {
            out.push(Action::Csum { flags: 1 });
        }
        out.push(redirect(Some(to.at)));
        out
    }

    /// The mangles that set source or destination from the tuple of the reverse
    /// direction.
    fn nat(&self, out: &mut Vec<Action>, other: Tuple, source: bool) {
        match other {
            Tuple::V4 { src, dst, .. } => {
                let (offset, val) = if source { (12, dst) } else { (16, src) };
                out.push(mangle(MangleHeader::Ip4, offset, val, [0; 4]));
            }
            Tuple::V6 { src, dst, .. } => {
                let (first, val) = if source { (8, dst) } else { (24, src) };
                for (offset, word) in (first..).step_by(4).zip(val.chunks_exact(4)) {
                    let word = [word[0], word[1], word[2], word[3]];
                    out.push(mangle(MangleHeader::Ip6, offset, word, [0; 4]));
                }
            }
        }
        let header = match self.l4 {
            L4::Tcp => MangleHeader::Tcp,
            L4::Udp => MangleHeader::Udp,
        };
        let (sport, dport) = other.ports();
        out.push(if source {
            let [a, b] = dport.to_be_bytes();
            mangle(header, 0, [a, b, 0, 0], [0, 0, 0xff, 0xff])
        } else {
            let [a, b] = sport.to_be_bytes();
            mangle(header, 0, [0, 0, a, b], [0xff, 0xff, 0, 0])
        });
    }
}

/// An engine that only keeps its table. Nothing is counted, and its clock stands still.
pub struct Memory {
    words: Vec<u32>,
    entry_words: usize,
}

impl Memory {
    fn entry(&mut self, slot: u16) -> Result<&mut [u32], HwError> {
        let first = usize::from(slot) * self.entry_words;
        let words = self.words.get_mut(first..first + self.entry_words);
        words.ok_or(HwError)
    }
}

impl Hw for Memory {
    fn read_entry(&mut self, slot: u16, out: &mut [u32]) -> Result<(), HwError> {
        for (to, from) in out.iter_mut().zip(self.entry(slot)?) {
            *to = *from;
        }
        Ok(())
    }

    fn read_word0(&mut self, slot: u16) -> Result<u32, HwError> {
        Ok(self.entry(slot)?[0])
    }

    fn commit(&mut self, slot: u16, entry: &Entry) -> Result<(), HwError> {
        self.entry(slot)?.copy_from_slice(entry.words());
        Ok(())
    }

    fn invalidate(&mut self, slot: u16) -> Result<(), HwError> {
        self.entry(slot)?[0] = 0;
        Ok(())
    }

    fn clear_cache(&mut self, _: u16) -> Result<(), HwError> {
        Ok(())
    }

    fn clear_caches(&mut self) -> Result<(), HwError> {
        Ok(())
    }

    fn read_mib(&mut self, _: u16) -> Result<Count, HwError> {
        Ok(Count::ZERO)
    }

    fn timestamp(&mut self) -> u16 {
        0
    }
}

/// The host of such an engine: time stands still, and nobody watches.
pub struct Alone;

impl Clock for Alone {
    fn now_ms(&self) -> u64 {
        0
    }
}

impl Storage for Alone {
    type Vec<T> = Vec<T>;

    fn filled<T: Clone>(item: T, len: usize) -> Option<Vec<T>> {
        Some(vec![item; len])
    }
}

impl Host for Alone {
    type Hw = Memory;
}

/// An empty table of a chip. `None` if there is no such table.
pub fn table_in_memory(spec: &'static Spec) -> Option<Table<Alone>> {
    let (slots, entry_words) = (spec.slots(), spec.format.entry_words());
    let hw = Memory {
        words: vec![0; slots * entry_words],
        entry_words,
    };
    let records = vec![Record::EMPTY; slots + spares(slots)];
    Table::new(Alone, hw, spec, records, vec![0; index_len(slots)])
}
