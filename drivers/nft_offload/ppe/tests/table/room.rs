// SPDX-License-Identifier: GPL-2.0-only

//! What makes room in a full bucket.

use super::*;

#[test]
fn a_full_bucket() {
    let mut b = Bench::new();
    let flows = b.bucket(5);
    for (cookie, f) in (0..).zip(&flows[..4]) {
        assert_eq!(b.replace(A, cookie, f), Ok(Replaced::Bound));
    }
    assert_eq!(b.replace(A, 4, &flows[4]), Err(Reject::BucketFull));
    assert_eq!(b.counts().bucket_full, 1);
    assert_eq!(b.counts().flows, 4);
    b.destroy(A, 2).unwrap();
    assert_eq!(b.replace(A, 4, &flows[4]), Ok(Replaced::Bound));
    assert_eq!(b.counts().high_water, 4);
    // A full bucket is no obstacle for those that are in it.
    let slot = b.at(0);
    b.table.hw.age_out(slot);
    assert_eq!(b.replace(A, 0, &flows[0]), Ok(Replaced::Rebound));
    assert_eq!(b.table.find(A, 0), Some(slot));
}

#[test]
fn the_idlest_flow_makes_room() {
    let mut b = Bench::with_spares(4);
    let flows = b.bucket(7);
    for (cookie, f) in (0..).zip(&flows[..4]) {
        assert_eq!(b.replace(A, cookie, f), Ok(Replaced::Bound));
        b.wait(100);
    }
    assert_eq!(b.counts().collisions, 3);
    // None is idle for long enough, the first one by 1 ms.
    b.wait(EVICT_IDLE_MS - 401);
    assert_eq!(b.replace(A, 4, &flows[4]), Err(Reject::BucketFull));
    assert_eq!(b.counts().evictions, 0);
    b.wait(1);
    // It is in use again, so that the second one is idle for longest.
    b.frame(&flows[0]);
    b.wait(100);
    let slot = b.at(1);
    b.ops();
    b.table.hw.late = Count {
        packets: 1,
        bytes: 100,
    };
    assert_eq!(b.replace(A, 4, &flows[4]), Ok(Replaced::Bound));
    assert_eq!(b.table.find(A, 4), Some(slot));
    let place = b.at(1);
    assert!(usize::from(place) >= SLOTS);
    // Its counters are read when it cannot count any more.
    let ops = b.ops();
    let end = ops.iter().position(|op| *op == Op::Invalidate(slot));
    assert_eq!(
        ops[end.unwrap()..],
        [&taken_out(slot)[..], &[Op::Commit(slot)]].concat()
    );
    let t = b.counts();
    assert_eq!((t.evictions, t.parked, t.flows, t.bound), (1, 1, 5, 4));
    assert_eq!((t.bucket_full, t.high_water, t.collisions), (1, 5, 4));
    assert_eq!(b.stats(A, 1).delta, count(1));
    assert_eq!(t.stray_mib, 0);
    assert_eq!(b.frame(&flows[1]), None);
    assert_eq!(b.frame(&flows[4]), Some(slot));

    // It is offered again: not before another one is idle.
    assert_eq!(b.replace(A, 1, &flows[1]), Err(Reject::BucketFull));
    b.wait(EVICT_IDLE_MS);
    // All are idle by now, the third one for longest.
    let slot = b.at(2);
    assert_eq!(b.replace(A, 1, &flows[1]), Ok(Replaced::Rebound));
    assert_eq!(b.at(1), slot);
    let t = b.counts();
    assert_eq!((t.evictions, t.parked, t.flows, t.bound), (2, 1, 5, 4));
}

#[test]
fn refusals_for_a_full_bucket_cost_little() {
    let mut b = Bench::with_spares(4);
    let flows = b.bucket(5);
    b.bind(&flows[..4]);
    b.wait(EVICT_IDLE_MS - 1);
    b.ops();
    assert_eq!(b.replace(A, 4, &flows[4]), Err(Reject::BucketFull));
    assert_eq!(b.ops(), []);
    // As far as is known they are idle. They are looked at once, and were not.
    b.wait(1);
    for f in &flows[..4] {
        b.frame(f);
    }
    assert_eq!(b.replace(A, 4, &flows[4]), Err(Reject::BucketFull));
    assert_eq!(b.ops().len(), 4);
    b.wait(EVICT_IDLE_MS - 1001);
    assert_eq!(b.replace(A, 4, &flows[4]), Err(Reject::BucketFull));
    assert_eq!(b.ops(), []);
}

#[test]
fn what_a_parked_flow_has_counted_is_kept() {
    let mut b = Bench::with_spares(4);
    let flows = b.bucket(6);
    for (cookie, f) in (0..).zip(&flows[..4]) {
        b.replace(A, cookie, f).unwrap();
        b.frame(f);
    }
    let used = b.now();
    b.wait(EVICT_IDLE_MS);
    b.replace(A, 4, &flows[4]).unwrap();
    b.replace(A, 5, &flows[5]).unwrap();
    let parked: Vec<_> = (0..4).filter(|c| b.is_parked(*c)).collect();
    let [first, second] = parked[..] else {
        panic!("{parked:?}")
    };
    b.ops();
    let stats = b.stats(A, first);
    assert_eq!((stats.delta, stats.bound), (count(1), false));
    assert_eq!(stats.last_used_ms, used);
    assert_eq!(b.stats(A, first).delta, Count::ZERO);
    assert_eq!(b.last_counts(second), (count(1), count(1)));
    assert_eq!(b.table.find(A, second), None);
    // The engine was not asked for any of it.
    assert_eq!(b.ops(), []);
    let t = b.counts();
    assert_eq!((t.parked, t.flows, t.bound), (1, 5, 4));

    // Counts go on from there when it is bound again.
    b.destroy(A, 4).unwrap();
    assert_eq!(
        b.replace(A, first, &flows[first as usize]),
        Ok(Replaced::Rebound)
    );
    b.frame(&flows[first as usize]);
    assert_eq!(b.last_counts(first), (count(1), count(2)));
    assert_eq!(b.counts().parked, 0);
}

#[test]
fn flows_let_go_make_room_first() {
    // Whether or not others are idle, and for longer.
    for (caps, idle_ms) in [(CAPS, 0), (BLIND, 0), (CAPS, EVICT_IDLE_MS)] {
        let mut b = Bench::of(&caps, 2);
        let flows = b.bucket(5);
        for (cookie, f) in (0..).zip(&flows[..4]) {
            b.replace(A, cookie, f).unwrap();
            b.wait(100);
        }
        b.wait(idle_ms);
        let slot = b.at(2);
        b.table.hw.age_out(slot);
        assert_eq!(b.replace(A, 4, &flows[4]), Ok(Replaced::Bound));
        assert_eq!(b.table.find(A, 4), Some(slot));
        let t = b.counts();
        assert_eq!((t.evictions, t.parked, t.aged_out), (0, 1, 1));
        assert!(!b.stats(A, 2).bound);
    }
}

#[test]
fn parked_flows_are_few_and_can_come_back() {
    let mut b = Bench::with_spares(2);
    let flows = b.bucket(6);
    b.bind(&flows[..4]);
    b.wait(2 * EVICT_IDLE_MS);
    assert_eq!(b.replace(A, 4, &flows[4]), Ok(Replaced::Bound));
    // The last place is for one that comes back.
    assert_eq!(b.replace(A, 5, &flows[5]), Err(Reject::BucketFull));
    assert_eq!(b.counts().parked, 1);
    let parked = (0..4).find(|c| b.is_parked(*c));
    let back = parked.unwrap();
    assert_eq!(
        b.replace(A, back, &flows[back as usize]),
        Ok(Replaced::Rebound)
    );
    assert_eq!(b.counts().parked, 1);
    // No other flow is lost: all are found, and go with their owner.
    for cookie in 0..5 {
        assert!(b.table.find(A, cookie).is_some());
    }
    let mut removed = 0;
    b.table.remove_where(|_| true, |_| removed += 1);
    assert_eq!((removed, b.table.iter().count()), (5, 0));
    let t = b.counts();
    assert_eq!((t.parked, t.flows, t.bound), (0, 0, 0));
    assert_eq!(b.table.audit_sums(), 0);
}

#[test]
fn removing_parked_flows_leaves_the_engine_alone() {
    let mut b = Bench::with_spares(2);
    let flows = b.bucket(5);
    for (cookie, f) in (0..).zip(&flows[..4]) {
        b.replace(B, cookie, f).unwrap();
    }
    b.wait(EVICT_IDLE_MS);
    b.replace(A, 4, &flows[4]).unwrap();
    b.ops();
    let parked = |table: &TestTable, c| usize::from(table.find(B, c).unwrap()) >= SLOTS;
    let cookie = (0..4).find(|c| parked(&b.table, *c)).unwrap();
    let mut removed = Vec::new();
    let pred = |r: &Record| r.cookie == cookie;
    b.table.remove_where(pred, |r| removed.push(r.cookie));
    assert_eq!(removed, [cookie]);
    assert_eq!(b.ops(), []);
}

#[test]
fn an_engine_that_fails_while_room_is_made() {
    for dies_in in 0..40 {
        let mut b = Bench::with_spares(2);
        let flows = b.bucket(5);
        b.bind(&flows[..4]);
        b.wait(EVICT_IDLE_MS);
        b.table.hw.dies_in = Some(dies_in);
        let answer = b.replace(A, 4, &flows[4]);
        b.table.hw.dies_in = None;
        // Known flows stay known, and what is called bound is.
        for (cookie, f) in (0..).zip(&flows[..4]) {
            let at = b.at(cookie);
            let bound = b.table.get(at).unwrap().bound;
            assert_eq!(b.table.get(at).unwrap().flow, *f);
            assert!(!bound || NETSYS_V2.is_bound(b.table.hw.words[usize::from(at)][0]));
            // And the entry of one that was parked is gone.
            let entry = b.table.hw.look_up(f).filter(|(_, forwards)| *forwards);
            assert!(entry.is_none_or(|(slot, _)| slot == at));
        }
        if answer.is_err() {
            assert_eq!(answer, Err(Reject::EngineDead));
            assert_eq!(b.table.find(A, 4), None);
            assert_eq!(b.replace(A, 4, &flows[4]), Ok(Replaced::Bound));
        }
        assert!(b.frame(&flows[4]).is_some());
    }
}

#[test]
fn a_newer_flow_of_the_same_key_takes_the_place() {
    let mut b = Bench::with_spares(2);
    let f = routed(0);
    b.replace(A, 1, &f).unwrap();
    let slot = b.at(1);
    b.frame(&f);
    assert_eq!(b.stats(A, 1).delta, count(1));
    b.frame(&f);
    // The kernel has torn the older one down, and its DESTROY is yet to come.
    assert_eq!(b.replace(A, 2, &f), Ok(Replaced::Bound));
    assert_eq!(b.at(2), slot);
    for _ in 0..3 {
        b.frame(&f);
    }
    // To each what it has counted.
    let older = b.stats(A, 1);
    assert_eq!((older.delta, older.bound), (count(1), false));
    let newer = b.stats(A, 2);
    assert_eq!((newer.delta, newer.bound), (count(3), true));
    assert_eq!(b.destroy(A, 1).unwrap().total, count(2));
    assert_eq!(b.frame(&f), Some(slot));
    assert_eq!(b.destroy(A, 2).unwrap().total, count(4));
    let stats = b.counts();
    assert_eq!((stats.flows, stats.parked, stats.key_in_use), (0, 0, 0));

    // The flow of another owner stays, and one for whose counts there is no place.
    b.replace(A, 1, &f).unwrap();
    assert_eq!(b.replace(B, 2, &f), Err(Reject::KeyInUse));
    assert_eq!(b.replace(A, 2, &f), Ok(Replaced::Bound));
    assert_eq!(b.replace(A, 3, &f), Err(Reject::KeyInUse));
    assert_eq!(b.replace(A, 1, &f), Ok(Replaced::Rebound));
    assert_eq!(b.counts().key_in_use, 2);
}

#[test]
fn parked_flows_take_no_slot() {
    let mut b = Bench::with_spares(2);
    let flows = b.bucket(5);
    for (cookie, f) in (0..).zip(&flows[..4]) {
        b.replace(A, cookie, f).unwrap();
    }
    b.wait(EVICT_IDLE_MS * 2);
    assert_eq!(b.replace(A, 4, &flows[4]), Ok(Replaced::Bound));
    assert_eq!(b.counts().parked, 1);
    // Four slots are in use, and five flows are known.
    b.table.set_limit(5);
    let full = b.table.hw.bucket(&flows[0]);
    let mut others = (0..).map(routed).filter(|f| b.table.hw.bucket(f) != full);
    let others = [others.next().unwrap(), others.next().unwrap()];
    assert_eq!(b.replace(A, 9, &others[0]), Ok(Replaced::Bound));
    assert_eq!(b.replace(A, 10, &others[1]), Err(Reject::TableFull));
    // The reserve is not for those that come back, either.
    let parked = (0..4).find(|at| usize::from(b.table.find(A, *at).unwrap()) >= SLOTS);
    let parked = parked.unwrap();
    let back = b.replace(A, parked, &flows[parked as usize]);
    assert_eq!(back, Err(Reject::TableFull));
}
