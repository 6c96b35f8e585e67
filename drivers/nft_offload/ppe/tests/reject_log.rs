// SPDX-License-Identifier: GPL-2.0-only

//! Refusals: counts, and the last flows.

use super::*;

type Ring = RejectLog<TestHost>;

fn ring(places: usize) -> Ring {
    RejectLog::with_places(places).unwrap()
}

fn refused(port: u16, reject: Reject) -> RejectedRule {
    RejectedRule {
        reject,
        ip_proto: 17,
        tuple: Some(v4(1, port, 7, 53)),
        ingress: Some(Name(*b"lan\0\0\0\0\0\0\0\0\0\0\0\0")),
        egress: None,
    }
}

fn ports(ring: &Ring) -> Vec<u16> {
    let mut ports: Vec<u16> = ring
        .last()
        .iter()
        .flatten()
        .filter_map(|last| Some(last.rule.tuple?.ports().0))
        .collect();
    ports.sort_unstable();
    ports
}

#[test]
fn each_reason_has_a_count_and_a_time() {
    let mut ring = ring(4);
    ring.count(Reject::Chain, 5);
    ring.add(&refused(1, Reject::Nat66), 7);
    ring.add(&refused(2, Reject::Nat66), 9);
    for reject in Reject::ALL {
        let want = match reject {
            Reject::Chain => (1, 5),
            Reject::Nat66 => (2, 9),
            _ => (0, 0),
        };
        let got = ring.of(*reject);
        assert_eq!((got.count, got.last_ms), want, "{reject}");
    }
}

#[test]
fn what_is_no_flow_is_not_remembered() {
    let mut ring = ring(2);
    ring.count(Reject::Chain, 1);
    assert_eq!(ring.last(), [None, None]);
}

#[test]
fn a_flow_refused_again_keeps_its_place() {
    let mut ring = ring(3);
    for now_ms in [10, 20, 30] {
        ring.add(&refused(1, Reject::BucketFull), now_ms);
    }
    let last: Vec<_> = ring.last().iter().flatten().collect();
    assert_eq!(last.len(), 1);
    assert_eq!((last[0].times, last[0].last_ms), (3, 30));
    // For another reason, by another way, or another flow: another place.
    ring.add(&refused(1, Reject::PortDown), 40);
    ring.add(
        &RejectedRule {
            egress: Some(Name::UNKNOWN),
            ..refused(1, Reject::BucketFull)
        },
        50,
    );
    assert_eq!(ring.last().iter().flatten().count(), 3);
}

#[test]
fn the_one_that_was_refused_longest_ago_makes_room() {
    let mut ring = ring(3);
    ring.add(&refused(1, Reject::Nat66), 10);
    ring.add(&refused(2, Reject::Nat66), 20);
    ring.add(&refused(3, Reject::Nat66), 30);
    ring.add(&refused(1, Reject::Nat66), 40);
    ring.add(&refused(4, Reject::Nat66), 50);
    assert_eq!(ports(&ring), [1, 3, 4]);
    ring.add(&refused(5, Reject::Nat66), 60);
    assert_eq!(ports(&ring), [1, 4, 5]);
}

#[test]
fn the_first_moment_of_the_clock_is_one_like_others() {
    let mut ring = ring(2);
    ring.add(&refused(1, Reject::Nat66), 0);
    ring.add(&refused(2, Reject::Nat66), 0);
    assert_eq!(ports(&ring), [1, 2]);
}

#[test]
fn flows_of_both_families_and_of_none() {
    let mut ring = ring(4);
    ring.add(
        &RejectedRule {
            tuple: Some(v6(1, 9, 7, 53)),
            ..refused(1, Reject::Nat66)
        },
        1,
    );
    ring.add(
        &RejectedRule {
            tuple: None,
            ..refused(1, Reject::Mask)
        },
        2,
    );
    assert_eq!(ring.last().iter().flatten().count(), 2);
}

#[test]
fn no_place_at_all() {
    let mut ring = ring(0);
    ring.add(&refused(1, Reject::Nat66), 1);
    assert_eq!(ring.of(Reject::Nat66).count, 1);
}
