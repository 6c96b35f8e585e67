// SPDX-License-Identifier: GPL-2.0-only
//! How often the module asks a chip, how long it waits, and what it does without an answer, for each
//! chip.

use nft_offload_chip_tests::{flow, Board};
use nft_offload_ppe::{
    hw::{Hw, Lifecycle},
    platform::HwError,
};
use vppe_model::chip::{Chip, CHIPS};

/// A wait of the module ends after so long, in microseconds.
const WAIT_US: u32 = 1_000_000;

/// The most register accesses that the removal of one flow may take. The engine's lock is held for
/// them.
const REMOVAL: u32 = 12;

/// The chips of which the model counts.
fn counting() -> impl Iterator<Item = &'static Chip> {
    CHIPS.iter().copied().filter(|chip| chip.mib.is_some())
}

#[test]
fn a_removal_takes_few_accesses() {
    for chip in CHIPS {
        let mut board = Board::started(chip);
        let slot = board.bind(&flow(14));
        assert!(board.wire.forwards(&flow(14)));
        board.accesses();
        board.unbind(slot);
        if chip.mib.is_some() {
            assert_eq!(board.hw.read_mib(slot).map(|count| count.packets), Ok(1));
        }
        let accesses = board.accesses();
        assert!(accesses <= REMOVAL, "{}: {accesses}", chip.name);
    }
}

#[test]
fn a_dead_engine_is_left_alone() {
    for chip in CHIPS {
        let mut board = Board::started(chip);
        let slot = board.bind(&flow(14));
        board.fault("dead", true, 0);
        assert_eq!(board.hw.check(), Err(HwError), "{}", chip.name);
        assert!(!board.hw.is_alive());
        board.accesses();
        let entry = board.entry(&flow(15));
        let free = board.slot(&flow(15));
        assert_eq!(board.hw.commit(free, &entry), Err(HwError));
        assert_eq!(board.hw.read_word0(free), Ok(0), "{}", chip.name);
        assert_eq!(board.hw.clear_cache(slot), Err(HwError));
        assert_eq!(board.hw.clear_caches(), Err(HwError));
        assert_eq!(board.hw.read_mib(slot), Err(HwError));
        assert_eq!(board.hw.set_mtu(1500), Err(HwError));
        assert_eq!(board.hw.timestamp(), 0);
        assert_eq!(board.accesses(), 0, "{}: registers were asked", chip.name);
        // Its table is memory, which does answer.
        board.hw.invalidate(slot).unwrap();
        assert_eq!(board.hw.read_word0(slot), Ok(0));

        // An answer alone does not bring it back.
        board.fault("dead", false, 0);
        assert_eq!(board.hw.check(), Ok(true), "{}", chip.name);
        assert!(!board.hw.is_alive());
        board.restart().unwrap();
        assert!(board.hw.is_alive());
        assert!(!board.wire.forwards(&flow(14)), "{}", chip.name);
        board.bind(&flow(14));
        assert!(board.wire.forwards(&flow(14)), "{}", chip.name);
    }
}

#[test]
fn an_engine_that_dies_at_any_access() {
    for chip in CHIPS {
        let mut board = Board::started(chip);
        board.hw.stop().unwrap();
        board.accesses();
        board.start().unwrap();
        let starts = board.accesses();
        assert!(starts > 20);
        for n in 1..=starts {
            let mut board = Board::new(chip);
            board.fault("dead", true, n);
            let started = board.start();
            if started == Ok(()) {
                // Nothing is read after the last writes.
                assert_eq!(board.hw.check(), Err(HwError), "{}: {n}", chip.name);
            }
            assert!(!board.hw.is_alive(), "{}: access {n}", chip.name);
            board.fault("dead", false, 0);
            board.hw.stop().unwrap();
            assert_eq!(board.enabled(), 0, "{}: access {n}", chip.name);
            board.start().unwrap();
            board.bind(&flow(16));
            assert!(board.wire.forwards(&flow(16)), "{}: access {n}", chip.name);
        }
    }
}

#[test]
fn an_engine_that_is_not_heard_leaves_memory_alone() {
    for chip in CHIPS {
        let mut board = Board::started(chip);
        board.set_unread(true);
        assert_eq!(board.hw.stop(), Err(HwError), "{}", chip.name);
        assert_eq!(board.enabled(), 0, "{}", chip.name);
        for base in chip.ppe_bases {
            // The scan of the table, kinds of flows, the cache and the counters.
            for (at, mask) in [(0x21c, 3 << 16), (0x204, !0), (0x320, !0), (0x334, !0)] {
                let is = board.register(base + at) & mask;
                assert_eq!(is, 0, "{}: {at:#x}", chip.name);
            }
        }
    }
}

#[test]
fn waits_are_bounded() {
    for chip in CHIPS {
        // An engine that stays busy does not start, and none of it runs.
        let mut board = Board::new(chip);
        board.fault("stuck-busy", true, 0);
        board.waited_us();
        assert_eq!(board.start(), Err(HwError), "{}", chip.name);
        // One wait for the start, and one for each PPE to stop.
        let waits = 1 + chip.ppe_bases.len() as u32;
        assert_eq!(board.waited_us(), waits * WAIT_US, "{}", chip.name);
        assert_eq!(board.enabled(), 0, "{}", chip.name);

        // Nor does it stop in time, but it is told to.
        let mut board = Board::started(chip);
        board.fault("stuck-busy", true, 0);
        assert_eq!(board.hw.stop(), Err(HwError), "{}", chip.name);
        assert_eq!(board.waited_us(), (waits - 1) * WAIT_US, "{}", chip.name);
        assert_eq!(board.enabled(), 0, "{}", chip.name);
    }
    for (chip, fault) in counting().flat_map(|chip| ["stuck-busy", "mib-stuck"].map(|f| (chip, f)))
    {
        let mut board = Board::started(chip);
        let slot = board.bind(&flow(17));
        board.fault(fault, true, 0);
        assert_eq!(
            board.hw.read_mib(slot),
            Err(HwError),
            "{}: {fault}",
            chip.name
        );
        assert_eq!(board.waited_us(), WAIT_US, "{}: {fault}", chip.name);
        assert!(!board.hw.is_alive());
        // Once: the next flow does not wait.
        assert_eq!(board.hw.read_mib(slot), Err(HwError));
        assert_eq!(board.waited_us(), 0, "{}: {fault}", chip.name);
    }
}

#[test]
fn a_start_that_was_lost_is_noticed() {
    for chip in CHIPS {
        let mut board = Board::new(chip);
        board.fault("lost-writes", true, 1000);
        board.start().unwrap();
        assert_eq!(board.hw.check(), Ok(false), "{}", chip.name);
        board.fault("lost-writes", false, 0);
        board.restart().unwrap();
        assert_eq!(board.hw.check(), Ok(true), "{}", chip.name);
        board.bind(&flow(18));
        assert!(board.wire.forwards(&flow(18)), "{}", chip.name);
    }
}
