// SPDX-License-Identifier: GPL-2.0-only
//! Keys and actions as no kernel would put them together.

use std::sync::OnceLock;

use nft_offload_ppe::{
    caps::{Caps, DsaCaps, MibUnit},
    flow::{DsaPort, DsaTag, Endpoint, PsePort, Tuple, L4},
    flow_rule::{Action, AddrType, MangleHeader, Match, VlanKey, ETH_P_8021Q},
    format::{
        netsys::{NETSYS_V1, NETSYS_V1_BOUNDARY, NETSYS_V1_COUNTED, NETSYS_V2, NETSYS_V3},
        Format,
    },
    netdev::NetId,
    spec::Spec,
};

use crate::{bytes::Bytes, table::PART};

const TAG: DsaTag = DsaTag(9);

/// All that a chip may be able to do, with two PPEs.
pub(crate) const CAPS: Caps = Caps {
    ipv4: true,
    ipv6: true,
    nat44: true,
    nat66: false,
    bridge: true,
    hairpin: true,
    vlan_tags: 2,
    pppoe: true,
    headers: 3,
    dsa: Some(DsaCaps { tag: TAG, ports: 6 }),
    mib: Some(MibUnit::Layer2 { fcs: false }),
    extra_ppe_ports: &[PsePort(2)],
};
/// The same without counters, and with as many headers as chips have.
const UNCOUNTED: Caps = Caps {
    headers: 2,
    hairpin: false,
    mib: None,
    ..CAPS
};
/// With another kind of counters.
const WITH_FCS: Caps = Caps {
    mib: Some(MibUnit::Layer2 { fcs: true }),
    ..CAPS
};

/// Any chip, of few slots.
pub(crate) fn chip(bytes: &mut Bytes<'_>) -> &'static Spec {
    static CHIPS: OnceLock<Vec<Spec>> = OnceLock::new();
    let formats: [&dyn Format; 5] = [
        &NETSYS_V2,
        &NETSYS_V1,
        &NETSYS_V1_BOUNDARY,
        &NETSYS_V1_COUNTED,
        &NETSYS_V3,
    ];
    let all = CHIPS.get_or_init(|| {
        let of = |format| {
            [CAPS, UNCOUNTED, WITH_FCS].map(|caps| Spec {
                name: "any",
                caps,
                format,
                entries: PART,
                mib_words: 4,
            })
        };
        formats.into_iter().flat_map(of).collect()
    });
    let format = usize::from(bytes.below(5));
    &all[3 * format + usize::from(bytes.below(3))]
}

pub(crate) fn endpoint(bytes: &mut Bytes<'_>) -> Endpoint {
    let port = PsePort(bytes.mostly(1, Bytes::u8) ^ bytes.below(4));
    let dsa = bytes.mostly(None, |bytes| {
        Some(DsaPort {
            tag: bytes.mostly(TAG, |bytes| DsaTag(bytes.u8())),
            number: bytes.u8(),
        })
    });
    Endpoint { port, dsa }
}

/// The device of any endpoint, or of none.
pub(crate) fn device(bytes: &mut Bytes<'_>) -> (i32, NetId) {
    let at = bytes.mostly(true, Bytes::bool).then(|| endpoint(bytes));
    let index = at.map_or(0, |at| {
        let dsa = at.dsa.map_or([0; 2], |dsa| [dsa.tag.0, dsa.number]);
        i32::from_le_bytes([at.port.0, dsa[0], dsa[1], 1 + u8::from(at.dsa.is_some())])
    });
    (index, NetId(0))
}

/// The endpoint of a device of [`device`].
pub(crate) fn find(ifindex: i32, _: NetId) -> Option<Endpoint> {
    let [port, tag, number, kind] = ifindex.to_le_bytes();
    (kind > 0).then(|| Endpoint {
        port: PsePort(port),
        dsa: (kind > 1).then_some(DsaPort {
            tag: DsaTag(tag),
            number,
        }),
    })
}

pub(crate) fn l4(bytes: &mut Bytes<'_>) -> L4 {
    if bytes.bool() {
        L4::Udp
    } else {
        L4::Tcp
    }
}

/// One of few tuples, or any.
pub(crate) fn tuple(bytes: &mut Bytes<'_>) -> Tuple {
    let few = bytes.u8();
    let v6 = few & 1 != 0;
    let (sport, dport) = match few {
        0..0xc0 => (u16::from(few), 80),
        _ => (bytes.u16(), bytes.u16()),
    };
    if v6 {
        let (src, dst) = match few {
            0..0xc0 => ([0x20; 16], [0x21; 16]),
            _ => (bytes.array(), bytes.array()),
        };
        Tuple::V6 {
            src,
            dst,
            sport,
            dport,
        }
    } else {
        let (src, dst) = match few {
            0..0xc0 => ([192, 0, 2, 1], [192, 0, 2, 2]),
            _ => (bytes.array(), bytes.array()),
        };
        Tuple::V4 {
            src,
            dst,
            sport,
            dport,
        }
    }
}

pub(crate) fn mac(bytes: &mut Bytes<'_>) -> [u8; 6] {
    let last = bytes.below(4);
    bytes.mostly([2, 0, 0, 0, 0, last], Bytes::array)
}

fn vlan_key(bytes: &mut Bytes<'_>) -> VlanKey {
    VlanKey {
        id: bytes.mostly(7, Bytes::u16),
        id_mask: bytes.mostly(0xfff, Bytes::u16),
        tpid: bytes.mostly(ETH_P_8021Q, Bytes::u16),
        tpid_mask: bytes.mostly(0xffff, Bytes::u16),
        prio_mask: bytes.mostly(0, Bytes::u8),
        dei_mask: bytes.mostly(false, Bytes::bool),
        inner: bytes.mostly(0x0800, Bytes::u16),
        inner_mask: bytes.mostly(0, Bytes::u16),
    }
}

pub(crate) fn key(bytes: &mut Bytes<'_>) -> Match {
    match bytes.below(13) {
        0 => Match::Meta {
            ingress: device(bytes),
            mask: bytes.mostly(u32::MAX, Bytes::u32),
            other_masks: bytes.mostly(0, Bytes::u32),
        },
        1 => Match::Control {
            addr_type: [AddrType::V4, AddrType::V6, AddrType::None, AddrType::Other]
                [usize::from(bytes.below(4))],
            flags_mask: bytes.mostly(0, Bytes::u32),
            thoff_mask: bytes.mostly(0, Bytes::u16),
        },
        2 => Match::Basic {
            n_proto: [0x0800, 0x86dd, 0x8100, 0][usize::from(bytes.below(4))],
            n_proto_mask: bytes.mostly(u16::MAX, Bytes::u16),
            ip_proto: [6, 17, 47, 0][usize::from(bytes.below(4))],
            ip_proto_mask: bytes.mostly(u8::MAX, Bytes::u8),
        },
        3 => Match::Ipv4Addrs {
            src: bytes.array(),
            dst: bytes.array(),
            src_mask: bytes.mostly([0xff; 4], Bytes::array),
            dst_mask: bytes.mostly([0xff; 4], Bytes::array),
        },
        4 => Match::Ipv6Addrs {
            src: bytes.array(),
            dst: bytes.array(),
            src_mask: bytes.mostly([0xff; 16], Bytes::array),
            dst_mask: bytes.mostly([0xff; 16], Bytes::array),
        },
        5 => Match::Ports {
            sport: bytes.u16(),
            dport: bytes.u16(),
            sport_mask: bytes.mostly(u16::MAX, Bytes::u16),
            dport_mask: bytes.mostly(u16::MAX, Bytes::u16),
        },
        6 => Match::Tcp {
            flags: bytes.mostly(0, Bytes::u16),
            mask: bytes.mostly(5, Bytes::u16),
        },
        7 => Match::Vlan(vlan_key(bytes)),
        8 => Match::Cvlan(vlan_key(bytes)),
        9 => Match::Ip {
            tos: bytes.u8(),
            tos_mask: bytes.u8(),
            ttl: bytes.u8(),
            ttl_mask: bytes.mostly(0, Bytes::u8),
        },
        10 => Match::EthAddrs {
            src: mac(bytes),
            dst: mac(bytes),
            src_mask: bytes.mostly([0xff; 6], Bytes::array),
            dst_mask: bytes.mostly([0xff; 6], Bytes::array),
        },
        11 => Match::Tunnel,
        _ => Match::Other { key: bytes.u32() },
    }
}

pub(crate) fn action(bytes: &mut Bytes<'_>) -> Action {
    match bytes.below(10) {
        0..=2 => Action::Mangle {
            header: [
                MangleHeader::Eth,
                MangleHeader::Ip4,
                MangleHeader::Ip6,
                MangleHeader::Tcp,
                MangleHeader::Udp,
                MangleHeader::Unspec,
            ][usize::from(bytes.below(6))],
            offset: bytes.mostly(0, Bytes::u32) ^ u32::from(bytes.below(44)),
            mask: match bytes.below(4) {
                0 => 0,
                1 => 0xffff,
                2 => 0xffff_0000,
                _ => bytes.u32(),
            },
            val: bytes.u32(),
        },
        3 => Action::VlanPush {
            vid: bytes.u16(),
            proto: bytes.mostly(ETH_P_8021Q, Bytes::u16),
            prio: bytes.mostly(0, Bytes::u8),
        },
        4 => Action::VlanPop,
        5 => Action::PppoePush { sid: bytes.u16() },
        6 => Action::Csum { flags: bytes.u32() },
        7 => Action::Redirect {
            egress: device(bytes),
        },
        8 => Action::Accept,
        _ if bytes.bool() => Action::Tunnel,
        _ => Action::Other { id: bytes.u32() },
    }
}
