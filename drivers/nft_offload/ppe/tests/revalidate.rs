// SPDX-License-Identifier: GPL-2.0-only

//! Which flows a change concerns, and what is known of neighbours.

use std::net::IpAddr;

use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// From 192.168.1.1 to 198.51.100.2, masqueraded as 203.0.113.1.
fn up() -> Flow {
    let mut flow = flow(L4::Udp, v4(1, 1000, 2, 53));
    if let Tuple::V4 { src, .. } = &mut flow.new {
        *src = [203, 0, 113, 1];
    }
    flow
}

/// The reverse direction.
fn down() -> Flow {
    let mut down = back(&up());
    down.dmac = MAC;
    down
}

#[test]
fn a_next_hop_concerns_those_that_send_there() {
    assert!(Change::LladdrGone(up().dmac).concerns(&up()));
    assert!(!Change::LladdrGone(MAC).concerns(&up()));
}

#[test]
fn a_neighbour_concerns_flows_to_it_with_another_address() {
    assert!(Change::Neighbour(ip("198.51.100.2"), MAC).concerns(&up()));
    assert!(!Change::Neighbour(ip("198.51.100.2"), up().dmac).concerns(&up()));
    assert!(!Change::Neighbour(ip("198.51.100.3"), MAC).concerns(&up()));
    // Where it leaves, not as it came: NAT.
    assert!(Change::Neighbour(ip("192.168.1.1"), OTHER).concerns(&down()));
    assert!(!Change::Neighbour(ip("203.0.113.1"), OTHER).concerns(&down()));
    let six = flow(L4::Tcp, v6(1, 1, 9, 2));
    assert!(Change::Neighbour(ip("2001:db8:2::9"), MAC).concerns(&six));
    assert!(!Change::Neighbour(ip("2001:db8:2::8"), MAC).concerns(&six));
}

#[test]
fn the_end_of_a_pppoe_session_is_no_neighbour() {
    let mut flow = up();
    flow.out_encap = Encap {
        pppoe: Some(7),
        ..Encap::NONE
    };
    assert!(!Change::Neighbour(ip("198.51.100.2"), MAC).concerns(&flow));
}

#[test]
fn a_station_concerns_flows_to_it_by_another_port() {
    let mac = up().dmac;
    assert!(!Change::FdbEntry(mac, Some(up().egress)).concerns(&up()));
    assert!(Change::FdbEntry(mac, Some(up().ingress)).concerns(&up()));
    assert!(Change::FdbEntry(mac, None).concerns(&up()));
    assert!(!Change::FdbEntry(MAC, None).concerns(&up()));
    // Ports of one switch are behind the same port of the engine.
    let mut behind = up();
    behind.egress.dsa = dsa(1);
    let mut moved = behind.egress;
    assert!(!Change::FdbEntry(mac, Some(moved)).concerns(&behind));
    moved.dsa = dsa(2);
    assert!(Change::FdbEntry(mac, Some(moved)).concerns(&behind));
}

#[test]
fn a_way_may_lead_to_no_port() {
    let way = FlowPath::of(&up()).map(|way| FlowPath {
        egress: None,
        ..way
    });
    let way = way.unwrap();
    assert!(Change::FdbEntry(way.dmac, Some(up().egress)).invalidates(&way));
    assert!(!Change::FdbEntry(way.dmac, None).invalidates(&way));
    assert!(!Change::FdbEntry(MAC, Some(up().egress)).invalidates(&way));
}

#[test]
fn a_route_concerns_flows_to_its_prefix() {
    for (prefix, len, concerned) in [
        ("0.0.0.0", 0, true),
        ("198.51.100.0", 24, true),
        ("198.51.100.2", 32, true),
        ("198.51.100.3", 32, false),
        ("198.51.100.3", 31, true),
        ("198.51.101.0", 24, false),
        // Where it comes from is a matter of the reverse direction,
        ("192.168.1.0", 24, false),
        // but for an address of the router's own.
        ("203.0.113.1", 32, true),
        ("203.0.113.2", 32, false),
        ("::", 0, false),
    ] {
        let change = Change::Route(ip(prefix), len);
        assert_eq!(change.concerns(&up()), concerned, "{prefix}/{len}");
    }
    assert!(Change::Route(ip("203.0.113.1"), 32).concerns(&down()));
    let six = flow(L4::Tcp, v6(1, 1, 2, 2));
    for (prefix, len, concerned) in [
        ("::", 0, true),
        ("2001:db8:2::", 48, true),
        ("2001:db8:2::2", 128, true),
        ("2001:db8:2::3", 128, false),
        ("2001:db8:1::", 48, false),
        ("0.0.0.0", 0, false),
    ] {
        let change = Change::Route(ip(prefix), len);
        assert_eq!(change.concerns(&six), concerned, "{prefix}/{len}");
    }
}

#[test]
fn bridged_flows_are_never_concerned() {
    let mut flow = up();
    flow.routed = false;
    for change in [
        Change::All,
        Change::LladdrGone(flow.dmac),
        Change::FdbEntry(flow.dmac, None),
        Change::Route(ip("0.0.0.0"), 0),
    ] {
        assert!(!change.concerns(&flow));
    }
    assert!(Change::All.concerns(&up()));
    assert_ne!(up().egress.port, PsePort(0));
}

type Known = NeighTable<Vec<Option<Neighbour<u32>>>>;

fn known(places: usize) -> Known {
    NeighTable::new(vec![None; places])
}

#[test]
fn a_neighbour_is_new_then_known_then_changed() {
    let mut known = known(64);
    assert_eq!(known.learn(1, ip("192.0.2.1"), MAC), NeighUpdate::New);
    assert_eq!(known.learn(1, ip("192.0.2.1"), MAC), NeighUpdate::Unchanged);
    assert_eq!(known.learn(2, ip("192.0.2.1"), OTHER), NeighUpdate::New);
    assert_eq!(known.learn(1, ip("192.0.2.2"), OTHER), NeighUpdate::New);
    assert_eq!(
        known.learn(1, ip("192.0.2.1"), OTHER),
        NeighUpdate::Changed(MAC)
    );
    assert_eq!(
        known.learn(1, ip("192.0.2.1"), OTHER),
        NeighUpdate::Unchanged
    );
}

#[test]
fn without_room_a_neighbour_is_always_new() {
    for places in [0, 3] {
        let mut known = known(places);
        assert_eq!(known.learn(1, ip("192.0.2.1"), MAC), NeighUpdate::New);
        assert_eq!(known.learn(1, ip("192.0.2.1"), OTHER), NeighUpdate::New);
    }
}

#[test]
fn the_one_not_heard_of_for_longest_is_forgotten() {
    let mut known = known(4);
    for host in 1..=4u8 {
        assert_eq!(
            known.learn(1, [10, 0, 0, host].into(), MAC),
            NeighUpdate::New
        );
    }
    assert_eq!(known.learn(1, ip("10.0.0.1"), MAC), NeighUpdate::Unchanged);
    assert_eq!(known.learn(1, ip("10.0.0.5"), MAC), NeighUpdate::New);
    assert_eq!(known.learn(1, ip("10.0.0.1"), MAC), NeighUpdate::Unchanged);
    assert_eq!(known.learn(1, ip("10.0.0.2"), MAC), NeighUpdate::New);
}

#[test]
fn what_is_said_to_have_changed_has() {
    // Against a map: nothing but forgetting may differ.
    let (mut known, mut map) = (known(32), HashMap::new());
    let mut state = 1u32;
    let (mut forgotten, mut changed) = (0, 0);
    for _ in 0..20_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let addr: IpAddr = [10, 0, 0, (state >> 24) as u8 % 40].into();
        let mac = [2, 0, 0, 0, 0, (state >> 16) as u8 % 3];
        let before = map.insert(addr, mac);
        match known.learn(9, addr, mac) {
            NeighUpdate::New => forgotten += usize::from(before.is_some()),
            NeighUpdate::Unchanged => assert_eq!(before, Some(mac)),
            NeighUpdate::Changed(old) => {
                changed += 1;
                assert_eq!(before, Some(old));
                assert_ne!(old, mac);
            }
        }
    }
    assert!(forgotten > 0 && changed > 1_000, "{forgotten} {changed}");
}

const A: BlockId = BlockId(1);
const B: BlockId = BlockId(2);

fn ended(places: usize) -> CancelledOffers<Vec<Option<(BlockId, u64)>>> {
    CancelledOffers::new(vec![None; places])
}

#[test]
fn what_has_ended_is_refused_once() {
    let mut ended = ended(64);
    assert!(!ended.take(A, 7));
    ended.add(A, 7);
    ended.add(A, 7);
    ended.add(A, 8);
    assert!(!ended.take(B, 7));
    assert!(!ended.take(A, 9));
    assert!(ended.take(A, 7));
    assert!(!ended.take(A, 7));
    assert!(ended.take(A, 8));
    // Its name may be that of another one now, and that one may end as well.
    ended.add(A, 7);
    assert!(ended.take(A, 7));
}

#[test]
fn of_those_that_have_ended_the_first_are_forgotten() {
    let mut ended = ended(4);
    for cookie in 0..6 {
        ended.add(A, cookie);
    }
    let known: Vec<_> = (0..6).filter(|&cookie| ended.take(A, cookie)).collect();
    assert_eq!(known, [2, 3, 4, 5]);
    // A place that is free is taken first, wherever it is.
    for cookie in 0..4 {
        ended.add(A, cookie);
    }
    assert!(ended.take(A, 2));
    ended.add(A, 4);
    let known: Vec<_> = (0..6).filter(|&cookie| ended.take(A, cookie)).collect();
    assert_eq!(known, [0, 1, 3, 4]);
}

#[test]
fn without_room_none_has_ended() {
    for places in [0, 3] {
        let mut ended = ended(places);
        ended.add(A, 7);
        assert!(!ended.take(A, 7));
    }
}
