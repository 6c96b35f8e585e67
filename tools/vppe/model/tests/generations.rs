// SPDX-License-Identifier: GPL-2.0-only
//! What all chips have in common, and how they differ.

mod common;

use common::*;
use vppe_model::chip::{self, Chip, CHIPS, MT7621, MT7622, MT7623, MT7986, MT7988};
use vppe_model::{CpuReason, Port, Verdict};

/// The table of chips in the facts.
#[test]
fn chips() {
    let names: Vec<_> = CHIPS.iter().map(|chip| chip.name).collect();
    let known = ["mt7621", "mt7623", "mt7622", "mt7981", "mt7986", "mt7988"];
    assert_eq!(names, known);
    for &chip in CHIPS {
        assert_eq!(format!("mt{:x}", chip.id), chip.name);
        assert!(std::ptr::eq(chip::by_name(chip.name).unwrap(), chip));
        let facts = facts(chip);
        let bases: &[u32] = match facts.netsys {
            1 => &[0x0c00],
            2 => &[0x2000, 0x2400],
            _ => &[0x2000, 0x2400, 0x2c00],
        };
        assert_eq!(chip.ppe_bases, bases);
        assert_eq!(chip.ppe_ports.len(), bases.len());
        assert_eq!(chip.gdm_ports.len(), chip.gdm_regs.len());
        let gdms: &[u8] = if facts.netsys == 3 {
            &[1, 2, 15]
        } else {
            &[1, 2]
        };
        assert_eq!(chip.gdm_ports, gdms);
        assert_eq!((chip.entry_size)(chip.entry_80b, chip.info_sel), facts.size);
        assert_eq!(chip.ways, facts.ways);
        assert_eq!(chip.mib.is_some(), facts.accounting);
        assert_eq!(chip.timestamp_reg, 0x10);
    }
    assert!(chip::by_name("mt7629").is_none());
}

/// The nibbles of the forward registers name the PPE.
#[test]
fn forward_registers() {
    for (chip, ppe, value) in [
        (&MT7621, 0, 0x4444),
        (&MT7986, 0, 0x3333),
        (&MT7986, 1, 0x4444),
        (&MT7988, 2, 0xcccc),
    ] {
        let lan = Port { ppe, ..LAN };
        let mut lab = Lab::with(chip, &[lan, WAN]);
        assert_eq!(lab.engine.read(&lab.memory, 0x500), 0x0070_0000 | value);
    }
    let third = Port::new(15, [2, 0, 0, 0, 1, 3]);
    let mut lab = Lab::with(&MT7988, &[LAN, WAN, third]);
    assert_eq!(lab.engine.read(&lab.memory, 0x540), 0x0070_3333);
}

#[test]
fn flows_are_bound_and_forwarded() {
    for &chip in CHIPS {
        for flow in flows() {
            let mut lab = Lab::on(chip);
            let frame = flow.frame(b"hello");
            lab.expect_cpu(&frame, CpuReason::UnHit);
            let index = lab.bucket(&flow);
            lab.put(index, &flow);
            // The cache still holds the free entry.
            lab.expect_cpu(&frame, CpuReason::UnHit);
            lab.clear_cache();
            let out = lab.expect_forward(&frame);
            assert_eq!(out, flow.forwarded(b"hello"), "{}", chip.name);
            // An entry that the driver removes stays in the cache.
            lab.set_ib1(index, 0);
            lab.expect_forward(&frame);
            lab.clear_cache();
            lab.expect_cpu(&frame, CpuReason::UnHit);
        }
    }
}

#[test]
fn each_way_is_found_and_no_other() {
    for chip in each_kind() {
        let ways = facts(chip).ways;
        // A port for which no way of the bucket crosses a boundary.
        let flow = (5201..)
            .map(|dport| Flow {
                dport,
                ..Flow::v4(true)
            })
            .find(|flow| Lab::on(chip).bucket(flow) % 128 == 64)
            .unwrap();
        for way in 0..=ways {
            let mut lab = Lab::on(chip);
            let index = lab.bucket(&flow) + way;
            lab.put(index, &flow);
            let (verdict, _) = lab.process(&flow.frame(b"x"));
            assert_eq!(verdict == TO_WAN, way < ways, "{} {way}", chip.name);
        }
    }
}

/// With the values of another generation the PPE looks elsewhere.
#[test]
fn entry_size_comes_from_the_registers() {
    let flow = Flow {
        dport: 5203,
        ..Flow::v4(true)
    };
    for chip in each_kind() {
        for (bits, ok) in [
            (1 << 3 | 1 << 20, facts(chip).netsys < 3),
            (1 << 3, facts(chip).netsys == 1),
            (1 << 20, facts(chip).netsys == 3),
            (0, false),
        ] {
            let mut lab = Lab::on(chip);
            let tb_cfg = lab.tb_cfg() & !(1 << 3 | 1 << 20) | bits;
            lab.write(0x21c, tb_cfg);
            lab.bind(&flow);
            let forwarded = lab.process(&flow.frame(b"x")).0 == TO_WAN;
            assert_eq!(forwarded, ok, "{} {bits:#x}", chip.name);
        }
    }
}

/// The output port is three bits wide on v1, four later.
#[test]
fn output_ports() {
    for chip in each_kind() {
        for pse in [1, 2] {
            let mut lab = Lab::on(chip);
            let flow = Flow {
                pse,
                ..Flow::v4(true)
            };
            lab.bind(&flow);
            let (verdict, _) = lab.process(&flow.frame(b"x"));
            assert_eq!(verdict, Verdict::Forward { port: pse as u8 });
        }
    }
    let third = Port::new(15, [2, 0, 0, 0, 1, 3]);
    let mut lab = Lab::with(&MT7988, &[LAN, WAN, third]);
    let flow = Flow {
        pse: 15,
        ..Flow::v6(true)
    };
    lab.bind(&flow);
    let forward = Verdict::Forward { port: 15 };
    assert_eq!(lab.process(&flow.frame(b"x")).0, forward);
    // In at the third port, out at the first.
    let back = Flow {
        pse: 1,
        ..Flow::v4(false)
    };
    lab.bind(&back);
    let mut frame = back.frame(b"x");
    frame[..6].copy_from_slice(&third.mac);
    assert_eq!(lab.process_from(15, &frame).0, Verdict::Forward { port: 1 });
}

#[test]
fn ageing() {
    for chip in each_kind() {
        let top = facts(chip).timestamp_mask + 1;
        for (flow, age) in [
            (Flow::v4(true), 12),
            (Flow::v4(false), 7),
            (Flow::v6(true), 12),
            (Flow::v6(false), 7),
        ] {
            let mut lab = Lab::on(chip);
            // A few seconds before the timestamp wraps.
            lab.engine.set_time(3 * top - 5);
            let index = lab.bind(&flow);
            lab.expect_forward(&flow.frame(b"x"));
            assert_eq!(lab.ib1(index) & (top - 1), top - 5, "{}", chip.name);
            lab.pass(3 * top - 5 + age);
            assert_eq!(lab.ib1(index) >> 28 & 3, 2, "not older than its age");
            lab.pass(3 * top - 5 + age + 1);
            assert_eq!(lab.ib1(index) >> 28 & 3, 0);
            lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
        }
    }
}

/// A hit changes only the timestamp's bits, also when they are all ones.
#[test]
fn the_timestamp_wraps_in_its_bits() {
    for chip in each_kind() {
        let mask = facts(chip).timestamp_mask;
        for flow in [Flow::v4(true), Flow::v6(false)] {
            let mut lab = Lab::on(chip);
            let index = lab.bind(&flow);
            let rest = lab.ib1(index) & !mask;
            for now in [mask, mask + 1, mask + 2, 2 * mask + 1, 2 * mask + 2] {
                lab.engine.set_time(now);
                lab.expect_forward(&flow.frame(b"x"));
                assert_eq!(lab.ib1(index), rest | now & mask, "{} {now}", chip.name);
                let register = lab.engine.read(&lab.memory, 0x10);
                assert_eq!(register, now, "the register has all bits");
            }
        }
    }
}

/// The timestamp of an unbound entry has eight bits on every chip.
#[test]
fn unbound_entries() {
    for chip in each_kind() {
        for flow in [Flow::v4(true), Flow::v6(false)] {
            let mut lab = Lab::on(chip);
            let tb_cfg = lab.tb_cfg() | 3 << 4;
            lab.write(0x21c, tb_cfg);
            lab.engine.set_time(0x12fe);
            let made = lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit).unwrap();
            assert_eq!(made, lab.bucket(&flow));
            let type_at = if facts(chip).netsys == 1 { 25 } else { 23 };
            let kind = if flow.v6 { 5 } else { 0 };
            let rest = 1 << 28 | u32::from(flow.udp) << 30 | kind << type_at;
            assert_eq!(lab.ib1(made), rest | 1 << 8 | 0xfe);
            lab.pass(0x12fe + 3);
            assert_eq!(lab.ib1(made) >> 28 & 3, 1);
            let again = lab.expect_cpu(&flow.frame(b"x"), CpuReason::HitUnbind);
            assert_eq!(again, Some(made));
            assert_eq!(lab.ib1(made), rest | 2 << 8 | 0x01);
            lab.pass(0x12fe + 7);
            assert_eq!(lab.ib1(made) >> 28 & 3, 0);
        }
    }
}

/// The packet counter of an unbound entry has sixteen bits on v1; the type above it stays.
#[test]
fn the_unbound_packet_counter_of_v1() {
    let flow = Flow::v6(true);
    let mut lab = Lab::on(&MT7622);
    let tb_cfg = lab.tb_cfg() | 3 << 4;
    lab.write(0x21c, tb_cfg);
    lab.write(0x228, 0xffff);
    let index = lab.bucket(&flow);
    lab.set_ib1(index, 1 << 30 | 1 << 28 | 5 << 25 | 0xfffe << 8);
    let key = &flow.entry_for(lab.facts)[4..0x28];
    let addr = lab.addr(index) + 4;
    vppe_model::Dma::write(&lab.memory, addr, key).unwrap();
    for _ in 0..3 {
        lab.expect_cpu(&flow.frame(b"x"), CpuReason::HitUnbind);
    }
    let ib1 = 1 << 30 | 1 << 28 | 5 << 25 | 0xffff << 8;
    assert_eq!(lab.ib1(index), ib1);
}

#[test]
fn counters() {
    for chip in each_kind().filter(|chip| facts(chip).accounting) {
        for flow in [Flow::v4(true), Flow::v6(false)] {
            let mut lab = Lab::on(chip);
            let index = lab.bind(&flow);
            let mut bytes = 0;
            for len in [0, 700, 1400] {
                let frame = flow.frame(&vec![9; len]);
                bytes += (frame.len() - 14) as u64;
                lab.expect_forward(&frame);
            }
            assert_eq!(lab.mib(index), (3, bytes), "{}", chip.name);
            assert_eq!(lab.mib(index), (0, 0), "cleared by the read");
        }
    }
}

/// The counters have 48 and 40 bits, or 64 and 64, and wrap there.
#[test]
fn widths_of_the_counters() {
    for (chip, packets, bytes) in [
        (&MT7622, (1 << 40) - 1, (1 << 48) - 1),
        (&MT7986, (1 << 40) - 1, (1 << 48) - 1),
        (&MT7988, u64::MAX, u64::MAX),
    ] {
        let flow = Flow::v4(true);
        let mut lab = Lab::on(chip);
        let index = lab.bind(&flow);
        lab.expect_forward(&flow.frame(b"x"));
        lab.mib(index);
        let odd = (0x0001_2345_6789 & packets, 0x0000_fedc_ba98_7654 & bytes);
        lab.engine.ppes_mut()[0].add_mib(index, odd.0, odd.1);
        assert_eq!(lab.mib(index), odd);
        lab.engine.ppes_mut()[0].add_mib(index, packets, bytes);
        lab.write(0x334, 1);
        assert_eq!(lab.mib(index), (packets, bytes));
        lab.write(0x334, 3);
        lab.expect_forward(&flow.frame(b"x"));
        assert_eq!(lab.mib(index), (0, 28), "{}", chip.name);
    }
}

/// Chips without counters have no MIB registers.
#[test]
fn no_counters() {
    for chip in [&MT7621, &MT7623] {
        let flow = Flow::v4(true);
        let mut lab = Lab::on(chip);
        lab.bind(&flow);
        lab.expect_forward(&flow.frame(b"x"));
        lab.write(0x33c, 1 << 16);
        for reg in (0x334..=0x350).step_by(4) {
            assert_eq!(lab.read(reg), 0, "{reg:#x}");
        }
        let view = &lab.engine.ppes()[0].entries(&lab.memory)[0];
        assert_eq!((view.packets, view.bytes), (0, 0));
        assert_eq!(lab.engine.ppes()[0].stats().mib_reads, 0);
    }
}

/// The slots of a block of 128 that cross a multiple of 1024 bytes, by arithmetic.
const CROSSING: [u32; 8] = [12, 25, 38, 51, 76, 89, 102, 115];

/// A flow whose bucket is at `index` modulo 128.
fn flow_at(chip: &'static Chip, index: u32) -> Flow {
    let lab = Lab::on(chip);
    (1..=u16::MAX)
        .map(|dport| Flow {
            dport,
            ..Flow::v4(true)
        })
        .find(|flow| lab.bucket(flow) % 128 == index)
        .unwrap()
}

#[test]
fn slots_across_a_boundary_are_unusable() {
    for slot in 0..128 {
        for (chip, ok) in [(&MT7621, !CROSSING.contains(&slot)), (&MT7623, true)] {
            let flow = flow_at(chip, slot & !1);
            let mut lab = Lab::on(chip);
            let index = lab.bucket(&flow) + slot % 2;
            lab.put(index, &flow);
            let (verdict, _) = lab.process(&flow.frame(b"x"));
            assert_eq!(verdict == TO_WAN, ok, "{} {slot}", chip.name);
            let view = &lab.engine.ppes()[0].entries(&lab.memory)[0];
            assert_eq!(view.usable, ok);
            assert_eq!(lab.engine.ppes()[0].stats().unusable, u64::from(!ok));
        }
    }
}

/// The PPE builds no entry there and finds the entry in the bucket's other slot.
#[test]
fn nothing_is_built_across_a_boundary() {
    for slot in CROSSING {
        let flow = flow_at(&MT7621, slot & !1);
        let mut lab = Lab::on(&MT7621);
        let tb_cfg = lab.tb_cfg() | 3 << 4;
        lab.write(0x21c, tb_cfg);
        let first = lab.bucket(&flow);
        let made = lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit);
        assert_eq!(made, Some(first + 1 - slot % 2), "{slot}");
        assert_eq!(lab.ib1(first + slot % 2), 0);
        lab.put(first + 1 - slot % 2, &flow);
        lab.clear_cache();
        lab.expect_forward(&flow.frame(b"x"));
        // When the usable slot is taken, the bucket is full.
        let mut lab = Lab::on(&MT7621);
        lab.write(0x21c, tb_cfg);
        lab.put(first + 1 - slot % 2, &Flow::v6(true));
        assert_eq!(lab.expect_cpu(&flow.frame(b"x"), CpuReason::UnHit), None);
    }
}

/// Each PPE has a table and counters of its own. The GDM chooses the PPE of a frame.
#[test]
fn ppes_are_apart() {
    for (chip, blocks) in [
        (&MT7986, &[0x2000, 0x2400][..]),
        (&MT7988, &[0x2000, 0x2400, 0x2c00]),
    ] {
        for (ppe, &block) in blocks.iter().enumerate() {
            let lan = Port { ppe, ..LAN };
            let mut lab = Lab::bare_with(chip, &[lan, WAN]);
            let flow = Flow::v4(true);
            lab.ppe = block;
            let tb_cfg = lab.tb_cfg();
            for (reg, value) in [
                (0x220, BASE as u32),
                (0x21c, tb_cfg),
                (0x204, 1 << 13),
                (0x320, 1),
                (0x334, 3),
                (0x200, 1),
            ] {
                lab.write(reg, value);
            }
            let index = lab.bind(&flow);
            lab.expect_in(ppe, &flow.frame(b"x"));
            assert_eq!(lab.mib(index), (1, 29));
            // The GDM of the other port sends the frame to the first PPE.
            let (verdict, _) = lab.process_from(WAN.pse, &flow.frame(b"x"));
            assert_eq!(verdict == TO_WAN, ppe == 0);
        }
    }
}
