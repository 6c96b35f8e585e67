// SPDX-License-Identifier: GPL-2.0-only

//! Any connection, for rules as the kernel's flowtable makes them.

use super::*;

/// Any unicast Ethernet address but zero.
fn mac() -> impl Strategy<Value = [u8; 6]> {
    any::<[u8; 6]>().prop_map(|mut mac| {
        mac[0] &= 0xfe;
        mac[5] |= 1;
        mac
    })
}

/// Any headers.
fn encap() -> impl Strategy<Value = Encap> {
    let vid = || 0..0x1000_u16;
    let parts = (0..=2, vid(), vid(), proptest::option::of(any::<u16>()));
    parts.prop_map(|(tags, outer, inner, pppoe)| Encap {
        vlan: [(tags > 0).then_some(outer), (tags > 1).then_some(inner)],
        pppoe,
    })
}

/// A tuple of these addresses, of which the first byte is that of a unicast one.
fn unicast(v6: bool, [mut src, mut dst]: [[u8; 16]; 2], (sport, dport): (u16, u16)) -> Tuple {
    src[0] &= 0x7f;
    dst[0] &= 0x7f;
    if v6 {
        return Tuple::V6 {
            src,
            dst,
            sport,
            dport,
        };
    }
    let first = |address: [u8; 16]| address[..4].try_into().unwrap();
    Tuple::V4 {
        src: first(src),
        dst: first(dst),
        sport,
        dport,
    }
}

/// Any unicast tuple.
pub fn tuple() -> impl Strategy<Value = Tuple> {
    any::<(bool, [[u8; 16]; 2], (u16, u16))>()
        .prop_map(|(v6, addresses, ports)| unicast(v6, addresses, ports))
}

/// Any connection, with every kind of translation.
pub fn connection() -> impl Strategy<Value = Connection> {
    let side = |port| {
        let switch = proptest::option::of(0..6_u8);
        (mac(), mac(), encap(), switch).prop_map(move |(own, peer, encap, number)| Side {
            at: Endpoint {
                port: PsePort(port),
                dsa: number.and_then(dsa),
            },
            own,
            peer,
            encap,
        })
    };
    type End = ([u8; 16], u16);
    let ends = any::<(bool, [End; 2], [Option<End>; 2])>();
    let l4 = prop_oneof![Just(L4::Tcp), Just(L4::Udp)];
    (l4, ends, side(2), side(1)).prop_map(|(l4, (v6, ends, nat), lan, wan)| {
        let of = |[src, dst]: [End; 2]| unicast(v6, [src.0, dst.0], (src.1, dst.1));
        let new = [0, 1].map(|at| nat[at].unwrap_or(ends[at]));
        Connection {
            l4,
            orig: of(ends),
            reply: of(new).reversed(),
            snat: nat[0].is_some(),
            dnat: nat[1].is_some(),
            sides: [lan, wan],
        }
    })
}
