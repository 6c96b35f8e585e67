// SPDX-License-Identifier: GPL-2.0-only
//! What the module asks of a chip, and what the chip's model then does, for each chip.

use nft_offload_chip_tests::{flow, flow6, frame, Board};
use nft_offload_ppe::{
    count::Count,
    flow::{Flow, PsePort, L4},
    hw::{Hw, Lifecycle},
    mapped::MAX_PPES,
    platform::HwError,
};
use vppe_model::{
    chip::{Chip, CHIPS},
    CpuReason, Verdict,
};

/// The chips of which the model counts.
fn counting() -> impl Iterator<Item = &'static Chip> {
    CHIPS.iter().copied().filter(|chip| chip.mib.is_some())
}

/// The flow as it arrives at another port.
fn from(port: u8, flow: &Flow) -> Flow {
    let egress = if port == 2 { 1 } else { 2 };
    Flow {
        ingress: PsePort(port).into(),
        egress: PsePort(egress).into(),
        ..*flow
    }
}

#[test]
fn the_module_and_the_model_know_the_same_chips() {
    for chip in CHIPS {
        let board = Board::new(chip);
        assert_eq!(board.spec.name, chip.name);
        assert_eq!(
            board.spec.caps.ppes(),
            chip.ppe_bases.len(),
            "{}",
            chip.name
        );
        assert_eq!(
            board.spec.caps.mib.is_some(),
            chip.mib.is_some(),
            "{}",
            chip.name
        );
        assert_eq!(
            u32::from(board.spec.format.ways()),
            chip.ways,
            "{}",
            chip.name
        );
    }
}

#[test]
fn each_port_is_looked_up_in_its_ppe() {
    for chip in CHIPS {
        let mut board = Board::new(chip);
        assert_eq!(board.enabled(), 0);
        assert!(!board.wire.forwards(&flow(0)), "{}: not started", chip.name);
        board.start().unwrap();
        assert_eq!(board.enabled(), chip.ppe_bases.len(), "{}", chip.name);
        for (n, &port) in (0..).zip(board.ports().to_vec().iter()) {
            for flow in [from(port, &flow(n)), from(port, &flow6(n))] {
                assert!(!board.wire.forwards(&flow), "{}: port {port}", chip.name);
                let slot = board.bind(&flow);
                assert!(board.wire.forwards(&flow), "{}: port {port}", chip.name);
                let ppe = board.spec.locate(slot).0;
                let engine = board.wire.engine.borrow();
                let forwarded = engine.ppes()[ppe].stats().forwarded;
                assert!(forwarded > 0, "{}: port {port} in PPE {ppe}", chip.name);
                assert_eq!(engine.ppes()[ppe].stats().dma_errors, 0);
            }
        }
    }
}

#[test]
fn stop_leaves_nothing_behind() {
    for chip in CHIPS {
        let mut board = Board::new(chip);
        // A way of its own for each port.
        let ways = [0x6543, 0x0065, 0x0005];
        for (at, way) in board.forward_registers().into_iter().zip(ways) {
            board.set_register(at, board.register(at) | way);
        }
        let before = board.forwards();
        board.start().unwrap();
        assert_ne!(board.forwards(), before, "{}", chip.name);
        board.bind(&flow(0));
        board.hw.stop().unwrap();
        assert_eq!(board.forwards(), before, "{}", chip.name);
        assert_eq!(board.enabled(), 0, "{}", chip.name);
        // Whoever sends the frames to the PPE now finds it stopped.
        let fills = |board: &Board| {
            let engine = board.wire.engine.borrow();
            engine
                .ppes()
                .iter()
                .map(|ppe| ppe.stats().cache_fills)
                .sum::<u64>()
        };
        let filled = fills(&board);
        for (at, ppe) in board.forward_registers().into_iter().zip(chip.ppe_ports) {
            board.set_register(at, u32::from(*ppe) * 0x1111);
        }
        assert!(!board.wire.forwards(&flow(0)), "{}", chip.name);
        assert_eq!(
            fills(&board),
            filled,
            "{}: it looks at its table",
            chip.name
        );
        // And it can be started again.
        board.start().unwrap();
        assert!(board.wire.forwards(&flow(0)), "{}", chip.name);
    }
}

#[test]
fn registers_are_as_they_should_whoever_ran_the_engine_before() {
    for chip in CHIPS {
        let mut board = Board::new(chip);
        let set = [
            (0x204, u32::MAX, 0x3200),
            (0x208, u32::MAX, u32::MAX),
            (0x21c, 0x0003_ce37, 0x0001_4e24),
            (0x22c, u32::MAX, 0x3fff_3fff),
            (0x230, u32::MAX, 0x3fff),
            (0x23c, u32::MAX, 60 | (60 << 16)),
            (0x240, u32::MAX, 60 | (1 << 16)),
            (0x248, u32::MAX, 0),
            (0x30c, u32::MAX, 1514 | (1518 << 16)),
            (0x310, u32::MAX, 1522 | (1526 << 16)),
            (0x200, 0x20d, 0x20d),
        ];
        let newer = [(0x24c, u32::MAX, 0x000c_b777), (0x374, u32::MAX, 0x7f)];
        let counting = [(0x334, u32::MAX, 3), (0x350, u32::MAX, 1)];
        let mut all = set.to_vec();
        if chip.ppe_bases.len() > 1 {
            all.extend(newer);
        }
        if chip.mib.is_some() {
            all.extend(counting);
        }
        for base in chip.ppe_bases {
            for (at, ..) in set.iter().take(10) {
                board.set_register(base + at, 0x1a5a);
            }
        }
        board.start().unwrap();
        for (ppe, base) in chip.ppe_bases.iter().enumerate() {
            for (at, mask, value) in &all {
                let is = board.register(base + at) & mask;
                assert_eq!(is, *value, "{}: PPE {ppe}: {at:#x}", chip.name);
            }
        }
        board.hw.set_mtu(1280).unwrap();
        let mtus = chip
            .ppe_bases
            .iter()
            .map(|base| board.register(base + 0x30c));
        assert!(mtus.into_iter().all(|mtu| mtu == 1294 | (1298 << 16)));
        board.hw.stop().unwrap();
        for base in chip.ppe_bases {
            for (at, mask) in [
                (0x200, 1),
                (0x204, !0),
                (0x21c, 3 << 16),
                (0x320, !0),
                (0x334, !0),
            ] {
                let is = board.register(base + at) & mask;
                assert_eq!(is, 0, "{}: {at:#x} after the stop", chip.name);
            }
        }
    }
}

#[test]
fn only_the_way_of_frames_is_restored() {
    for chip in CHIPS {
        let mut board = Board::started(chip);
        for at in board.forward_registers() {
            board.set_register(at, board.register(at) | 0x0300_0000);
        }
        board.hw.stop().unwrap();
        board.start().unwrap();
        for at in board.forward_registers() {
            assert_eq!(board.register(at) & 0x0300_0000, 0x0300_0000);
            board.set_register(at, board.register(at) & 0xffff);
        }
        board.hw.stop().unwrap();
        assert!(board.forwards().iter().all(|register| *register == 0));
    }
}

#[test]
fn all_caches_are_cleared() {
    for chip in CHIPS {
        let mut board = Board::started(chip);
        let flows: Vec<_> = board
            .ports()
            .iter()
            .map(|port| from(*port, &flow(7)))
            .collect();
        for flow in &flows {
            let slot = board.bind(flow);
            assert!(board.wire.forwards(flow));
            board.hw.invalidate(slot).unwrap();
            assert!(board.wire.forwards(flow), "{}: from the cache", chip.name);
        }
        board.hw.clear_caches().unwrap();
        assert!(
            !flows.iter().any(|flow| board.wire.forwards(flow)),
            "{}",
            chip.name
        );
    }
}

#[test]
fn an_engine_that_ran_is_stopped_as_it_is_found() {
    for chip in CHIPS {
        let mut board = Board::new(chip);
        for base in chip.ppe_bases {
            board.set_register(base + 0x200, 1);
        }
        assert_eq!(board.enabled(), chip.ppe_bases.len(), "{}", chip.name);
        board.hw.stop().unwrap();
        assert_eq!(board.enabled(), 0, "{}", chip.name);
    }
}

#[test]
fn a_commit_is_seen_at_once() {
    for chip in CHIPS {
        let mut board = Board::started(chip);
        let (old, new) = (
            flow(1),
            Flow {
                dmac: [2, 0, 0, 0, 3, 3],
                ..flow(1)
            },
        );
        // The free place is in the cache from now on.
        assert!(!board.wire.forwards(&old));
        let slot = board.bind(&old);
        assert!(board.wire.forwards(&old), "{}", chip.name);
        // The entry is in the cache now, so that its change is not seen in memory.
        board.unbind(slot);
        assert!(!board.wire.forwards(&old), "{}", chip.name);
        assert_eq!(board.bind(&new), slot);
        assert!(board.wire.forwards(&new), "{}", chip.name);
    }
}

#[test]
fn no_frame_meets_half_an_entry() {
    for chip in CHIPS {
        let mut board = Board::started(chip);
        for (was, is) in [(flow(2), flow6(2)), (flow6(2), flow(2)), (flow(3), flow(2))] {
            let slot = board.slot(&is);
            let entry = board.entry(&was);
            board.hw.commit(slot, &entry).unwrap();
            board.unbind(slot);
            // The engine looks, with an empty cache, after each word: `forwards` compares what
            // it makes of the frame.
            let wire = board.wire.clone();
            let ppe = board.spec.locate(slot).0;
            let control = chip.ppe_bases[ppe] + 0x320;
            board.meanwhile(move || {
                for value in [1 | (1 << 9), 1] {
                    let mut engine = wire.engine.borrow_mut();
                    engine.write(&*wire.memory, control, value);
                }
                wire.forwards(&is);
                assert!(
                    !wire.forwards(&Flow {
                        tuple: was.tuple,
                        ..is
                    }) || was.tuple == is.tuple
                );
            });
            board.bind(&is);
            board.meanwhile(|| ());
            assert!(board.wire.forwards(&is), "{}", chip.name);
            board.unbind(slot);
        }
    }
}

#[test]
fn counters_are_read_once() {
    for chip in counting() {
        let mut board = Board::started(chip);
        let ports = board.ports().to_vec();
        for port in ports {
            for flow in [from(port, &flow(4)), from(port, &flow6(4))] {
                let slot = board.bind(&flow);
                let mut bytes = 0;
                for payload in [10, 700, 1400] {
                    let frame = frame(&flow, payload);
                    // From the IP header on.
                    bytes += frame.len() as u64 - 14;
                    let (verdict, _) = board.wire.send(&flow, &frame);
                    assert!(matches!(verdict, Verdict::Forward { .. }));
                }
                let count = Count { packets: 3, bytes };
                assert_eq!(board.hw.read_mib(slot), Ok(count), "{}", chip.name);
                assert_eq!(board.hw.read_mib(slot), Ok(Count::ZERO), "{}", chip.name);
            }
        }
    }
}

#[test]
fn counters_have_their_whole_width() {
    for chip in counting() {
        let mut board = Board::started(chip);
        let mib = chip.mib.unwrap();
        let widest = |bits: u32| u64::MAX >> (64 - bits);
        for (packets, bytes) in [
            (1, 1 << 32),
            (1 << 16, 1),
            (0x0012_3456_789a, 0x1234_5678_9abc),
            (widest(mib.packet_bits), widest(mib.byte_bits)),
        ] {
            let slot = 5;
            board.wire.engine.borrow_mut().ppes_mut()[0].add_mib(slot, packets, bytes);
            let count = Count { packets, bytes };
            assert_eq!(board.hw.read_mib(slot as u16), Ok(count), "{}", chip.name);
        }
    }
}

#[test]
fn larger_packets_go_to_the_cpu() {
    for chip in CHIPS {
        let mut board = Board::started(chip);
        for tags in 0..=2_u16 {
            let mut tagged = flow(6 + tags);
            (0..tags).for_each(|vid| assert!(tagged.out_encap.push_vlan(100 + vid)));
            board.bind(&tagged);
            // That of the start, and others.
            for mtu in [1500, 1280, 1492] {
                if tags > 0 || mtu != 1500 {
                    board.hw.set_mtu(mtu).unwrap();
                }
                for (len, fits) in [(mtu - 1, true), (mtu, true), (mtu + 1, false)] {
                    let frame = frame(&tagged, len as usize - 28);
                    let (verdict, _) = board.wire.send(&tagged, &frame);
                    let left = matches!(verdict, Verdict::Forward { .. });
                    assert_eq!(left, fits, "{}: {len} of {mtu}, {tags} tags", chip.name);
                    let too_large = matches!(
                        verdict,
                        Verdict::ToCpu {
                            reason: CpuReason::ExceedMtu,
                            ..
                        }
                    );
                    assert_eq!(too_large, !fits, "{}: {verdict:?}", chip.name);
                }
            }
        }
        // One that is too large for the register is the largest there is.
        for mtu in [16_383, 16_384, u32::MAX] {
            board.hw.set_mtu(mtu).unwrap();
            assert!(board.wire.forwards(&flow(6)), "{}: {mtu}", chip.name);
        }
    }
}

#[test]
fn idle_entries_age() {
    for chip in CHIPS {
        let mut board = Board::started(chip);
        let tcp = Flow {
            l4: L4::Tcp,
            ..flow(10)
        };
        for flow in [flow(9), tcp, flow6(9)] {
            board.wire.pass(0xfff0);
            let slot = board.bind(&flow);
            let bound = |board: &mut Board| {
                let word0 = board.hw.read_word0(slot).unwrap();
                board.spec.format.is_bound(word0)
            };
            board.wire.pass(0xfff0 + 60);
            assert!(bound(&mut board), "{}: {:?}", chip.name, flow.l4);
            board.wire.pass(0xfff0 + 61);
            assert!(!bound(&mut board), "{}: {:?}", chip.name, flow.l4);
        }
    }
}

#[test]
fn the_clock_is_that_of_the_entries() {
    for chip in CHIPS {
        let mut board = Board::started(chip);
        let slot = board.bind(&flow(11));
        for now in [0, 1, 0x7f, 0xff, 0x100, 0x7fff, 0x1_8001] {
            board.wire.engine.borrow_mut().set_time(now);
            assert_eq!(board.hw.timestamp(), now as u16, "{}", chip.name);
            assert!(board.wire.forwards(&flow(11)));
            let seen = board
                .spec
                .format
                .timestamp(board.hw.read_word0(slot).unwrap());
            let bits = board.spec.format.timestamp_bits();
            assert_eq!(u32::from(seen), now & ((1 << bits) - 1), "{}", chip.name);
        }
    }
}

#[test]
fn damaged_packets_are_dropped() {
    for chip in CHIPS {
        let mut board = Board::started(chip);
        board.bind(&flow(12));
        // The header checksum of IPv4, and that of UDP.
        for at in [14 + 10, 14 + 20 + 6] {
            let mut frame = frame(&flow(12), 100);
            frame[at] ^= 0x55;
            let (verdict, _) = board.wire.send(&flow(12), &frame);
            assert_eq!(verdict, Verdict::Drop, "{}: byte {at}", chip.name);
        }
    }
}

#[test]
fn health_of_an_engine_that_was_reset() {
    for chip in CHIPS {
        let mut board = Board::started(chip);
        assert_eq!(board.hw.check(), Ok(true), "{}", chip.name);
        let slot = board.bind(&flow(13));
        let before = Board::new(chip).forwards();
        board.wire.engine.borrow_mut().reset();
        assert_eq!(board.hw.check(), Ok(false), "{}", chip.name);
        assert!(board.hw.is_alive());
        // What was bound must not be forwarded by what comes back.
        board.hw.invalidate(slot).unwrap();
        board.restart().unwrap();
        assert_eq!(board.hw.check(), Ok(true), "{}", chip.name);
        assert!(!board.wire.forwards(&flow(13)), "{}", chip.name);
        board.bind(&flow(13));
        assert!(board.wire.forwards(&flow(13)), "{}", chip.name);
        // The ports are restored to what was found at the first start, not after the reset.
        board.hw.stop().unwrap();
        assert_eq!(board.forwards(), before, "{}", chip.name);
    }
}

#[test]
fn each_ppe_is_asked_for_its_health() {
    for chip in CHIPS {
        for ppe in 0..chip.ppe_bases.len() {
            let mut board = Board::started(chip);
            board.wire.engine.borrow_mut().ppes_mut()[ppe].reset();
            assert_eq!(board.hw.check(), Ok(false), "{}: PPE {ppe}", chip.name);
        }
    }
}

#[test]
fn a_ppe_that_somebody_else_runs_is_not_healthy() {
    for chip in CHIPS {
        for (register, value) in [(0x220, 0x1000), (0x200, 0)] {
            let mut board = Board::started(chip);
            board.set_register(chip.ppe_bases[0] + register, value);
            assert_eq!(board.hw.check(), Ok(false), "{}: {register:#x}", chip.name);
        }
    }
}

#[test]
fn memory_has_to_be_that_of_the_chip() {
    for chip in CHIPS {
        for tables in 0..=MAX_PPES {
            let fits = tables == chip.ppe_bases.len();
            let board = Board::with_tables(chip, tables);
            assert_eq!(board.is_some(), fits, "{}: {tables} tables", chip.name);
        }
        let mut board = Board::started(chip);
        let last = board.spec.slots() - 1;
        let beyond = board.spec.slots();
        assert_eq!(board.hw.read_word0(last as u16), Ok(0), "{}", chip.name);
        if let Ok(beyond) = u16::try_from(beyond) {
            assert_eq!(board.hw.read_word0(beyond), Err(HwError), "{}", chip.name);
            assert_eq!(board.hw.invalidate(beyond), Err(HwError), "{}", chip.name);
        }
        let mut words = [0; 64];
        let all = board.hw.read_entry(last as u16, &mut words);
        assert_eq!(all, Err(HwError), "{}: read beyond the end", chip.name);
    }
}
