// SPDX-License-Identifier: GPL-2.0-only

//! Rules as the kernel's flowtable emits them, made from a connection.
//!
//! Written from the description of `nf_flow_rule_match` and `nf_flow_rule_route_ipv4`
//! and `_ipv6`, values in the machine's own byte order as in the kernel.

use std::{
    vec,
    vec::Vec, //
};

use proptest::prelude::*;

use super::{
    super::{
        flow::{
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
        }, //
    },
    dsa, //
};

/// An Ethernet address and headers on one side of the router.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    pub at: Endpoint,
    /// The router's own address.
    pub own: [u8; 6],
    /// The neighbour's address.
    pub peer: [u8; 6],
    pub encap: Encap,
}

/// A tracked connection.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    pub l4: L4,
    /// As the first packet arrives.
    pub orig: Tuple,
    /// As answers arrive.
    pub reply: Tuple,
    pub snat: bool,
    pub dnat: bool,
    /// Where the first packet comes from, and where answers come from.
    pub sides: [Side; 2],
}

/// The tuple of the opposite direction.
pub fn reverse(tuple: Tuple) -> Tuple {
    match tuple {
        Tuple::V4 {
            src,
            dst,
            sport,
            dport,
        } => Tuple::V4 {
            src: dst,
            dst: src,
            sport: dport,
            dport: sport,
        },
        Tuple::V6 {
            src,
            dst,
            sport,
            dport,
        } => Tuple::V6 {
            src: dst,
            dst: src,
            sport: dport,
            dport: sport,
        },
    }
}

/// The rule of a flow that arrives without tags.
pub fn rule_of(flow: &Flow) -> (Vec<Match>, Vec<Action>) {
    let side = |at, own, peer| Side {
        at,
        own,
        peer,
        encap: Encap::NONE,
    };
    let connection = Connection {
        l4: flow.l4,
        orig: flow.tuple,
        reply: reverse(flow.new),
        snat: flow.is_nat(),
        dnat: false,
        sides: [
            side(flow.ingress, [2; 6], [4; 6]),
            side(flow.egress, flow.smac, flow.dmac),
        ],
    };
    (connection.matches(0), connection.actions(0))
}

/// A mangle of four bytes of a header, of which those are kept that `keep` has.
fn mangle(header: MangleHeader, offset: u32, val: [u8; 4], keep: [u8; 4]) -> Action {
    Action::Mangle {
        header,
        offset,
        mask: u32::from_ne_bytes(keep),
        val: u32::from_ne_bytes(val),
    }
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
            new: reverse(tuples[1 - dir]),
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
            Tuple::V4 { src, dst, .. } => (
                AddrType::V4,
                0x0800,
                Match::Ipv4Addrs {
                    src,
                    dst,
                    src_mask: [0xff; 4],
                    dst_mask: [0xff; 4],
                },
            ),
            Tuple::V6 { src, dst, .. } => (
                AddrType::V6,
                0x86dd,
                Match::Ipv6Addrs {
                    src,
                    dst,
                    src_mask: [0xff; 16],
                    dst_mask: [0xff; 16],
                },
            ),
        };
        let (sport, dport) = tuple.ports();
        let mut out = vec![
            Match::Meta {
                ingress: Some(from.at),
                mask: u32::MAX,
            },
            Match::Control {
                addr_type,
                flags_mask: 0,
            },
            Match::Basic {
                n_proto,
                n_proto_mask: 0xffff,
                ip_proto: self.l4.ip_proto(),
                ip_proto_mask: 0xff,
            },
            addrs,
            Match::Ports {
                sport,
                dport,
                sport_mask: 0xffff,
                dport_mask: 0xffff,
            },
        ];
        if self.l4 == L4::Tcp {
            // FIN and RST.
            out.push(Match::Tcp { flags: 0, mask: 5 });
        }
        let tags: Vec<_> = from.encap.vlan.iter().flatten().collect();
        for (at, id) in tags.into_iter().enumerate() {
            let key = VlanKey {
                id: *id,
                id_mask: 0xfff,
                tpid: 0x8100,
                tpid_mask: 0xffff,
                prio_mask: 0,
            };
            out.push([Match::Vlan(key), Match::Cvlan(key)][at]);
        }
        out
    }

    /// The actions of the rule of one direction.
    pub fn actions(&self, dir: usize) -> Vec<Action> {
        let (from, to) = (self.sides[dir], self.sides[1 - dir]);
        let (s, d) = (to.own, to.peer);
        let mut out = Vec::new();

        let half = |a, b| u32::from(u16::from_ne_bytes([a, b]));
        let eth = |offset, mask, val| Action::Mangle {
            header: MangleHeader::Eth,
            offset,
            mask,
            val,
        };
        out.push(eth(4, !0xffff_0000, half(s[0], s[1]) << 16));
        out.push(eth(8, 0, u32::from_ne_bytes([s[2], s[3], s[4], s[5]])));
        out.push(eth(0, 0, u32::from_ne_bytes([d[0], d[1], d[2], d[3]])));
        out.push(eth(4, !0x0000_ffff, half(d[4], d[5])));

        for _ in 0..from.encap.tags() {
            out.push(Action::VlanPop);
        }
        for vid in to.encap.vlan.into_iter().flatten() {
            out.push(Action::VlanPush {
                vid,
                proto: 0x8100,
                prio: 0,
            });
        }
        if let Some(sid) = to.encap.pppoe {
            out.push(Action::PppoePush { sid });
        }

        // Source translation changes the source of the first packet and the destination
        // of answers; destination translation the other two.
        let source = [self.snat, self.dnat];
        let other = [self.reply, self.orig][dir];
        for (source, wanted) in [(dir == 0, source[0]), (dir == 1, source[1])] {
            if wanted {
                self.nat(&mut out, other, source);
            }
        }
        if !self.orig.is_v6() && (self.snat || self.dnat) {
            out.push(Action::Csum { flags: 1 });
        }
        out.push(Action::Redirect {
            egress: Some(to.at),
        });
        out
    }

    /// The mangles that set source or destination from the tuple of the opposite
    /// direction.
    fn nat(&self, out: &mut Vec<Action>, other: Tuple, source: bool) {
        match other {
            Tuple::V4 { src, dst, .. } => {
                let (offset, val) = if source { (12, dst) } else { (16, src) };
                out.push(mangle(MangleHeader::Ip4, offset, val, [0; 4]));
            }
            Tuple::V6 { src, dst, .. } => {
                let (offset, val) = if source { (8, dst) } else { (24, src) };
                for (at, word) in val.chunks(4).enumerate() {
                    let word = word.try_into().unwrap();
                    let offset = offset + 4 * at as u32;
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

/// Any unicast Ethernet address but zero.
pub fn mac() -> impl Strategy<Value = [u8; 6]> {
    any::<[u8; 6]>().prop_map(|mut mac| {
        mac[0] &= 0xfe;
        mac[5] |= 1;
        mac
    })
}

/// Any headers, `tags` at most.
pub fn encap(tags: usize, pppoe: bool) -> impl Strategy<Value = Encap> {
    let vid = 0..0x1000_u16;
    (
        0..=tags,
        vid.clone(),
        vid,
        proptest::option::of(any::<u16>()).prop_map(move |sid| sid.filter(|_| pppoe)),
    )
        .prop_map(|(tags, outer, inner, pppoe)| Encap {
            vlan: [(tags > 0).then_some(outer), (tags > 1).then_some(inner)],
            pppoe,
        })
}

/// Any unicast tuple.
pub fn tuple() -> impl Strategy<Value = Tuple> {
    let ports = any::<(u16, u16)>();
    prop_oneof![
        (any::<([u8; 4], [u8; 4])>(), ports).prop_map(|((src, dst), (sport, dport))| {
            Tuple::V4 {
                src: host4(src),
                dst: host4(dst),
                sport,
                dport,
            }
        }),
        (any::<([u8; 16], [u8; 16])>(), ports).prop_map(|((src, dst), (sport, dport))| {
            Tuple::V6 {
                src: host6(src),
                dst: host6(dst),
                sport,
                dport,
            }
        }),
    ]
}

fn host4([a, b, c, d]: [u8; 4]) -> [u8; 4] {
    [a & 0x7f, b, c, d]
}

fn host6(mut address: [u8; 16]) -> [u8; 16] {
    address[0] &= 0x7f;
    address
}

/// Any connection, with every kind of translation.
pub fn connection() -> impl Strategy<Value = Connection> {
    let side = |port| {
        let switch = proptest::option::of(0..6_u8);
        (mac(), mac(), encap(2, true), switch).prop_map(move |(own, peer, encap, number)| Side {
            at: Endpoint {
                port: PsePort(port),
                dsa: number.and_then(dsa),
            },
            own,
            peer,
            encap,
        })
    };
    let l4 = prop_oneof![Just(L4::Tcp), Just(L4::Udp)];
    (
        l4,
        tuple(),
        tuple(),
        any::<(bool, bool)>(),
        side(2),
        side(1),
    )
        .prop_map(|(l4, orig, other, (snat, dnat), lan, wan)| {
            let reply = translate(orig, other, snat, dnat);
            Connection {
                l4,
                orig,
                reply,
                snat,
                dnat,
                sides: [lan, wan],
            }
        })
}

/// The tuple of answers to `orig`, of which source or destination or both are translated
/// to what `other` has.
fn translate(orig: Tuple, other: Tuple, snat: bool, dnat: bool) -> Tuple {
    let (osport, odport) = other.ports();
    let pick = |nat, new, old| if nat { new } else { old };
    reverse(match (orig, other) {
        (
            Tuple::V4 {
                src,
                dst,
                sport,
                dport,
            },
            _,
        ) => {
            let (osrc, odst) = match other {
                Tuple::V4 { src, dst, .. } => (src, dst),
                Tuple::V6 { .. } => ([10, 1, 2, 3], [10, 4, 5, 6]),
            };
            Tuple::V4 {
                src: if snat { osrc } else { src },
                dst: if dnat { odst } else { dst },
                sport: pick(snat, osport, sport),
                dport: pick(dnat, odport, dport),
            }
        }
        (
            Tuple::V6 {
                src,
                dst,
                sport,
                dport,
            },
            _,
        ) => {
            let (osrc, odst) = match other {
                Tuple::V6 { src, dst, .. } => (src, dst),
                Tuple::V4 { .. } => ([0x20; 16], [0x21; 16]),
            };
            Tuple::V6 {
                src: if snat { osrc } else { src },
                dst: if dnat { odst } else { dst },
                sport: pick(snat, osport, sport),
                dport: pick(dnat, odport, dport),
            }
        }
    })
}
