// SPDX-License-Identifier: GPL-2.0-only
//! Time, ageing, counters, registers, faults.

mod common;

use common::*;
use vppe_model::chip::{ByteUnit, Chip, Mib, MT7986};
use vppe_model::{CpuReason, Dma, Verdict};

#[test]
fn a_hit_sets_the_timestamp_to_now() {
    let flow = Flow {
        timestamp: 10,
        ..Flow::v4(true)
    };
    let mut lab = Lab::new();
    lab.engine.set_time(10);
    let index = lab.bind(&flow);
    let ib1 = lab.ib1(index);
    lab.expect_forward(&flow.frame(b"x"));
    assert_eq!(lab.ib1(index), ib1);
    lab.engine.set_time(0x1_20);
    lab.expect_forward(&flow.frame(b"x"));
    assert_eq!(lab.ib1(index), ib1 & !0xff | 0x20);
}

/// A hit in the cache does not restore an entry that the driver removed or replaced.
#[test]
fn a_stale_hit_leaves_memory_alone() {
    let flow = Flow::v4(true);
    let mut lab = Lab::new();
    let index = lab.bind(&flow);
    lab.expect_forward(&flow.frame(b"x"));
    lab.engine.set_time(3);
    lab.set_ib1(index, 0);
    lab.expect_forward(&flow.frame(b"x"));
    assert_eq!(lab.ib1(index), 0);
    // Another flow, with the same first word.
    let other = Flow {
        sport: 1,
        ..flow.clone()
    };
    lab.put(index, &other);
    lab.engine.set_time(4);
    lab.expect_forward(&flow.frame(b"x"));
    assert_eq!(lab.ib1(index) & 0xff, 0);
}

#[test]
fn idle_entries_age() {
    for (flow, age) in [
        (Flow::v4(true), 12),
        (Flow::v4(false), 7),
        (Flow::v6(true), 12),
    ] {
        let mut lab = Lab::new();
        let index = lab.bind(&flow);
        lab.expect_forward(&flow.frame(b"x"));
        lab.pass(age);
        lab.expect_forward(&flow.frame(b"x")); // a hit, at time `age`
        lab.pass(2 * age);
        assert_eq!(lab.ib1(index) >> 28 & 3, 2, "not older than its age");
        assert_eq!(lab.read(0x224), 1);
        lab.pass(2 * age + 1);
        assert_eq!(lab.ib1(index) >> 28 & 3, 0);
        assert_eq!(lab.read(0x224), 0);
        // The driver need not clear the cache: the age scan updates it.
        lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
        assert_eq!(lab.engine.ppes()[0].stats().aged, 1);
    }
}

#[test]
fn age_goes_across_the_wrap_of_the_timestamp() {
    let flow = Flow {
        timestamp: 250,
        ..Flow::v4(true)
    };
    let mut lab = Lab::new();
    let index = lab.bind(&flow);
    lab.pass(512 + 6);
    assert_eq!(lab.ib1(index) >> 28 & 3, 2);
    lab.pass(512 + 7);
    assert_eq!(lab.ib1(index) >> 28 & 3, 0);
}

#[test]
fn what_does_not_age() {
    let flow = Flow::v4(true);
    for (tb_cfg, why) in [
        (TB_CFG & !(1 << 10), "AGE_UDP off"),
        (TB_CFG & !(3 << 16), "scan off"),
    ] {
        let mut lab = Lab::new();
        lab.write(0x21c, tb_cfg);
        let index = lab.bind(&flow);
        lab.pass(100);
        assert_eq!(lab.ib1(index) >> 28 & 3, 2, "{why}");
        assert_eq!(lab.read(0x224), 1);
    }
    let mut lab = Lab::new();
    let index = lab.bind(&Flow {
        is_static: true,
        ..flow
    });
    lab.pass(100);
    assert_eq!(lab.ib1(index) >> 28 & 3, 2);
    lab.expect_forward(&Flow::v4(true).frame(b"x"));
}

#[test]
fn unbound_and_closing_entries_age() {
    let mut lab = Lab::new();
    lab.set_ib1(0, 1 << 28 | 500 << 8 | 10);
    lab.set_ib1(1, 3 << 28 | 10);
    lab.pass(11);
    assert_eq!(lab.ib1(1) >> 28, 3);
    lab.pass(12);
    assert_eq!(lab.ib1(1) >> 28, 0, "closing: 1");
    lab.pass(13);
    assert_eq!(lab.ib1(0) >> 28, 1);
    lab.pass(14);
    assert_eq!(lab.ib1(0) >> 28, 0, "unbound: 3");
}

#[test]
fn the_scan_is_bounded() {
    let mut lab = Lab::new();
    for index in [0, 99, 100] {
        lab.set_ib1(index, 1 << 28);
    }
    lab.engine.set_time(100);
    lab.engine.tick(&lab.memory, 100);
    assert_eq!([0, 99, 100].map(|i| lab.ib1(i) >> 28), [0, 0, 1]);
    lab.engine.tick(&lab.memory, 1);
    assert_eq!(lab.ib1(100) >> 28, 0);
}

/// The MIB counts layer-3 bytes without padding.
#[test]
fn the_mib_is_exact() {
    for flow in [
        Flow::v4(true),
        Flow::v4(false),
        Flow::v6(true),
        Flow::v6(false),
    ] {
        let mut lab = Lab::new();
        let index = lab.bind(&flow);
        let mut bytes = 0;
        for len in [0, 1, 18, 1000, 1400] {
            let frame = flow.frame(&vec![9; len]);
            bytes += (frame.len() - 14) as u64;
            lab.expect_forward(&frame);
        }
        let mut padded = flow.frame(b"");
        bytes += (padded.len() - 14) as u64;
        padded.resize(80, 0);
        lab.expect_forward(&padded);
        assert_eq!(lab.mib(index), (6, bytes));
        assert_eq!(lab.mib(index), (0, 0), "cleared by the read");
        lab.write(0x334, 1);
        lab.expect_forward(&flow.frame(b""));
        let once = lab.mib(index);
        assert_eq!(once.0, 1);
        assert_eq!(lab.mib(index), once, "not cleared without RD_CLR");
    }
}

/// The unit of the byte counters is a property of the chip.
#[test]
fn a_chip_may_count_layer_2() {
    static CHIP: Chip = Chip {
        mib: match MT7986.mib {
            Some(mib) => Some(Mib {
                byte_unit: ByteUnit::Layer2,
                ..mib
            }),
            None => None,
        },
        ..MT7986
    };
    let flow = Flow::v4(true);
    let mut lab = Lab::on(&CHIP);
    let index = lab.bind(&flow);
    let frame = flow.frame(b"0123456789");
    lab.expect_forward(&frame);
    assert_eq!(lab.mib(index), (1, frame.len() as u64));
}

#[test]
fn what_the_mib_does_not_count() {
    let flow = Flow::v4(true);
    let mut lab = Lab::new();
    let index = lab.bind(&Flow {
        counted: false,
        ..flow.clone()
    });
    lab.expect_forward(&flow.frame(b"x"));
    assert_eq!(lab.mib(index), (0, 0), "MIB_CNT off");
    lab.bind(&flow);
    lab.write(0x334, 2);
    lab.expect_forward(&flow.frame(b"x"));
    assert_eq!(lab.mib(index), (0, 0), "MIB off");
    lab.write(0x334, 3);
    lab.expect_cpu(&flow.frame_with(1, b"x"), CpuReason::HitTtl1);
    assert_eq!(lab.mib(index), (0, 0), "to the CPU");
}

#[test]
fn the_mib_wraps_at_its_widths() {
    let flow = Flow::v4(true);
    let mut lab = Lab::new();
    let index = lab.bind(&flow);
    lab.expect_forward(&flow.frame(b"x"));
    lab.mib(index);
    lab.engine.ppes_mut()[0].add_mib(index, (1 << 40) - 1, (1 << 48) - 1);
    lab.write(0x334, 1);
    assert_eq!(lab.mib(index), ((1 << 40) - 1, (1 << 48) - 1));
    lab.write(0x334, 3);
    lab.expect_forward(&flow.frame(b"x"));
    let view = &lab.engine.ppes()[0].entries(&lab.memory)[0];
    assert_eq!((view.packets, view.bytes), (0, 28));
    assert_eq!(lab.mib(index), (0, 28));
}

#[test]
fn a_serial_read_takes_its_time() {
    let flow = Flow::v4(true);
    let mut lab = Lab::new();
    lab.engine.ppes_mut()[0].set_mib_busy_reads(3);
    let index = lab.bind(&flow);
    lab.expect_forward(&flow.frame(b"x"));
    lab.write(0x33c, 1 << 16 | index);
    assert_eq!(lab.read(0x340), 0, "the old value while busy");
    for _ in 0..3 {
        assert_eq!(lab.read(0x33c), 1 << 16 | index);
        lab.expect_forward(&flow.frame(b"x"));
    }
    assert_eq!(lab.read(0x33c), index);
    // The PPE forwarded two more frames before the read completed, and one after it.
    assert_eq!(lab.read(0x340), 3 * 29);
    assert_eq!(lab.mib(index), (1, 29));
    // The read wrote the table in memory too.
    let at = MIB_BASE + 16 * u64::from(index);
    assert_eq!(lab.memory.read_u32(at).unwrap(), 29);
    assert_eq!(lab.memory.read_u32(at + 4).unwrap(), 1 << 16);
    // An index outside of the table reads 0.
    lab.write(0x21c, TB_CFG & !7);
    assert_eq!(lab.mib(0x3fff), (0, 0));
}

#[test]
fn registers() {
    let mut lab = Lab::bare();
    lab.engine.set_time(0x1234_5678);
    assert_eq!(lab.engine.read(&lab.memory, 0x10), 0x1234_5678);
    lab.engine.write(&lab.memory, 0x10, 1);
    assert_eq!(lab.engine.read(&lab.memory, 0x10), 0x1234_5678);
    lab.write(0x244, 0xdead_beef);
    assert_eq!(lab.read(0x244), 0xdead_beef);
    assert_eq!(lab.engine.read(&lab.memory, 0x2400 + 0x244), 0, "PPE1");
    for hole in [0x0000, 0x0014, 0x2000, 0x21fc, 0x2800, 0xfffc] {
        lab.engine.write(&lab.memory, hole, u32::MAX);
        assert_eq!(lab.engine.read(&lab.memory, hole), 0, "{hole:#x}");
    }
    for read_only in [0x224, 0x340, 0x34c] {
        lab.write(read_only, u32::MAX);
        assert_eq!(lab.read(read_only), 0, "{read_only:#x}");
    }
    lab.write(0x200, 1 << 31 | 1);
    assert_eq!(lab.read(0x200), 1, "BUSY is the chip's");
}

#[test]
fn reset_forgets_everything() {
    let flow = Flow::v4(true);
    let mut lab = Lab::new();
    lab.bind(&flow);
    lab.expect_forward(&flow.frame(b"x"));
    lab.engine.reset();
    assert_eq!(lab.read(0x200), 0);
    assert_eq!(lab.read(0x220), 0);
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::PpeBypass);
}

#[test]
fn the_second_ppe_gets_no_frames() {
    let flow = Flow::v4(true);
    let mut lab = Lab::bare();
    lab.engine.write(&lab.memory, 0x2600, 1);
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::PpeBypass);
}

#[test]
fn fault_dead() {
    let flow = Flow::v4(true);
    let mut lab = Lab::new();
    let index = lab.bind(&flow);
    assert!(lab.engine.faults.set("dead", true, 1));
    for offset in [0x10, 0x2200, 0x2800] {
        assert_eq!(lab.engine.read(&lab.memory, offset), u32::MAX);
    }
    let (verdict, _) = lab.process(&flow.frame(b"x"));
    let bypass = Verdict::ToCpu {
        reason: CpuReason::PpeBypass,
        entry: None,
    };
    assert_eq!(verdict, bypass);
    lab.write(0x200, 0);
    lab.pass(200);
    assert_eq!(lab.ib1(index) >> 28 & 3, 2, "no ageing");
    lab.engine.faults.set("dead", false, 1);
    assert_eq!(lab.read(0x200), 1, "the write was lost");
    lab.expect_forward(&flow.frame(b"x"));
}

#[test]
fn fault_dead_from_the_third_access_on() {
    let mut lab = Lab::bare();
    lab.engine.faults.set("dead", true, 3);
    lab.write(0x244, 1);
    assert_eq!(lab.read(0x244), 1);
    lab.write(0x244, 2);
    assert_eq!(lab.read(0x244), u32::MAX);
    lab.engine.faults.set("dead", false, 1);
    assert_eq!(lab.read(0x244), 1, "the write was lost");
    lab.engine.faults.set("dead", true, 2);
    lab.engine.faults.set("dead", false, 1);
    for _ in 0..3 {
        assert_eq!(lab.read(0x244), 1);
    }
}

#[test]
fn fault_busy() {
    let mut lab = Lab::new();
    for fault in ["stuck-busy", "mib-stuck"] {
        assert!(lab.engine.faults.set(fault, true, 1));
        let busy = lab.read(0x200) >> 31;
        assert_eq!(busy, u32::from(fault == "stuck-busy"));
        lab.write(0x33c, 1 << 16);
        for _ in 0..1000 {
            assert_eq!(lab.read(0x33c) >> 16, 1);
        }
        assert!(lab.engine.faults.set(fault, false, 1));
        assert_eq!(lab.read(0x200) >> 31, 0);
        assert_eq!(lab.mib(0), (0, 0));
    }
    assert!(!lab.engine.faults.set("no-such", true, 1));
}

#[test]
fn fault_lost_writes() {
    let mut lab = Lab::bare();
    lab.engine.faults.set("lost-writes", true, 2);
    for value in 1..=3 {
        lab.write(0x244, value);
        assert_eq!(lab.read(0x244), if value == 3 { 3 } else { 0 });
    }
    lab.engine.faults.set("lost-writes", true, 2);
    lab.engine.faults.set("lost-writes", false, 0);
    lab.write(0x244, 4);
    assert_eq!(lab.read(0x244), 4);
}

#[test]
fn poke_writes_memory_and_not_the_cache() {
    let flow = Flow::v4(true);
    let mut lab = Lab::new();
    let index = lab.bind(&flow);
    lab.expect_forward(&flow.frame(b"x"));
    let words = u32::try_from(flow.entry().len() / 4).unwrap();
    let poke =
        |lab: &Lab, index, word, value| lab.engine.ppes()[0].poke(&lab.memory, index, word, value);
    assert!(poke(&lab, index, 0, 0));
    assert_eq!(lab.ib1(index), 0);
    lab.expect_forward(&flow.frame(b"x"));
    lab.clear_cache();
    assert!(lab.engine.ppes()[0].entries(&lab.memory).is_empty());
    lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);

    let last = words - 1;
    assert!(poke(&lab, index, last, 0x0102_0304));
    let at = lab.addr(index) + u64::from(last) * 4;
    assert_eq!(lab.memory.read_u32(at), Ok(0x0102_0304));
    assert!(!poke(&lab, index, words, 1));
    assert!(!poke(&lab, 1 << 14, 0, 1));
}

/// A lower bound of the model's speed; benches/frame.rs measures it.
#[test]
#[cfg_attr(debug_assertions, ignore = "measures optimised code only")]
fn two_million_packets_a_second() {
    let flow = Flow::v4(true);
    let mut lab = Lab::new();
    lab.bind(&flow);
    let frame = flow.frame(&[0x5a; 18]);
    let mut buf = vppe_model::FrameBuf::new();
    let mut best = f64::MAX;
    // The best of several short runs: other programs share the machine.
    for _ in 0..20 {
        let start = std::time::Instant::now();
        for _ in 0..20_000 {
            buf.set(&frame);
            let verdict = lab.engine.process(&lab.memory, LAN.pse, &mut buf);
            assert_eq!(verdict, TO_WAN);
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    let rate = 20_000.0 / best;
    assert!(rate >= 2e6, "{rate:.0} packets/s");
}
