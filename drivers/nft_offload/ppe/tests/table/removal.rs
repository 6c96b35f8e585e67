// SPDX-License-Identifier: GPL-2.0-only

//! How flows leave, and who is told.

use super::*;

#[test]
fn each_bind_and_each_end_is_told() {
    use Event::{
        Bound,
        Evicted, //
    };
    let mut b = Bench::with_spares(4);
    let flows = b.bucket(5);
    b.replace(A, 0, &flows[0]).unwrap();
    b.replace(A, 0, &flows[0]).unwrap();
    let bound = |cookie| (Bound(Replaced::Bound), cookie, count(0));
    assert_eq!(b.events(), [bound(0)], "a refresh is none");

    // With all that was counted until then.
    b.frame(&flows[0]);
    let mut moved = flows[0];
    moved.dmac[5] ^= 1;
    b.replace(A, 0, &moved).unwrap();
    let changed = Event::Unbound(Unbound::Changed);
    let updated = (Bound(Replaced::Updated), 0, count(1));
    assert_eq!(b.events(), [(changed, 0, count(1)), updated]);

    // The engine lets it go: said when that is seen, and not again when it ends.
    let slot = b.at(0);
    let aged = (Event::Unbound(Unbound::Aged), 0, count(1));
    b.table.hw.age_out(slot);
    b.stats(A, 0);
    assert_eq!(b.events(), [aged]);
    b.replace(A, 0, &moved).unwrap();
    assert_eq!(b.events(), [(Bound(Replaced::Rebound), 0, count(1))]);
    b.table.hw.age_out(slot);
    b.replace(A, 0, &flows[0]).unwrap();
    assert_eq!(b.events(), [aged, updated]);
    b.table.hw.age_out(slot);
    b.stats(A, 0);
    b.destroy(A, 0);
    assert_eq!(b.events(), [aged]);

    for (cookie, f) in (1..).zip(&flows[1..]) {
        b.replace(A, cookie, f).unwrap();
        assert_eq!(b.events(), [bound(cookie)]);
    }
    b.frame(&flows[1]);
    b.wait(EVICT_IDLE_MS);
    b.replace(A, 5, &flows[0]).unwrap();
    let evicted = (Event::Unbound(Unbound::Evicted), 1, count(1));
    assert_eq!(b.events(), [evicted, (Evicted, 1, count(1)), bound(5)]);

    b.destroy(A, 1);
    assert_eq!(b.events(), [], "it was not bound");
    b.destroy(A, 2);
    let unbound = |why, cookie| (Event::Unbound(why), cookie, count(0));
    assert_eq!(b.events(), [unbound(Unbound::Ended, 2)]);
    b.table.refuse(A, &flows[3].key());
    assert_eq!(b.events(), [unbound(Unbound::Refused, 3)]);
    b.table.remove_where(|r| r.cookie < 5, |_| ());
    assert_eq!(b.events(), [unbound(Unbound::Flushed, 4)]);

    // An engine that does not answer changes nothing of that.
    b.table.hw.dies_in = Some(0);
    b.destroy(A, 5);
    assert_eq!(b.events(), [unbound(Unbound::Ended, 5)]);
}

#[test]
fn the_opposite_of_a_refused_flow() {
    let mut b = Bench::new();
    let f = routed(0);
    let reverse = Flow {
        ingress: f.ingress,
        egress: f.egress,
        ..back(&f)
    };
    // Refused before it is offered.
    b.table.refuse(A, &f.key());
    assert_eq!(b.ops(), []);
    assert_eq!(b.replace(A, 1, &f), Err(Reject::Vlan8021ad));
    assert_eq!(b.replace(A, 1, &f), Err(Reject::Vlan8021ad));
    assert_eq!(b.table.iter().count(), 0);
    // Nobody else's.
    assert_eq!(b.replace(A, 2, &routed(1)), Ok(Replaced::Bound));
    assert_eq!(b.replace(B, 1, &f), Ok(Replaced::Bound));
    b.destroy(B, 1).unwrap();
    // Until the reverse direction is one that can be.
    assert_eq!(b.replace(A, 3, &reverse), Ok(Replaced::Bound));
    assert_eq!(b.replace(A, 1, &f), Ok(Replaced::Bound));

    // Refused when it is bound.
    b.frame(&f);
    b.table.refuse(B, &f.key());
    assert!(b.frame(&f).is_some());
    b.table.refuse(A, &f.key());
    assert_eq!(b.frame(&f), None);
    assert_eq!(b.replace(A, 1, &f), Err(Reject::Vlan8021ad));
    let stats = b.stats(A, 1);
    assert_eq!((stats.delta, stats.bound), (count(2), false));
    assert_eq!(b.destroy(A, 1).unwrap().total, count(2));

    // Forgotten when there are too many, never mistaken.
    for n in 0..200 {
        b.table.refuse(A, &routed(1000 + n).key());
    }
    let refused = |b: &mut Bench, n| b.replace(A, 9, &routed(n)) == Err(Reject::Vlan8021ad);
    // Number 0 is still refused unless one of these took its place.
    assert!((1..900).all(|n| !refused(&mut b, n)));
    assert!(refused(&mut b, 1199));
}

#[test]
fn refusals_end_one_by_one() {
    let mut b = Bench::new();
    let (f, g) = (routed(0), routed(1));
    b.table.refuse(A, &f.key());
    b.table.refuse(A, &g.key());
    let reverse = Flow {
        ingress: f.ingress,
        egress: f.egress,
        ..back(&f)
    };
    assert_eq!(b.replace(A, 3, &reverse), Ok(Replaced::Bound));
    assert_eq!(b.replace(A, 1, &f), Ok(Replaced::Bound));
    assert_eq!(b.replace(A, 2, &g), Err(Reject::Vlan8021ad));
}

#[test]
fn an_owner_is_flushed() {
    let mut b = Bench::new();
    for n in 0..10 {
        let owner = if n % 2 == 0 { A } else { B };
        b.replace(owner, n.into(), &routed(n)).unwrap();
        assert!(b.frame(&routed(n)).is_some());
    }
    b.ops();
    let mut removed = Vec::new();
    b.table.remove_where(|r| r.owner == A, |r| removed.push(*r));
    assert_eq!(removed.len(), 5);
    for r in removed {
        assert_eq!(
            (r.owner, r.total, r.connection.id),
            (A, count(1), r.cookie + 1000)
        );
        assert_eq!(b.frame(&r.flow), None);
        assert_eq!(b.table.find(A, r.cookie), None);
    }
    let ops = b.ops();
    let clear = ops.iter().position(|op| *op == Op::ClearCache).unwrap();
    assert!(ops[..clear]
        .iter()
        .all(|op| matches!(op, Op::Invalidate(_))));
    assert!(ops[clear + 1..]
        .iter()
        .all(|op| matches!(op, Op::ReadMib(_))));
    for n in [1, 3, 5, 7, 9] {
        assert!(b.frame(&routed(n)).is_some());
        assert!(b.table.find(B, n.into()).is_some());
    }
    assert_eq!(b.table.iter().count(), 5);
    b.ops();
    b.table
        .remove_where(|r| r.owner == A, |_| panic!("none is left"));
    assert_eq!(b.ops(), []);
    // Empty slots are not asked about.
    let mut asked = 0;
    let all = |_: &Record| {
        asked += 1;
        true
    };
    b.table.remove_where(all, |_| ());
    assert_eq!(asked, 5);
}

#[test]
fn a_connection_goes_with_both_directions() {
    for scope in [Scope::Direction, Scope::Connection] {
        let mut b = Bench::new();
        for n in 0..6u16 {
            let up = routed(n);
            let down = back(&up);
            b.replace(A, n.into(), &up).unwrap();
            // The last one's other direction is of somebody else.
            let owner = if n == 5 { B } else { A };
            b.replace(owner, (100 + n).into(), &down).unwrap();
        }
        let mut removed = Vec::new();
        let pred = |r: &Record| matches!(r.cookie, 1 | 103 | 5);
        b.table.remove(scope, pred, |r| removed.push(r.cookie));
        let why = Unbound::Flushed;
        let is_end = |(event, ..): &(Event, u64, Count)| !matches!(event, Event::Bound(_));
        let ends: Vec<_> = b.events().into_iter().filter(is_end).collect();
        assert!(ends.iter().all(|(event, ..)| *event == Event::Unbound(why)));
        assert_eq!(ends.len(), removed.len());
        removed.sort_unstable();
        if scope == Scope::Connection {
            assert_eq!(removed, [1, 3, 5, 101, 103]);
        } else {
            assert_eq!(removed, [1, 5, 103]);
        }
        assert!(b.table.find(B, 105).is_some());
        let left: Vec<_> = b.table.iter().map(|(_, record)| record.flow).collect();
        for flow in left {
            assert!(b.frame(&flow).is_some());
        }
        assert_eq!(b.table.hw.forwarding().len(), 12 - removed.len());
    }
}

#[test]
fn a_dead_engine_keeps_nothing() {
    for dies_in in 0..12 {
        let mut b = Bench::new();
        for n in 0..4 {
            b.replace(A, n.into(), &routed(n)).unwrap();
        }
        b.table.hw.dies_in = Some(dies_in);
        let mut removed = 0;
        b.table.remove_where(|_| true, |_| removed += 1);
        assert_eq!(removed, 4);
        assert_eq!(b.table.iter().count(), 0);
        let t = b.counts();
        assert_eq!((t.flows, t.bound), (0, 0));
        assert!(t.hw_errors > 0 || dies_in >= 9);
    }
    let mut b = Bench::new();
    b.replace(A, 1, &routed(0)).unwrap();
    b.table.hw.dies_in = Some(0);
    let stats = b.stats(A, 1);
    assert!(!stats.bound);
    assert!(b.destroy(A, 1).is_some());
    assert_eq!(b.table.iter().count(), 0);
}
