// SPDX-License-Identifier: GPL-2.0-only

//! An engine that stops, dies and comes back.

use super::*;

#[test]
fn an_engine_that_dies_and_comes_back() {
    let mut b = Bench::new();
    let flow = b.bound(1);
    assert_eq!(b.engine.look_after(), Verdict::Running);
    assert!(!b.engine.quarantine());
    b.engine.table.hw.dies_in = Some(0);
    assert_eq!(b.engine.look_after(), Verdict::Silent);
    assert!(b.engine.quarantine() && !b.engine.quarantine());
    assert_eq!(b.replace(2, &rule(2)), Err(Reject::EngineDead));
    assert_eq!((b.stat("quarantined"), b.stat("bound_now")), (1, 0));

    b.engine.table.hw.dies_in = None;
    assert_eq!(b.engine.look_after(), Verdict::Restarted);
    assert!(b.engine.table.hw.is_alive() && !b.engine.quarantine());
    b.engine.flush(&TestNet, |_| true);
    assert!(!b.frame(&flow));
    assert_eq!(b.replace(1, &flow), Ok(Replaced::Bound));
    assert!(b.frame(&flow));
    // A reset soon after that waits, and nothing is bound meanwhile.
    b.engine.table.hw.runs = false;
    assert_eq!(b.engine.look_after(), Verdict::Waiting);
    assert!(b.engine.quarantine());
    assert_eq!(b.replace(2, &rule(2)), Err(Reject::EngineDead));
    assert_eq!((b.stat("quarantined"), b.stat("bound_now")), (2, 0));
    b.engine.table.host.wait(1000);
    assert_eq!(b.engine.look_after(), Verdict::Restarted);
    assert_eq!(b.stat("restarted"), 2);
    assert_eq!(b.engine.stop(), Ok(()));
}

#[test]
fn an_engine_that_does_not_start_is_no_news_later() {
    let mut b = Bench::new();
    b.engine.table.hw.dies_in = Some(0);
    assert_eq!(b.engine.start(), Err(HwError));
    assert!(!b.engine.quarantine());
    assert_eq!(b.engine.stop(), Ok(()));
    let mut b = Bench::new();
    b.engine.table.hw.dies_in = Some(0);
    assert_eq!(b.engine.stop(), Err(HwError));
    assert!(b.engine.quarantine() && !b.engine.quarantine());
    assert_eq!(b.engine.table.host.quarantined.get(), 1);
}

#[test]
fn a_restart_is_empty_and_not_yet_steady() {
    let mut b = Bench::new();
    let look = |b: &mut Bench, runs, wait| {
        b.engine.table.hw.runs = runs;
        b.engine.table.host.wait(wait);
        b.engine.look_after()
    };
    b.bound(1);
    b.engine.table.hw.mtu = 0;
    assert_eq!(look(&mut b, false, 0), Verdict::Restarted);
    assert_eq!(b.engine.table.hw.mtu, 1500);
    let mut words = b.engine.table.hw.words.iter();
    assert!(!words.any(|words| NETSYS_V2.is_bound(words[0])));
    // It runs for ten seconds, with a break after nine.
    for (runs, wait, verdict) in [
        (true, 0, Verdict::Running),
        (false, 9000, Verdict::Restarted),
        (true, 1000, Verdict::Running),
        (false, 0, Verdict::Waiting),
    ] {
        assert_eq!(look(&mut b, runs, wait), verdict, "{runs} {wait}");
    }
}
