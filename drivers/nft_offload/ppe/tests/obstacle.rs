// SPDX-License-Identifier: GPL-2.0-only

//! Which flows have what in their way.

use super::*;

const WAN: PsePort = PsePort(1);
const LAN: PsePort = PsePort(2);

fn encap(tags: &[u16], pppoe: Option<u16>) -> Encap {
    let mut encap = Encap::NONE;
    assert!(tags.iter().all(|vid| encap.push_vlan(*vid)));
    encap.pppoe = pppoe;
    encap
}

fn path(at: impl Into<Endpoint>, encap: Encap, direction: Direction) -> Path {
    Path {
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
    let wan = path(WAN, Encap::NONE, Direction::Out);
    for encap in [Encap::NONE, encap(&[10], None), encap(&[10, 11], Some(7))] {
        assert!(wan.is_of(&up(encap)));
        assert!(!wan.is_of(&down(encap)));
        assert!(!path(LAN, Encap::NONE, Direction::Out).is_of(&up(encap)));
    }
    let mut switched = up(Encap::NONE);
    switched.egress.dsa = dsa(3);
    assert!(wan.is_of(&switched));
}

#[test]
fn a_switch_port_is_no_other() {
    let at = |number| Endpoint {
        port: WAN,
        dsa: dsa(number),
    };
    let mut switched = up(Encap::NONE);
    switched.egress = at(3);
    assert!(path(at(3), Encap::NONE, Direction::Out).is_of(&switched));
    assert!(!path(at(4), Encap::NONE, Direction::Out).is_of(&switched));
    assert!(!path(at(3), Encap::NONE, Direction::Out).is_of(&up(Encap::NONE)));
}

#[test]
fn a_vlan_is_what_has_its_tag() {
    let ten = path(WAN, encap(&[10], None), Direction::Out);
    assert!(ten.is_of(&up(encap(&[10], None))));
    assert!(ten.is_of(&up(encap(&[10, 11], None))));
    assert!(ten.is_of(&up(encap(&[10], Some(7)))));
    assert!(!ten.is_of(&up(Encap::NONE)));
    assert!(!ten.is_of(&up(encap(&[11], None))));
    assert!(!ten.is_of(&up(encap(&[11, 10], None))));
    let inner = path(WAN, encap(&[10, 11], None), Direction::Out);
    assert!(inner.is_of(&up(encap(&[10, 11], None))));
    assert!(!inner.is_of(&up(encap(&[10], None))));
    assert!(!inner.is_of(&up(encap(&[10, 12], None))));
}

#[test]
fn a_session_is_no_other() {
    let session = path(WAN, encap(&[10], Some(7)), Direction::Out);
    assert!(session.is_of(&up(encap(&[10], Some(7)))));
    assert!(!session.is_of(&up(encap(&[10], Some(8)))));
    assert!(!session.is_of(&up(encap(&[10], None))));
    assert!(!session.is_of(&up(encap(&[], Some(7)))));
    assert!(!session.is_of(&up(encap(&[10, 11], Some(7)))));
}

#[test]
fn what_arrives_is_shaped_too() {
    let wan = path(WAN, Encap::NONE, Direction::In);
    assert!(wan.is_of(&down(Encap::NONE)));
    assert!(wan.is_of(&down(encap(&[10], None))));
    assert!(!wan.is_of(&up(Encap::NONE)));
    // In which session is not known.
    let session = path(WAN, encap(&[10], Some(7)), Direction::In);
    assert!(session.is_of(&down(encap(&[10], None))));
    assert!(session.is_of(&down(encap(&[10], Some(7)))));
    assert!(!session.is_of(&down(encap(&[10], Some(8)))));
    assert!(!session.is_of(&down(Encap::NONE)));
}

#[test]
fn tags_go_around() {
    let one = tagged(&encap(&[], Some(7)), 11);
    assert_eq!(one, Some(encap(&[11], Some(7))));
    let two = one.and_then(|one| tagged(&one, 10));
    assert_eq!(two, Some(encap(&[10, 11], Some(7))));
    assert_eq!(two.and_then(|two| tagged(&two, 9)), None);
}

/// What of all kinds stands in the way.
fn kinds(kinds: &[Kind]) -> Kinds {
    kinds.iter().fold(Kinds::NONE, |all, kind| all.with(*kind))
}

#[test]
fn a_set_of_kinds() {
    for kind in Kind::ALL {
        assert!(!Kinds::NONE.has(*kind) && kinds(&[*kind]).has(*kind));
        assert_eq!(kinds(&[*kind]).without(*kind), Kinds::NONE);
        for other in Kind::ALL {
            assert_eq!(kinds(&[*kind]).has(*other), kind == other);
            assert_eq!(kind.reject() == other.reject(), kind == other);
        }
    }
    assert!(!kinds(Kind::ALL).without(Kind::Shaper).has(Kind::Shaper));
}

#[test]
fn all_of_them() {
    let shaped = kinds(&[Kind::Shaper]);
    let mut all = Obstacles::NONE;
    assert!(all.is_empty() && all.of(&up(Encap::NONE)).is_empty());
    all.add(&path(WAN, encap(&[10], None), Direction::Out), Kind::Shaper);
    all.add(&path(LAN, Encap::NONE, Direction::In), Kind::Shaper);
    assert!(!all.is_empty());
    assert_eq!(
        all.of(&up(encap(&[11], None))),
        shaped,
        "it arrives at the lan"
    );
    assert_eq!(all.of(&down(Encap::NONE)), Kinds::NONE);

    let mut fewer = Obstacles::NONE;
    assert!(fewer.are_among(&all) && !all.are_among(&fewer));
    fewer.add(&path(LAN, Encap::NONE, Direction::In), Kind::Shaper);
    assert!(fewer.are_among(&all) && !all.are_among(&fewer));
    fewer.add(&path(LAN, Encap::NONE, Direction::Out), Kind::Shaper);
    assert!(!fewer.are_among(&all));
    let mut arriving = Obstacles::NONE;
    arriving.add(&path(WAN, Encap::NONE, Direction::In), Kind::Shaper);
    assert!(!arriving.are_among(&all));
    fewer = all;
    fewer.add(&path(WAN, encap(&[10], None), Direction::Out), Kind::Shaper);
    assert!(fewer.are_among(&all) && all.are_among(&fewer));
    fewer = Obstacles::NONE;
    fewer.add(&path(LAN, Encap::NONE, Direction::Out), Kind::Shaper);
    fewer.add_all(&all);
    assert!(all.are_among(&fewer));
    assert_eq!(fewer.of(&down(Encap::NONE)), shaped);
}

#[test]
fn without_room_the_port_counts() {
    let mut all = Obstacles::NONE;
    let add = |all: &mut Obstacles, at, vid| {
        all.add(&path(at, encap(&[vid], None), Direction::Out), Kind::Shaper);
    };
    for vid in (1..).take(PATHS) {
        add(&mut all, WAN, vid);
        add(&mut all, WAN, vid);
    }
    assert!(all.of(&up(Encap::NONE)).is_empty());
    // What has a place already needs no other.
    add(&mut all, WAN, 1);
    assert!(all.of(&up(Encap::NONE)).is_empty());
    add(&mut all, WAN, 100);
    assert!(!all.of(&up(Encap::NONE)).is_empty());
    assert!(all.of(&down(Encap::NONE)).is_empty());
    add(&mut all, LAN, 100);
    assert!(!all.of(&down(Encap::NONE)).is_empty());
}

#[test]
fn the_log_is_told_once_and_not_for_ever() {
    let mut known = Warned::NONE;
    let place = |ifindex| (ifindex, NetId(1), Direction::Out, Kind::Shaper);
    assert!(known.warn_once(place(1)));
    assert!(!known.warn_once(place(1)));
    assert!(known.warn_once((1, NetId(2), Direction::Out, Kind::Shaper)));
    assert!(known.warn_once((1, NetId(1), Direction::In, Kind::Shaper)));
    // More devices than are remembered must not push each other out at each look.
    let said = |known: &mut Warned| (1..100).filter(|n| known.warn_once(place(*n))).count();
    // Two of the first four are not found again, and make room once the next scan has ended.
    for new in [13, 0, 2, 0] {
        assert_eq!(said(&mut known), new);
        known.begin_scan();
    }
    // A device that is made anew with each connection has another index each time.
    for ifindex in 1000..1100 {
        known.begin_scan();
        known.begin_scan();
        assert!(known.warn_once(place(ifindex)));
        assert!(!known.warn_once(place(ifindex)));
    }
}

#[test]
fn a_flow_is_refused_for_what_is_in_its_way() {
    let flow = up(Encap::NONE);
    assert_eq!(Obstacles::NONE.admit(&flow), Ok(()));
    for kind in Kind::ALL {
        let mut all = Obstacles::NONE;
        all.add(&path(WAN, Encap::NONE, Direction::Out), *kind);
        assert_eq!(all.admit(&flow), Err(kind.reject()));
        assert_eq!(all.admit(&down(Encap::NONE)), Ok(()));
    }
    assert_eq!(Kind::Shaper.reject(), Reject::ShapedEgress);
}

#[test]
fn ports_of_several_vlans() {
    let mut vlans = PortVlans::NONE;
    for (port, vlan, several) in [
        (WAN, Some(10), false),
        (LAN, None, false),
        (WAN, Some(10), false),
        (LAN, None, false),
        (LAN, Some(20), true),
        (WAN, None, true),
        (WAN, Some(10), false),
    ] {
        assert_eq!(vlans.add(port, vlan), several, "{port} {vlan:?}");
    }
}
