// SPDX-License-Identifier: GPL-2.0-only

//! Which flows pass a shaper.

use super::*;

const WAN: PsePort = PsePort(1);
const LAN: PsePort = PsePort(2);

fn encap(tags: &[u16], pppoe: Option<u16>) -> Encap {
    let mut encap = Encap::NONE;
    assert!(tags.iter().all(|vid| encap.push_vlan(*vid)));
    encap.pppoe = pppoe;
    encap
}

fn shaper(at: impl Into<Endpoint>, encap: Encap, direction: Direction) -> Shaper {
    Shaper {
        at: at.into(),
        encap,
        direction,
    }
}

/// A flow from the lan that leaves by the wan with `out_encap`.
fn up(out_encap: Encap) -> Flow {
    Flow {
        out_encap,
        ..flow(L4::Udp, v4(1, 1, 2, 2))
    }
}

/// A flow from the wan, where it arrives with `in_encap`.
fn down(in_encap: Encap) -> Flow {
    Flow {
        in_encap,
        ..back(&up(Encap::NONE))
    }
}

#[test]
fn kinds_that_shape() {
    for kind in [
        "cake", "cake_mq", "htb", "hfsc", "tbf", "cbs", "etf", "taprio", "netem",
    ] {
        assert!(shapes(kind.as_bytes()), "{kind}");
    }
    for kind in [
        "fq_codel",
        "fq",
        "pfifo",
        "pfifo_fast",
        "mq",
        "noqueue",
        "noop",
        "prio",
        "ets",
        "clsact",
        "htbx",
        "",
    ] {
        assert!(!shapes(kind.as_bytes()), "{kind}");
    }
}

#[test]
fn a_port_is_all_that_leaves_by_it() {
    let wan = shaper(WAN, Encap::NONE, Direction::Out);
    for encap in [Encap::NONE, encap(&[10], None), encap(&[10, 11], Some(7))] {
        assert!(wan.passes(&up(encap)));
        assert!(!wan.passes(&down(encap)));
        assert!(!shaper(LAN, Encap::NONE, Direction::Out).passes(&up(encap)));
    }
    let mut switched = up(Encap::NONE);
    switched.egress.dsa = dsa(3);
    assert!(wan.passes(&switched));
}

#[test]
fn a_switch_port_is_no_other() {
    let at = |number| Endpoint {
        port: WAN,
        dsa: dsa(number),
    };
    let mut switched = up(Encap::NONE);
    switched.egress = at(3);
    assert!(shaper(at(3), Encap::NONE, Direction::Out).passes(&switched));
    assert!(!shaper(at(4), Encap::NONE, Direction::Out).passes(&switched));
    assert!(!shaper(at(3), Encap::NONE, Direction::Out).passes(&up(Encap::NONE)));
}

#[test]
fn a_vlan_is_what_has_its_tag() {
    let ten = shaper(WAN, encap(&[10], None), Direction::Out);
    assert!(ten.passes(&up(encap(&[10], None))));
    assert!(ten.passes(&up(encap(&[10, 11], None))));
    assert!(ten.passes(&up(encap(&[10], Some(7)))));
    assert!(!ten.passes(&up(Encap::NONE)));
    assert!(!ten.passes(&up(encap(&[11], None))));
    assert!(!ten.passes(&up(encap(&[11, 10], None))));
    let inner = shaper(WAN, encap(&[10, 11], None), Direction::Out);
    assert!(inner.passes(&up(encap(&[10, 11], None))));
    assert!(!inner.passes(&up(encap(&[10], None))));
    assert!(!inner.passes(&up(encap(&[10, 12], None))));
}

#[test]
fn a_session_is_no_other() {
    let session = shaper(WAN, encap(&[10], Some(7)), Direction::Out);
    assert!(session.passes(&up(encap(&[10], Some(7)))));
    assert!(!session.passes(&up(encap(&[10], Some(8)))));
    assert!(!session.passes(&up(encap(&[10], None))));
    assert!(!session.passes(&up(encap(&[], Some(7)))));
    assert!(!session.passes(&up(encap(&[10, 11], Some(7)))));
}

#[test]
fn what_arrives_is_shaped_too() {
    let wan = shaper(WAN, Encap::NONE, Direction::In);
    assert!(wan.passes(&down(Encap::NONE)));
    assert!(wan.passes(&down(encap(&[10], None))));
    assert!(!wan.passes(&up(Encap::NONE)));
    // In which session is not known.
    let session = shaper(WAN, encap(&[10], Some(7)), Direction::In);
    assert!(session.passes(&down(encap(&[10], None))));
    assert!(session.passes(&down(encap(&[10], Some(7)))));
    assert!(!session.passes(&down(encap(&[10], Some(8)))));
    assert!(!session.passes(&down(Encap::NONE)));
}

#[test]
fn tags_go_around() {
    let one = tagged(&encap(&[], Some(7)), 11);
    assert_eq!(one, Some(encap(&[11], Some(7))));
    let two = one.and_then(|one| tagged(&one, 10));
    assert_eq!(two, Some(encap(&[10, 11], Some(7))));
    assert_eq!(two.and_then(|two| tagged(&two, 9)), None);
}

#[test]
fn all_of_them() {
    let mut all = Shapers::NONE;
    assert!(all.is_empty() && !all.pass(&up(Encap::NONE)));
    all.add(shaper(WAN, encap(&[10], None), Direction::Out));
    all.add(shaper(LAN, Encap::NONE, Direction::In));
    assert!(!all.is_empty());
    assert!(all.pass(&up(encap(&[11], None))), "it arrives at the lan");
    assert!(!all.pass(&down(Encap::NONE)));

    let mut fewer = Shapers::NONE;
    assert!(fewer.are_among(&all) && !all.are_among(&fewer));
    fewer.add(shaper(LAN, Encap::NONE, Direction::In));
    assert!(fewer.are_among(&all) && !all.are_among(&fewer));
    fewer.add(shaper(LAN, Encap::NONE, Direction::Out));
    assert!(!fewer.are_among(&all));
    let mut arriving = Shapers::NONE;
    arriving.add(shaper(WAN, Encap::NONE, Direction::In));
    assert!(!arriving.are_among(&all));
    fewer = all;
    fewer.add(shaper(WAN, encap(&[10], None), Direction::Out));
    assert!(fewer.are_among(&all) && all.are_among(&fewer));
    fewer = Shapers::NONE;
    fewer.add(shaper(LAN, Encap::NONE, Direction::Out));
    fewer.add_all(&all);
    assert!(all.are_among(&fewer) && fewer.pass(&down(Encap::NONE)));
}

#[test]
fn without_room_the_port_is_shaped() {
    let mut all = Shapers::NONE;
    for vid in (1..).take(SHAPERS) {
        all.add(shaper(WAN, encap(&[vid], None), Direction::Out));
        all.add(shaper(WAN, encap(&[vid], None), Direction::Out));
    }
    assert!(!all.pass(&up(Encap::NONE)));
    // What has a place already needs no other.
    all.add(shaper(WAN, encap(&[1], None), Direction::Out));
    assert!(!all.pass(&up(Encap::NONE)));
    all.add(shaper(WAN, encap(&[100], None), Direction::Out));
    assert!(all.pass(&up(Encap::NONE)));
    assert!(!all.pass(&down(Encap::NONE)));
    all.add(shaper(LAN, encap(&[100], None), Direction::Out));
    assert!(all.pass(&down(Encap::NONE)));
}

#[test]
fn the_log_is_told_once_and_not_for_ever() {
    let mut shaping = Shaping::NONE;
    let place = |ifindex| (ifindex, NetId(1), Direction::Out);
    assert!(shaping.warn_once(place(1)));
    assert!(!shaping.warn_once(place(1)));
    assert!(shaping.warn_once((1, NetId(2), Direction::Out)));
    assert!(shaping.warn_once((1, NetId(1), Direction::In)));
    // More devices than are remembered must not push each other out at each look.
    let said = |shaping: &mut Shaping| (1..100).filter(|n| shaping.warn_once(place(*n))).count();
    // Two of the first four are not found again, and make room once the next scan has ended.
    for new in [13, 0, 2, 0] {
        assert_eq!(said(&mut shaping), new);
        shaping.begin_scan();
    }
    // A device that is made anew with each connection has another index each time.
    for ifindex in 1000..1100 {
        shaping.begin_scan();
        shaping.begin_scan();
        assert!(shaping.warn_once(place(ifindex)));
        assert!(!shaping.warn_once(place(ifindex)));
    }
}

#[test]
fn what_is_shaped_is_refused_until_it_is_taken() {
    let mut shaping = Shaping::NONE;
    let f = flow(L4::Udp, v4(1, 1, 2, 2));
    assert_eq!(shaping.admit(&f), Ok(()));
    let mut found = Shapers::NONE;
    found.add(shaper(f.egress, Encap::NONE, Direction::Out));
    shaping.add(&found);
    assert_eq!(shaping.admit(&f), Err(Reject::ShapedEgress));
    assert_eq!(shaping.admit(&down(Encap::NONE)), Ok(()));
    assert!(found.are_among(&shaping.begin_scan()));
    assert_eq!(shaping.admit(&f), Ok(()));
}
