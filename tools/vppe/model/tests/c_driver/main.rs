// SPDX-License-Identifier: GPL-2.0-only
//! The protocol of the kernel's C driver against the model: the driver's start, entries that
//! the PPE learns and the driver binds in place, the clean-up.
//!
//! That driver works on silicon. The model would be wrong if it did not forward what the
//! driver asks for.

#[path = "../common/mod.rs"]
mod common;
mod driver;

use std::collections::HashSet;

use common::*;
use driver::{start_values, Bridge, Driver};
use vppe_model::chip::{CHIPS, MT7621, MT7988};
use vppe_model::{CpuReason, Port, Verdict};

/// The registers hold what the driver wrote, and the PPE looks frames up.
#[test]
fn start() {
    for &chip in CHIPS {
        let mut driver = Driver::start(chip, &[LAN, WAN]);
        for ppe in 0..chip.ppe_bases.len() {
            let table = Driver::table(ppe) as u32;
            let mut seen = HashSet::new();
            for (reg, value) in start_values(driver.facts, table).into_iter().rev() {
                // The last value of each register.
                if seen.insert(reg) {
                    assert_eq!(driver.read(ppe, reg), value, "{} {reg:#x}", chip.name);
                }
            }
            let mib = if driver.facts.accounting { 3 } else { 0 };
            assert_eq!(driver.read(ppe, 0x334), mib);
            assert!(driver.engine.ppes()[ppe].enabled());
        }
        driver.up(&Flow::v4(true).frame(b"x"), CpuReason::UnHit);
    }
}

/// The life of a flow: learned, bound in place, counted, idle, removed.
#[test]
fn a_flow_is_learned_and_bound_in_place() {
    for &chip in CHIPS {
        for flow in flows() {
            let mut driver = Driver::start(chip, &[LAN, WAN]);
            driver.engine.set_time(1000);
            let node = driver.replace(0, &flow);
            let frame = flow.frame(b"data");
            let index = driver.learn(&frame);
            assert_eq!(driver.nodes[node].bound_at, Some(index));
            assert_eq!(driver.state(0, index), 2);
            for _ in 0..3 {
                let (verdict, out) = driver.lan(&frame);
                assert_eq!(verdict, TO_WAN, "{}", chip.name);
                assert_eq!(out, flow.forwarded(b"data"));
            }
            let counts = if driver.facts.accounting {
                (3, 3 * (frame.len() - 14) as u64)
            } else {
                (0, 0)
            };
            driver.engine.set_time(1005);
            assert_eq!(driver.stats(node), (5, counts));
            driver.lan(&frame);
            assert_eq!(driver.stats(node).0, 0);
            driver.destroy(node);
            // The PPE learns the flow anew in the same place, and the driver does not bind it.
            assert_eq!(driver.learn(&frame), index);
            driver.up(&frame, CpuReason::HitUnbindRateReached);
            assert_eq!(driver.engine.ppes()[0].stats().built, 2);
        }
    }
}

/// Thirty packets a second are too few to bind a flow. Its entry ages when they end.
#[test]
fn a_slow_flow_is_never_bound() {
    for chip in each_kind() {
        let flow = Flow::v4(true);
        let mut driver = Driver::start(chip, &[LAN, WAN]);
        driver.replace(0, &flow);
        let index = driver.up(&flow.frame(b"x"), CpuReason::UnHit).unwrap();
        for second in 1..20 {
            driver.pass(second);
            for _ in 0..30 {
                driver.up(&flow.frame(b"x"), CpuReason::HitUnbind);
            }
            assert_eq!(driver.state(0, index), 1);
        }
        driver.pass(22);
        assert_eq!(driver.state(0, index), 1);
        driver.pass(23);
        assert_eq!(driver.state(0, index), 0);
    }
}

/// With more flows than ways, the last flow stays with the CPU until another one is idle.
#[test]
fn a_full_bucket_keeps_the_most_active() {
    for chip in each_kind() {
        let mut driver = Driver::start(chip, &[LAN, WAN]);
        let lab = Lab::on(chip);
        let ways = driver.facts.ways as usize;
        // Each chip can use all ways of the bucket at slot 64.
        let flows: Vec<Flow> = (0..=u32::from(u16::MAX))
            .flat_map(|port| {
                [1, 2].map(|host| Flow {
                    src: [0xc0a8_0100 + host, 0, 0, 0],
                    dport: port as u16,
                    ..Flow::v4(true)
                })
            })
            .filter(|flow| lab.bucket(flow) == 64)
            .take(ways + 1)
            .collect();
        assert_eq!(flows.len(), ways + 1);
        let mut places = HashSet::new();
        for flow in &flows {
            driver.replace(0, flow);
        }
        for flow in &flows[..ways] {
            places.insert(driver.learn(&flow.frame(b"x")));
        }
        assert_eq!(places.len(), ways);
        let last = flows[ways].frame(b"x");
        for _ in 0..100 {
            assert_eq!(driver.up(&last, CpuReason::UnHit), None);
        }
        // The first flow ends and ages, and the last one gets its place.
        for now in 1..=13 {
            for flow in &flows[1..ways] {
                assert_eq!(driver.lan(&flow.frame(b"x")).0, TO_WAN);
            }
            driver.pass(now);
        }
        driver.learn(&last);
        assert_eq!(driver.lan(&last).0, TO_WAN);
        driver.up(&flows[0].frame(b"x"), CpuReason::UnHit);
    }
}

/// Each port's GDM has a PPE of its own, which binds the direction that comes in there.
#[test]
fn both_directions_in_their_engines() {
    for &chip in CHIPS {
        let mut driver = Driver::start(chip, &[LAN, WAN]);
        let second = usize::from(chip.ppe_bases.len() > 1);
        let there = Flow::v4(false);
        let back = Flow {
            src: there.dst,
            dst: [there.new_src, 0, 0, 0],
            sport: there.dport,
            dport: there.new_sport,
            new_src: there.dst[0],
            new_dst: there.src[0],
            new_sport: there.dport,
            new_dport: there.sport,
            pse: 1,
            ..there.clone()
        };
        driver.replace(0, &there);
        driver.replace(second, &back);
        let mut frame = back.frame(b"answer");
        frame[..6].copy_from_slice(&WAN.mac);
        for _ in 0..31 {
            driver.lan(&there.frame(b"question"));
            driver.receive(second, 2, &frame);
        }
        for node in &driver.nodes {
            assert!(node.bound_at.is_some(), "{} {}", chip.name, node.ppe);
        }
        assert_eq!(driver.lan(&there.frame(b"question")).0, TO_WAN);
        let (verdict, out) = driver.receive(second, 2, &frame);
        assert_eq!(verdict, Verdict::Forward { port: 1 });
        assert_eq!(out, back.forwarded(b"answer"));
        let stats = |ppe: usize| driver.engine.ppes()[ppe].stats().forwarded;
        if second == 1 {
            assert_eq!((stats(0), stats(1)), (1, 1), "{}", chip.name);
        } else {
            assert_eq!(stats(0), 2);
        }
    }
}

/// The third port of v3 and its PPE.
#[test]
fn the_third_engine() {
    let third = Port::new(15, [2, 0, 0, 0, 1, 3]);
    let mut driver = Driver::start(&MT7988, &[LAN, WAN, third]);
    let flow = Flow::v6(true);
    driver.replace(2, &flow);
    let mut frame = flow.frame(b"x");
    frame[..6].copy_from_slice(&third.mac);
    for _ in 0..31 {
        driver.receive(2, 15, &frame);
    }
    let (verdict, out) = driver.receive(2, 15, &frame);
    assert_eq!(verdict, TO_WAN);
    assert_eq!(out, flow.forwarded(b"x"));
    assert_eq!(driver.engine.ppes()[2].stats().forwarded, 1);
}

/// The PPE learns each flow of bridged stations. The flow keeps its tuple and addresses.
#[test]
fn bridged_flows() {
    for &chip in CHIPS {
        for flow in flows() {
            let mut driver = Driver::start(chip, &[LAN, WAN]);
            driver.bridges.push(Bridge {
                dst: WAN_HOST,
                src: LAN_HOST,
                pse: 2,
            });
            let mut frame = flow.frame(b"bridged");
            frame[..6].copy_from_slice(&WAN_HOST);
            driver.learn(&frame);
            let (verdict, out) = driver.lan(&frame);
            assert_eq!(verdict, TO_WAN, "{}", chip.name);
            // That driver lets the PPE decrement TTL or hop limit of bridged frames too.
            let packet = flow.packet(63, b"bridged");
            assert_eq!(out, [&frame[..14], &packet].concat());
        }
    }
}

#[test]
fn closing_tcp_goes_up() {
    for chip in each_kind() {
        let flow = Flow::v4(false);
        let mut driver = Driver::start(chip, &[LAN, WAN]);
        driver.replace(0, &flow);
        let index = driver.learn(&flow.frame(b"x"));
        let fin = flow.frame_tcp(64, b"", |tcp| (tcp.fin, tcp.ack) = (true, true));
        assert_eq!(driver.up(&fin, CpuReason::HitBindTcpFin), Some(index));
        assert_eq!(driver.lan(&flow.frame(b"x")).0, TO_WAN);
    }
}

/// The driver's list lacks one unusable slot of MT7621. The PPE forwards the flows of that
/// bucket nevertheless.
#[test]
fn the_slot_missing_in_the_list() {
    let lab = Lab::on(&MT7621);
    let flow = (1..=u16::MAX)
        .map(|dport| Flow {
            dport,
            ..Flow::v4(true)
        })
        .find(|flow| lab.bucket(flow) % 128 == 114)
        .unwrap();
    let mut driver = Driver::start(&MT7621, &[LAN, WAN]);
    driver.replace(0, &flow);
    let index = driver.learn(&flow.frame(b"x"));
    assert_eq!(index % 128, 114);
    assert_eq!(driver.lan(&flow.frame(b"x")).0, TO_WAN);
    assert_eq!(driver.state(0, index + 1), 0, "115 stays free");
}

/// The driver's end: entries, cache, ageing, PPE.
#[test]
fn stop() {
    for &chip in CHIPS {
        let flow = Flow::v4(true);
        let mut driver = Driver::start(chip, &[LAN, WAN]);
        driver.replace(0, &flow);
        driver.learn(&flow.frame(b"x"));
        assert_eq!(driver.lan(&flow.frame(b"x")).0, TO_WAN);
        for index in 0..ENTRIES {
            driver.set_word(0, index, 0, 0);
        }
        driver.clear_cache(0);
        driver.change(0, 0x320, 1, 0);
        driver.up(&flow.frame(b"x"), CpuReason::UnHit);
        driver.change(0, 0x21c, 0x1f << 7 | 3 << 16, 0);
        driver.pass(1000);
        assert_eq!(driver.engine.ppes()[0].stats().aged, 0, "no ageing");
        assert_eq!(driver.read(0, 0x200) >> 31, 0, "not busy");
        driver.change(0, 0x200, 1, 0);
        driver.write(0, 0x204, 0);
        driver.up(&flow.frame(b"x"), CpuReason::PpeBypass);
    }
}

/// The PPE forwards each of many flows correctly. The test also prints how many flows a table
/// holds when the PPE chooses the places.
#[test]
fn many_random_flows() {
    for chip in each_kind() {
        let (first, bound) = match facts(chip).ways {
            2 => (30, 10_000),
            _ => (300, 12_000),
        };
        let mut driver = Driver::start(chip, &[LAN, WAN]);
        // The second packet binds.
        driver.write(0, 0x228, 1 << 16);
        let mut state = 0x1234_5678_9abc_def1u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 16) as u32
        };
        let mut before_refusal = None;
        let mut count = 0;
        for n in 0..ENTRIES {
            let flow = Flow {
                src: [0xc0a8_0000 | random() & 0xffff, 0, 0, 0],
                dst: [random(), 0, 0, 0],
                sport: random() as u16,
                dport: [443, 53, 80, random() as u16][n as usize % 4],
                new_dst: random(),
                ..Flow::v4(random() & 1 == 1)
            };
            driver.nodes.clear();
            driver.replace(0, &flow);
            let frame = flow.frame(b"x");
            if driver.up(&frame, CpuReason::UnHit).is_none() {
                before_refusal.get_or_insert(n);
                continue;
            }
            driver.up(&frame, CpuReason::HitUnbindRateReached);
            let (verdict, out) = driver.lan(&frame);
            assert_eq!(verdict, TO_WAN);
            assert_eq!(out, flow.forwarded(b"x"));
            count += 1;
        }
        let before_refusal = before_refusal.unwrap();
        println!(
            "{}: {before_refusal} before the first refusal, {count} of {ENTRIES}",
            chip.name
        );
        assert!(before_refusal > first && count > bound, "{}", chip.name);
        assert_eq!(driver.engine.ppes()[0].count(&driver.memory).bound, count);
    }
}
