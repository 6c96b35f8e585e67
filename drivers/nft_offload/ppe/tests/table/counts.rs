// SPDX-License-Identifier: GPL-2.0-only

//! What a flow has counted, and when it was last used.

use super::*;

#[test]
fn an_entry_of_nobody_may_have_counted() {
    let mut b = Bench::new();
    let f = routed(0);
    b.bind(&[f]);
    let slot = usize::from(b.at(0));
    let entry = b.table.hw.words[slot].clone();
    b.destroy(A, 0).unwrap();
    b.table.hw.words[slot] = entry;
    b.table.hw.mib[slot] = count(3);
    b.bind(&[f]);
    assert_eq!(b.stats(A, 0).delta, Count::ZERO);
    assert_eq!(b.counts().stray_mib, 1);
}

#[test]
fn stray_counts_are_nobodys() {
    let f = routed(0);
    let slot = NETSYS_V2.bucket(&f, SLOTS as u32);
    // A chip that keeps its counters itself: nobody knows what was there before.
    let own = Spec {
        name: "own",
        caps: CAPS,
        format: &NETSYS_V2,
        entries: SLOTS as u16,
        mib_words: 0,
    };
    let spec = Box::leak(Box::new(own));
    let mut b = Bench {
        table: table_over(spec, SLOTS, index_len(SLOTS)).unwrap(),
    };
    b.table.hw.mib[usize::from(slot)] = count(9);
    b.replace(A, 1, &f).unwrap();
    assert_eq!(b.table.find(A, 1), Some(slot));
    assert_eq!(b.stats(A, 1).delta, Count::ZERO);
    assert_eq!(b.counts().stray_mib, 1);
}

#[test]
fn counters_that_are_zero_are_not_read() {
    let mut b = Bench::new();
    let f = routed(0);
    // A new table of counters is zero.
    b.replace(A, 1, &f).unwrap();
    let slot = b.at(1);
    assert_eq!(b.ops(), [Op::Commit(slot)]);
    b.frame(&f);
    assert_eq!(b.destroy(A, 1).unwrap().total, count(1));
    assert_eq!(b.ops(), taken_out(slot));
    b.replace(A, 2, &f).unwrap();
    assert_eq!(b.ops(), [Op::Commit(slot)]);
    assert_eq!(b.stats(A, 2).delta, Count::ZERO);
}

/// Whatever fails, once, while a flow leaves or comes: the next one in its slot is not
/// given its counts.
#[test]
fn counts_after_a_failure_are_nobodys() {
    let f = routed(0);
    for fails in 0..3 {
        let mut b = Bench::new();
        b.replace(A, 1, &f).unwrap();
        let slot = b.at(1);
        b.frame(&f);
        b.table.hw.dies_in = Some(fails);
        b.table.hw.recovers = true;
        b.destroy(A, 1).unwrap();
        assert_eq!(b.table.hw.dies_in, None);
        // As long as its cache was not cleared the engine goes on.
        while b.frame(&f).is_some() && b.table.hw.mib[usize::from(slot)].packets < 5 {}
        b.replace(A, 2, &f).unwrap();
        assert_eq!(b.table.find(A, 2), Some(slot));
        assert_eq!(b.stats(A, 2).delta, Count::ZERO);
    }

    let mut b = Bench::new();
    b.replace(A, 1, &f).unwrap();
    let slot = b.at(1);
    b.destroy(A, 1).unwrap();
    // The entry is written, and read into the cache, but that is not cleared.
    b.table.hw.mib[usize::from(slot)] = count(3);
    b.table.hw.dies_in = Some(u32::from(NETSYS_V2.ways()) + 1);
    b.table.hw.recovers = true;
    assert_eq!(b.replace(A, 2, &f), Err(Reject::EngineDead));
    b.replace(A, 2, &f).unwrap();
    assert_eq!(b.stats(A, 2).delta, Count::ZERO);
}

#[test]
fn each_packet_is_reported_once() {
    let (mut b, f, slot) = bound(1);
    b.frame(&f);
    b.frame(&f);
    assert_eq!(b.stats(A, 1).delta, count(2));
    assert_eq!(b.stats(A, 1).delta, Count::ZERO);
    b.frame(&f);
    for _ in 0..2 {
        let record = b.table.refresh(slot).unwrap();
        assert_eq!((record.unreported, record.total), (count(1), count(3)));
    }
    b.frame(&f);
    assert_eq!(b.stats(A, 1).delta, count(2));
    b.frame(&f);
    assert_eq!(b.last_counts(1), (count(1), count(5)));
    assert!(b.table.refresh(slot).is_none());
    let none = b.table.stats(A, 1);
    assert!(none.is_none());
}

#[test]
fn a_chip_that_counts_layer_3() {
    let caps = Caps {
        mib: Some(MibUnit::Layer3),
        ..CAPS
    };
    let mut b = Bench::of(&caps, 0);
    let f = routed(0);
    b.replace(A, 1, &f).unwrap();
    b.frame(&f);
    assert_eq!(b.stats(A, 1).delta.bytes, 100);
}

#[test]
fn packets_are_told_once() {
    for caps in [CAPS, BLIND] {
        let mut b = Bench::of(&caps, 0);
        let f = routed(0);
        b.bind(&[f]);
        assert!(!b.stats(A, 0).hit);
        b.wait(2_000);
        b.frame(&f);
        // Whoever looks in between takes nothing away.
        b.table.refresh(b.at(0));
        assert!(b.stats(A, 0).hit);
        assert!(!b.stats(A, 0).hit);
        // Counts tell of packets before the engine let the flow go.
        b.wait(2_000);
        b.frame(&f);
        b.table.hw.age_out(b.at(0));
        assert_eq!(b.stats(A, 0).hit, caps.mib.is_some());
        assert!(!b.stats(A, 0).hit);
    }
}

#[test]
fn the_neighbour_of_packets_is_told_now_and_then() {
    let mut b = Bench::new();
    let f = routed(0);
    b.bind(&[f]);
    let mut told = |frames| {
        let mut told = 0;
        for _ in 0..41 {
            b.wait(1_000);
            for _ in 0..frames {
                b.frame(&f);
            }
            told += u32::from(b.stats(A, 0).neighbour);
        }
        told
    };
    assert_eq!(told(0), 0);
    assert!((9..=11).contains(&told(3)));
    assert_eq!(told(0), 0);
}

/// What happens to a flow that was bound at time 0.
#[derive(Clone, Copy)]
enum Step {
    Wait(u64),
    Frame,
    /// A look for debugging.
    Refresh,
    /// The engine lets it go.
    AgeOut,
    Replace,
    /// It was last used then.
    Look(u64),
}

/// Bound when the clock shows `start`. Returns what was asked of the engine.
fn last_used(caps: &Caps, start: u64, steps: &[Step]) -> Vec<Op> {
    let mut b = Bench::of(caps, 0);
    b.table.hw.now_ms.set(start);
    let f = routed(0);
    b.bind(&[f]);
    let slot = b.at(0);
    let (mut frames, mut bound) = (0, true);
    for step in steps {
        match *step {
            Step::Wait(ms) => b.wait(ms),
            Step::Frame => frames += u64::from(b.frame(&f).is_some()),
            Step::Refresh => assert!(b.table.refresh(slot).is_some()),
            Step::AgeOut => b.table.hw.age_out(slot),
            Step::Replace => assert_eq!(b.replace(A, 0, &f), Ok(Replaced::Rebound)),
            Step::Look(used) => {
                let stats = b.stats(A, 0);
                assert_eq!(stats.last_used_ms, start + used, "{start}");
                let counted = count(if caps.mib.is_some() { frames } else { 0 });
                assert_eq!((stats.delta, stats.bound), (counted, bound));
                frames = 0;
            }
        }
        bound = bound && !matches!(step, Step::AgeOut) || matches!(step, Step::Replace);
    }
    b.destroy(A, 0).unwrap();
    b.ops()
}

#[test]
fn the_time_of_last_use() {
    use Step::{
        AgeOut,
        Frame,
        Look,
        Refresh,
        Replace,
        Wait, //
    };
    const START: u64 = 1_000_000;
    // Never hit, through a whole round of the timestamp and more.
    last_used(&CAPS, START, &[Wait(1000), Look(0)].repeat(300));
    let hit = [Wait(10_000), Frame, Wait(3000), Look(10_000)];
    // The last look is after a round without a packet.
    let idle = [Wait(1000), Look(10_000), Wait(255_000), Look(10_000)];
    for start in [
        0, 243_000, 250_000, 255_999, 65_525_000, 65_535_000, 65_536_000,
    ] {
        last_used(&CAPS, start, &[hit, idle].concat());
    }
    // Not before the last look, for which the clock of one tick is too coarse.
    let looked = [Wait(10_400), Look(0), Wait(500), Frame, Wait(300)];
    for caps in [CAPS, BLIND] {
        last_used(&caps, START, &[&looked[..], &[Look(10_400)]].concat());
    }
    for steps in [
        // Hit, and let go since: nothing new after that.
        &[
            Wait(5000),
            Look(0),
            Wait(1000),
            Frame,
            Wait(12_000),
            AgeOut,
            Look(5000),
            Wait(1000),
            Look(5000),
        ][..],
        &[
            Wait(7000),
            Frame,
            Wait(1000),
            Refresh,
            Wait(1000),
            Look(7000),
        ],
        &[AgeOut, Wait(50_000), Replace, Wait(1000), Look(50_000)],
    ] {
        last_used(&CAPS, START, steps);
    }
    // Without counters.
    let hit = [Wait(4000), Look(0), Frame, Wait(2000), Look(4000)];
    let idle = [Wait(1000), Look(4000)].repeat(300);
    let ops = last_used(
        &BLIND,
        START,
        &[&hit, &idle[..], &[AgeOut, Look(4000)]].concat(),
    );
    assert!(!ops.iter().any(|op| matches!(op, Op::ReadMib(_))));
}
