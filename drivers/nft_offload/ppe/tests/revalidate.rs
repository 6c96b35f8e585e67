// SPDX-License-Identifier: GPL-2.0-only

//! Which flows a change is about, and what is known of neighbours.

use std::net::{
    IpAddr,
    Ipv4Addr,
    Ipv6Addr, //
};

use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 2];
const LAN: i32 = 2;
const WAN: i32 = 3;

fn ip(text: &str) -> Ipv6Addr {
    match text.parse().unwrap() {
        IpAddr::V4(addr) => addr.to_ipv6_mapped(),
        IpAddr::V6(addr) => addr,
    }
}

fn v4_addr(addr: [u8; 4]) -> Ipv6Addr {
    Ipv4Addr::from(addr).to_ipv6_mapped()
}

/// From 192.168.1.1 to 198.51.100.2, masqueraded as 203.0.113.1.
fn up() -> FlowPath {
    FlowPath {
        dst: ip("198.51.100.2"),
        new_src: ip("203.0.113.1"),
        new_dst: ip("198.51.100.2"),
        dmac: MAC,
        ifindex: WAN,
        vlan: None,
    }
}

/// The reverse direction.
fn down() -> FlowPath {
    FlowPath {
        dst: ip("203.0.113.1"),
        new_src: ip("198.51.100.2"),
        new_dst: ip("192.168.1.1"),
        dmac: OTHER,
        ifindex: LAN,
        vlan: None,
    }
}

fn six() -> FlowPath {
    FlowPath {
        dst: ip("2001:db8:2::9"),
        new_src: ip("2001:db8:1::1"),
        new_dst: ip("2001:db8:2::9"),
        ..up()
    }
}

fn neighbour(ifindex: i32, addr: &str, mac: [u8; 6]) -> FwdEvent {
    let addr = ip(addr);
    FwdEvent::Neighbour { ifindex, addr, mac }
}

fn route(addr: &str, len: u8) -> FwdEvent {
    let addr = ip(addr);
    let len = if addr.to_ipv4_mapped().is_some() {
        len + 96
    } else {
        len
    };
    FwdEvent::Route { addr, len }
}

/// What was heard, and how many of the events may concern flows.
fn heard(events: &[FwdEvent]) -> (ChangeSet<TestHost>, usize) {
    let mut pending = Pending::<TestHost>::new().unwrap();
    let told = events.iter().filter(|event| pending.hear(NET, event));
    let told = told.count();
    let mut changes = ChangeSet::new().unwrap();
    pending.swap(&mut changes);
    (changes, told)
}

fn verdict(events: &[FwdEvent], path: &FlowPath) -> Verdict {
    let (changes, _) = heard(events);
    changes.verdict(NET, path, Some(LAN))
}

#[test]
fn a_neighbour_asks_for_flows_to_it_and_to_its_old_address() {
    let to_it = neighbour(WAN, "198.51.100.2", OTHER);
    assert_eq!(verdict(&[to_it], &up()), Verdict::Ask);
    assert_eq!(
        verdict(&[neighbour(WAN, "198.51.100.3", OTHER)], &up()),
        Verdict::Keep
    );
    // Where packets leave, not as they came: NAT.
    let host = neighbour(LAN, "192.168.1.1", MAC);
    assert_eq!(verdict(&[host], &down()), Verdict::Ask);
    let own = neighbour(LAN, "203.0.113.1", MAC);
    assert_eq!(verdict(&[own], &down()), Verdict::Keep);
    assert_eq!(
        verdict(&[neighbour(WAN, "2001:db8:2::9", OTHER)], &six()),
        Verdict::Ask
    );
    // A gateway.
    let before = neighbour(WAN, "203.0.113.2", MAC);
    let after = neighbour(WAN, "203.0.113.2", OTHER);
    assert_eq!(verdict(&[before], &up()), Verdict::Keep);
    assert_eq!(verdict(&[before, after], &up()), Verdict::Ask);
    assert_eq!(verdict(&[before, after], &down()), Verdict::Keep);
}

#[test]
fn neighbours_of_two_vlans_may_have_one_address() {
    // wan.10 and wan.20 each have a gateway fe80::1.
    let (ten, twenty) = (
        neighbour(10, "fe80::1", MAC),
        neighbour(20, "fe80::1", OTHER),
    );
    let (_, told) = heard(&[ten, twenty, ten, twenty, ten]);
    assert_eq!(told, 2);
}

#[test]
fn a_neighbour_that_is_the_same_leaves_nothing_to_do() {
    let same = neighbour(WAN, "198.51.100.2", MAC);
    let mut pending = Pending::<TestHost>::new().unwrap();
    assert!(pending.hear(NET, &same));
    let mut changes = ChangeSet::new().unwrap();
    pending.swap(&mut changes);
    changes.clear();
    pending.swap(&mut changes);
    for _ in 0..1000 {
        assert!(!pending.hear(NET, &same));
    }
    pending.swap(&mut changes);
    assert!(changes.is_empty());
    assert_eq!(changes.events(), 1000);
}

#[test]
fn an_fdb_entry_asks_for_flows_to_its_address() {
    assert_eq!(
        verdict(&[FwdEvent::FdbEntry { mac: MAC }], &up()),
        Verdict::Ask
    );
    // At whatever port or VLAN it was: the kernel knows.
    let tagged = FlowPath {
        vlan: Some(10),
        ..up()
    };
    assert_eq!(
        verdict(&[FwdEvent::FdbEntry { mac: MAC }], &tagged),
        Verdict::Ask
    );
    assert_eq!(
        verdict(&[FwdEvent::FdbEntry { mac: OTHER }], &up()),
        Verdict::Keep
    );
}

#[test]
fn a_route_asks_for_flows_to_its_prefix() {
    for (path, prefix, len, asks) in [
        (up(), "0.0.0.0", 0, true),
        (up(), "128.0.0.0", 1, true),
        (up(), "0.0.0.0", 1, false),
        (up(), "198.51.100.0", 24, true),
        (up(), "198.51.100.2", 32, true),
        (up(), "198.51.100.3", 32, false),
        (up(), "198.51.100.3", 31, true),
        (up(), "198.51.101.0", 24, false),
        // Where it comes from is a matter of the reverse direction,
        (up(), "192.168.1.0", 24, false),
        // but for an address of the router's own.
        (up(), "203.0.113.1", 32, true),
        (up(), "203.0.113.2", 32, false),
        (up(), "::", 0, false),
        (down(), "203.0.113.1", 32, true),
        // Where packets leave, not as they came.
        (down(), "192.168.1.0", 24, true),
        (down(), "203.0.113.0", 24, false),
        (six(), "::", 0, true),
        (six(), "2001:db8:2::", 48, true),
        (six(), "2001:db8:2::", 64, true),
        (six(), "2001:db8:2::9", 128, true),
        (six(), "2001:db8:2::8", 128, false),
        (six(), "2001:db8:2::8", 127, true),
        (six(), "2001:db8:1::", 48, false),
        (six(), "0.0.0.0", 0, false),
    ] {
        let wanted = if asks { Verdict::Ask } else { Verdict::Keep };
        assert_eq!(
            verdict(&[route(prefix, len)], &path),
            wanted,
            "{prefix}/{len}"
        );
    }
}

#[test]
fn a_nexthop_object_asks_for_all_flows() {
    for path in [up(), down(), six()] {
        assert_eq!(verdict(&[FwdEvent::NextHopObject], &path), Verdict::Ask);
    }
}

#[test]
fn a_device_asks_for_flows_that_leave_by_it() {
    let wan = FwdEvent::Device { ifindex: WAN };
    assert_eq!(verdict(&[wan], &up()), Verdict::Ask);
    assert_eq!(verdict(&[wan], &down()), Verdict::Keep);
}

#[test]
fn a_receiver_that_goes_ends_flows_both_ways() {
    assert_eq!(
        verdict(&[FwdEvent::AllFlows { ifindex: WAN }], &up()),
        Verdict::End
    );
    assert_eq!(
        verdict(&[FwdEvent::AllFlows { ifindex: LAN }], &up()),
        Verdict::End
    );
    assert_eq!(
        verdict(&[FwdEvent::AllFlows { ifindex: 9 }], &up()),
        Verdict::Keep
    );
}

#[test]
fn a_vlan_that_goes_ends_flows_in_it() {
    let gone = FwdEvent::Vlan {
        ifindex: WAN,
        vid: 10,
    };
    let path = |vid| FlowPath { vlan: vid, ..up() };
    assert_eq!(verdict(&[gone], &path(Some(10))), Verdict::End);
    assert_eq!(verdict(&[gone], &path(Some(20))), Verdict::Keep);
    assert_eq!(verdict(&[gone], &path(None)), Verdict::End);
    assert_eq!(verdict(&[gone], &down()), Verdict::Keep);
}

#[test]
fn other_namespaces_are_apart() {
    let all = [
        FwdEvent::NextHopObject,
        FwdEvent::FdbEntry { mac: MAC },
        FwdEvent::AllFlows { ifindex: WAN },
        route("198.51.100.2", 32),
    ];
    let (changes, _) = heard(&all);
    assert_eq!(changes.verdict(NetId(8), &up(), None), Verdict::Keep);
    assert_eq!(changes.verdict(NET, &up(), None), Verdict::End);
}

#[test]
fn only_what_was_announced_needs_a_second_walk() {
    let vlan = FwdEvent::Vlan {
        ifindex: WAN,
        vid: 10,
    };
    for (event, announced) in [
        (neighbour(WAN, "198.51.100.2", MAC), false),
        (FwdEvent::FdbEntry { mac: MAC }, false),
        (route("198.51.100.0", 24), true),
        (FwdEvent::NextHopObject, true),
        (FwdEvent::Device { ifindex: WAN }, true),
        (FwdEvent::AllFlows { ifindex: WAN }, true),
        (vlan, true),
    ] {
        assert_eq!(heard(&[event]).0.is_announced(), announced, "{event:?}");
    }
}

#[test]
fn a_flood_of_others_asks_for_few_flows() {
    // As many as come between two walks at 100,000 events a second.
    let mut pending = Pending::<TestHost>::new().unwrap();
    for n in 0..2000_u32 {
        let [_, a, b, c] = n.to_be_bytes();
        let event = match n % 3 {
            0 => FwdEvent::FdbEntry {
                mac: [6, 0, 0, a, b, c],
            },
            1 => FwdEvent::Route {
                addr: v4_addr([10, a, b, c]),
                len: 128,
            },
            _ => neighbour(WAN, &std::format!("172.16.{b}.{c}"), [4, 0, 0, a, b, c]),
        };
        assert!(pending.hear(NET, &event));
    }
    let mut changes = ChangeSet::new().unwrap();
    pending.swap(&mut changes);
    assert_eq!(changes.events(), 2000);
    let asked = (0..10_000_u32).filter(|n| {
        let [_, _, b, c] = n.to_be_bytes();
        let path = FlowPath {
            dmac: [2, 0, 0, 0, b, c],
            new_dst: v4_addr([198, 51, b, c]),
            dst: v4_addr([198, 51, b, c]),
            ..up()
        };
        changes.verdict(NET, &path, Some(LAN)) != Verdict::Keep
    });
    // Each has up to six keys.
    let asked = asked.count();
    assert!(asked < 300, "{asked} of 10000");
}

#[test]
fn sets_of_changes_add_up() {
    let (mut all, _) = heard(&[route("198.51.100.0", 24)]);
    let (more, _) = heard(&[
        FwdEvent::FdbEntry { mac: OTHER },
        route("2001:db8:2::", 65),
        FwdEvent::AllFlows { ifindex: 9 },
    ]);
    all.add_all(&more);
    assert_eq!(all.events(), 4);
    assert_eq!(all.verdict(NET, &up(), None), Verdict::Ask);
    assert_eq!(all.verdict(NET, &down(), None), Verdict::Ask);
    assert_eq!(all.verdict(NET, &six(), None), Verdict::Ask);
    assert_eq!(all.verdict(NET, &six(), Some(9)), Verdict::End);
    all.clear();
    assert!(all.is_empty() && !all.is_announced() && all.events() == 0);
    for path in [up(), down(), six()] {
        assert_eq!(all.verdict(NET, &path, Some(9)), Verdict::Keep);
    }
    // What comes after that does not bring anything back.
    let (more, _) = heard(&[FwdEvent::FdbEntry { mac: [6; 6] }]);
    all.add_all(&more);
    assert!(!all.is_announced());
    assert_eq!(all.verdict(NET, &down(), None), Verdict::Keep);
    let (more, _) = heard(&[route("10.0.0.0", 24)]);
    all.add_all(&more);
    assert!(all.is_announced());
    assert_eq!(all.verdict(NET, &up(), None), Verdict::Keep);
}

#[test]
fn a_host_route_adds_to_a_set_of_others() {
    let (mut all, _) = heard(&[route("2001:db8:9::", 64)]);
    assert_eq!(all.verdict(NET, &up(), None), Verdict::Keep);
    let (more, _) = heard(&[route("198.51.100.2", 32)]);
    all.add_all(&more);
    assert_eq!(all.verdict(NET, &up(), None), Verdict::Ask);
}

type Known = NeighTable<Vec<Option<Neighbour<u32>>>>;

fn known(places: usize) -> Known {
    NeighTable::new(vec![None; places])
}

#[test]
fn a_neighbour_is_new_then_known_then_changed() {
    // In one bucket, and in several.
    for places in [4, 64] {
        let mut known = known(places);
        assert_eq!(known.learn(1, 1, ip("192.0.2.1"), MAC), NeighUpdate::New);
        assert_eq!(
            known.learn(1, 1, ip("192.0.2.1"), MAC),
            NeighUpdate::Unchanged
        );
        assert_eq!(known.learn(2, 2, ip("192.0.2.1"), OTHER), NeighUpdate::New);
        assert_eq!(known.learn(1, 1, ip("192.0.2.2"), OTHER), NeighUpdate::New);
        assert_eq!(
            known.learn(1, 1, ip("192.0.2.1"), OTHER),
            NeighUpdate::Changed(MAC)
        );
        assert_eq!(
            known.learn(1, 1, ip("192.0.2.1"), OTHER),
            NeighUpdate::Unchanged
        );
    }
}

#[test]
fn without_room_a_neighbour_is_always_new() {
    for places in [0, 3] {
        let mut known = known(places);
        assert_eq!(known.learn(1, 1, ip("192.0.2.1"), MAC), NeighUpdate::New);
        assert_eq!(known.learn(1, 1, ip("192.0.2.1"), OTHER), NeighUpdate::New);
    }
}

#[test]
fn the_one_not_heard_of_for_longest_is_forgotten() {
    let mut known = known(4);
    for host in 1..=4u8 {
        assert_eq!(
            known.learn(1, 1, v4_addr([10, 0, 0, host]), MAC),
            NeighUpdate::New
        );
    }
    assert_eq!(
        known.learn(1, 1, ip("10.0.0.1"), MAC),
        NeighUpdate::Unchanged
    );
    assert_eq!(known.learn(1, 1, ip("10.0.0.5"), MAC), NeighUpdate::New);
    assert_eq!(
        known.learn(1, 1, ip("10.0.0.1"), MAC),
        NeighUpdate::Unchanged
    );
    assert_eq!(known.learn(1, 1, ip("10.0.0.2"), MAC), NeighUpdate::New);
}

#[test]
fn what_is_said_to_have_changed_has() {
    // Against a map: nothing but forgetting may differ.
    let (mut known, mut map) = (known(32), HashMap::new());
    let mut state = 1u32;
    let (mut forgotten, mut changed) = (0, 0);
    for _ in 0..20_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let addr = v4_addr([10, 0, 0, (state >> 24) as u8 % 40]);
        let mac = [2, 0, 0, 0, 0, (state >> 16) as u8 % 3];
        let before = map.insert(addr, mac);
        match known.learn(9, 9, addr, mac) {
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
