// SPDX-License-Identifier: GPL-2.0-only
//! The protocol of the kernel's C driver, played against the model: what it writes at its
//! start, entries that the engine learns and the driver binds in place, its clean-up.
//!
//! That driver works on silicon. If the model did not forward what it asks for, the model
//! would be wrong.

mod common;

use std::collections::HashSet;

use common::*;
use vppe_model::chip::{Chip, CHIPS, MT7621, MT7988};
use vppe_model::{CpuReason, Dma, FrameBuf, FrameEngine, Port, VecMemory, Verdict};

/// A bridged pair of stations that the driver was told of.
#[derive(Debug, Clone)]
struct Bridge {
    dst: [u8; 6],
    src: [u8; 6],
    pse: u32,
}

/// A flow that the driver was told of, and where it stands.
struct Node {
    ppe: usize,
    flow: Flow,
    bound_at: Option<u32>,
}

struct Driver {
    engine: FrameEngine,
    memory: VecMemory,
    facts: Facts,
    nodes: Vec<Node>,
    bridges: Vec<Bridge>,
}

/// Registers of an engine in the order in which the driver writes them, with their values.
fn start_values(facts: Facts, table: u32) -> Vec<(u32, u32)> {
    let later = facts.netsys >= 2;
    let mut tb_cfg = 0x1f << 7 | 3 << 4 | 1 << 14 | 1 << 16 | 4;
    if later {
        tb_cfg |= 1 << 20;
    }
    if facts.netsys < 3 {
        tb_cfg |= 1 << 3;
    }
    let flow_cfg = [8, 9, 10, 12, 13, 14, 17];
    let more: &[u32] = if later { &[1, 2, 3, 19] } else { &[6, 7] };
    let bits = |bits: &[u32]| bits.iter().fold(0, |word, bit| word | 1 << bit);
    let mut values = vec![
        (0x220, table),
        (0x21c, tb_cfg),
        (0x208, u32::MAX),
        (0x320, 1 << 9), // the cache is cleared,
        (0x320, 0),
        (0x320, 1), // then switched on
        (0x204, bits(&flow_cfg) | bits(more)),
        (0x238, 1000 << 16 | 3),
        (0x23c, 1 << 16 | 12),
        (0x240, 1 << 16 | 7),
        (0x22c, 0x3fff << 16 | 0x3fff),
        (0x230, 1 << 16 | 0x3fff),
        (0x228, 1 << 16 | 30),
        (0x200, bits(&[0, 2, 3, 9])),
        (0x248, 0),
    ];
    if later {
        values.extend([(0x24c, 0xcb777), (0x374, 0x7f)]);
    }
    values
}

impl Driver {
    /// The driver's start: tables, engines, then the ports' GDMs, then the limits.
    fn start(chip: &'static Chip, ports: &[Port]) -> Self {
        let facts = facts(chip);
        let engines = chip.ppe_bases.len();
        let mut this = Self {
            engine: FrameEngine::new(chip, ports),
            memory: VecMemory::new(BASE, engines * Self::stride() as usize),
            facts,
            nodes: Vec::new(),
            bridges: Vec::new(),
        };
        for ppe in 0..engines {
            if chip.id == 0x7621 {
                // Its list of slots to keep off; one is missing in it.
                for block in (0..ENTRIES).step_by(128) {
                    for slot in [12, 25, 38, 51, 76, 89, 102] {
                        this.set_word(ppe, block + slot, 0, 1 << 31);
                    }
                }
            }
            for (reg, value) in start_values(facts, Self::table(ppe) as u32) {
                this.write(ppe, reg, value);
            }
            if facts.accounting {
                this.write(ppe, 0x338, Self::mib_table(ppe) as u32);
                this.change(ppe, 0x334, 1, 1);
                this.change(ppe, 0x334, 2, 2);
                this.change(ppe, 0x350, 1, 2);
            }
        }
        for (gdm, reg) in [(0, 0x500), (1, 0x1500), (2, 0x540)] {
            let to = match (facts.netsys, gdm) {
                (1, 0 | 1) => 0x4444,
                (_, 0) => 0x3333,
                (2 | 3, 1) => 0x4444,
                (3, 2) => 0xcccc,
                _ => continue,
            };
            let old = this.engine.read(&this.memory, reg);
            let special_tag = u32::from(ports.get(gdm).is_some_and(|port| port.special_tag));
            let new = old & !0xffff | 7 << 20 | to | special_tag << 24;
            this.engine.write(&this.memory, reg, new);
        }
        for ppe in 0..engines {
            this.write(ppe, 0x30c, 1514 | 1518 << 16);
            this.write(ppe, 0x310, 1522 | 1526 << 16);
        }
        this
    }

    fn stride() -> u64 {
        u64::from(ENTRIES) * (128 + 16)
    }

    fn table(ppe: usize) -> u64 {
        BASE + ppe as u64 * Self::stride()
    }

    fn mib_table(ppe: usize) -> u64 {
        Self::table(ppe) + u64::from(ENTRIES) * 128
    }

    fn block(&self, ppe: usize) -> u32 {
        self.facts.ppe0 + [0, 0x400, 0xc00][ppe]
    }

    fn read(&mut self, ppe: usize, reg: u32) -> u32 {
        let at = self.block(ppe) + reg;
        self.engine.read(&self.memory, at)
    }

    fn write(&mut self, ppe: usize, reg: u32, value: u32) {
        let at = self.block(ppe) + reg;
        self.engine.write(&self.memory, at, value);
    }

    fn change(&mut self, ppe: usize, reg: u32, clear: u32, set: u32) {
        let value = self.read(ppe, reg) & !clear | set;
        self.write(ppe, reg, value);
    }

    fn clear_cache(&mut self, ppe: usize) {
        self.change(ppe, 0x320, 0, 1 << 9);
        self.change(ppe, 0x320, 1 << 9, 0);
    }

    fn at(&self, ppe: usize, index: u32, offset: u64) -> u64 {
        Self::table(ppe) + u64::from(self.facts.size) * u64::from(index) + offset
    }

    fn word(&self, ppe: usize, index: u32, offset: u64) -> u32 {
        self.memory.read_u32(self.at(ppe, index, offset)).unwrap()
    }

    fn set_word(&self, ppe: usize, index: u32, offset: u64, value: u32) {
        let at = self.at(ppe, index, offset);
        self.memory.write_u32(at, value).unwrap();
    }

    fn ib1(&self, ppe: usize, index: u32) -> u32 {
        self.word(ppe, index, 0)
    }

    fn state(&self, ppe: usize, index: u32) -> u32 {
        self.ib1(ppe, index) >> 28 & 3
    }

    /// REPLACE: the flow is noted, nothing is written.
    fn replace(&mut self, ppe: usize, flow: &Flow) -> usize {
        self.nodes.push(Node {
            ppe,
            flow: flow.clone(),
            bound_at: None,
        });
        self.nodes.len() - 1
    }

    /// Body, state word, the bit that counts, cache: an entry into a place.
    fn commit(&mut self, ppe: usize, index: u32, entry: &[u8], v6: bool) {
        let now = self.engine.read(&self.memory, 0x10) & self.facts.timestamp_mask;
        let ib1 = u32::from_le_bytes(entry[..4].try_into().unwrap());
        let ib1 = ib1 & !self.facts.timestamp_mask | now;
        let body = self.at(ppe, index, 4);
        self.memory.write(body, &entry[4..]).unwrap();
        self.set_word(ppe, index, 0, ib1);
        if self.facts.accounting {
            let at = if v6 { 0x38 } else { 0x10 };
            let bit = if self.facts.netsys == 1 { 10 } else { 15 };
            let ib2 = self.word(ppe, index, at) | 1 << bit;
            self.set_word(ppe, index, at, ib2);
        }
        self.clear_cache(ppe);
    }

    /// A frame came up with HIT_UNBIND_RATE_REACHED and the index of an entry: the flow
    /// whose key the engine wrote there is bound in that very place.
    fn bind_learned(&mut self, ppe: usize, index: u32, frame: &[u8]) {
        if self.state(ppe, index) == 2 {
            return;
        }
        let type_at = if self.facts.netsys == 1 { 25 } else { 23 };
        let ib1 = self.ib1(ppe, index);
        let v6 = ib1 >> type_at & 7 == 5;
        let len = if v6 { 0x28 } else { 0x10 };
        let mut key = vec![0; len - 4];
        self.memory.read(self.at(ppe, index, 4), &mut key).unwrap();
        let found = self.nodes.iter().position(|node| {
            node.ppe == ppe
                && u32::from(node.flow.udp) == ib1 >> 30 & 1
                && node.flow.v6 == v6
                && node.flow.entry_for(self.facts)[4..len] == key
        });
        if let Some(node) = found {
            let flow = Flow {
                counted: false,
                ..self.nodes[node].flow.clone()
            };
            self.commit(ppe, index, &flow.entry_for(self.facts), v6);
            self.nodes[node].bound_at = Some(index);
            return;
        }
        let bridge = self
            .bridges
            .iter()
            .find(|bridge| frame[..6] == bridge.dst && frame[6..12] == bridge.src);
        let Some(bridge) = bridge.cloned() else {
            return;
        };
        // What the engine learned, its tuple as the new one too, the frame's own addresses.
        let mut entry = vec![0; self.facts.size as usize];
        self.memory
            .read(self.at(ppe, index, 0), &mut entry)
            .unwrap();
        let (pse_at, agent) = if self.facts.netsys == 1 {
            (5, 0x1f << 18)
        } else {
            (9, 0xf << 20)
        };
        let ttl = if self.facts.netsys == 1 {
            1 << 22 | 1 << 24
        } else {
            1 << 20 | 1 << 22
        };
        let bound = ib1 & (7 << type_at | 1 << 30) | 2 << 28 | ttl;
        entry[..4].copy_from_slice(&bound.to_le_bytes());
        let (ib2_at, l2, etype) = if v6 {
            (0x38, 0x3c, 0x86ddu16)
        } else {
            entry.copy_within(0x04..0x10, 0x14);
            (0x10, 0x2c, 0x0800)
        };
        let ib2: u32 = bridge.pse << pse_at | agent;
        entry[ib2_at..ib2_at + 4].copy_from_slice(&ib2.to_le_bytes());
        let mut put = |at: usize, bytes: &[u8]| entry[at..at + bytes.len()].copy_from_slice(bytes);
        let reversed = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<_>>();
        put(l2 + 2, &etype.to_le_bytes());
        put(l2 + 4, &reversed(&bridge.dst[..4]));
        put(l2 + 10, &reversed(&bridge.dst[4..]));
        put(l2 + 12, &reversed(&bridge.src[..4]));
        put(l2 + 18, &reversed(&bridge.src[4..]));
        self.commit(ppe, index, &entry, v6);
    }

    /// A frame from the wire, and what the driver does with it if it comes up.
    fn receive(&mut self, port: usize, pse: u8, frame: &[u8]) -> (Verdict, Vec<u8>) {
        let mut buf = FrameBuf::from_frame(frame);
        let verdict = self.engine.process(&self.memory, pse, &mut buf);
        if let Verdict::ToCpu { reason, entry } = verdict {
            assert!(buf.frame() == frame, "modified");
            if reason == CpuReason::HitUnbindRateReached {
                let ppe = port.min(self.engine.ppes().len() - 1);
                self.bind_learned(ppe, entry.unwrap(), frame);
            }
        }
        (verdict, buf.frame().to_vec())
    }

    fn lan(&mut self, frame: &[u8]) -> (Verdict, Vec<u8>) {
        self.receive(0, 1, frame)
    }

    /// The frame goes up for this reason; gives the entry it met.
    #[track_caller]
    fn up(&mut self, frame: &[u8], expected: CpuReason) -> Option<u32> {
        match self.lan(frame).0 {
            Verdict::ToCpu { reason, entry } if reason == expected => entry,
            verdict => panic!("{verdict:?}, not {expected:?}"),
        }
    }

    /// Frames in one second until the driver has bound the flow; gives the place.
    #[track_caller]
    fn learn(&mut self, frame: &[u8]) -> u32 {
        let made = self.up(frame, CpuReason::UnHit).unwrap();
        for _ in 0..29 {
            assert_eq!(self.up(frame, CpuReason::HitUnbind), Some(made));
        }
        let reached = self.up(frame, CpuReason::HitUnbindRateReached);
        assert_eq!(reached, Some(made));
        made
    }

    /// DESTROY.
    fn destroy(&mut self, node: usize) {
        let node = self.nodes.swap_remove(node);
        if let Some(index) = node.bound_at {
            let ib1 = self.ib1(node.ppe, index) & !(3 << 28);
            self.set_word(node.ppe, index, 0, ib1);
            self.clear_cache(node.ppe);
        }
    }

    /// STATS: seconds since the last hit; packets and bytes.
    fn stats(&mut self, node: usize) -> (u32, (u64, u64)) {
        let (ppe, index) = (self.nodes[node].ppe, self.nodes[node].bound_at.unwrap());
        let mask = self.facts.timestamp_mask;
        let now = self.engine.read(&self.memory, 0x10) & mask;
        let idle = now.wrapping_sub(self.ib1(ppe, index)) & mask;
        if !self.facts.accounting {
            return (idle, (0, 0));
        }
        self.write(ppe, 0x33c, 1 << 16 | index);
        while self.read(ppe, 0x33c) & 1 << 16 != 0 {}
        let [r0, r1, r2, r3] =
            [0x340, 0x344, 0x348, 0x34c].map(|reg| u64::from(self.read(ppe, reg)));
        let counts = if self.facts.netsys == 3 {
            (r3 << 32 | r2, r1 << 32 | r0)
        } else {
            ((r2 & 0xff_ffff) << 16 | r1 >> 16, (r1 & 0xffff) << 32 | r0)
        };
        (idle, counts)
    }

    fn pass(&mut self, now: u32) {
        self.engine.set_time(now);
        self.engine.tick(&self.memory, ENTRIES);
    }
}

fn translated(flow: &Flow, payload: &[u8]) -> Vec<u8> {
    let new = if flow.v6 {
        flow.clone()
    } else {
        Flow {
            src: [flow.new_src, 0, 0, 0],
            dst: [flow.new_dst, 0, 0, 0],
            sport: flow.new_sport,
            dport: flow.new_dport,
            ..flow.clone()
        }
    };
    let head = [&WAN_HOST[..], &WAN.mac, &flow.etype.to_be_bytes()].concat();
    [head, new.packet(63, payload)].concat()
}

fn flows() -> [Flow; 4] {
    [
        Flow::v4(true),
        Flow::v4(false),
        Flow::v6(true),
        Flow::v6(false),
    ]
}

/// What was written is there, and the engine takes frames.
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

/// The life of a flow: learned, bound in place, counted, idle, taken away.
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
                assert_eq!(out, translated(&flow, b"data"));
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
            // It is learned anew, in the same place, and nobody binds it.
            assert_eq!(driver.learn(&frame), index);
            driver.up(&frame, CpuReason::HitUnbindRateReached);
            assert_eq!(driver.engine.ppes()[0].stats().built, 2);
        }
    }
}

/// Thirty packets a second are not enough; and the entry goes when they end.
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

/// More flows than ways: the last one stays with the CPU until one of the others is idle.
#[test]
fn a_full_bucket_keeps_the_most_active() {
    for chip in each_kind() {
        let mut driver = Driver::start(chip, &[LAN, WAN]);
        let lab = Lab::on(chip);
        let ways = driver.facts.ways as usize;
        // Bucket 64 of a block of 128: no way of it is out of use anywhere.
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
        // All but the first go on; it ages, and the last gets its place.
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

/// Each port's GDM has its engine: the way there is bound in one, the way back in another.
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
        assert_eq!(out, translated(&back, b"answer"));
        let stats = |ppe: usize| driver.engine.ppes()[ppe].stats().forwarded;
        if second == 1 {
            assert_eq!((stats(0), stats(1)), (1, 1), "{}", chip.name);
        } else {
            assert_eq!(stats(0), 2);
        }
    }
}

/// The third port of v3 and its engine.
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
    assert_eq!(out, translated(&flow, b"x"));
    assert_eq!(driver.engine.ppes()[2].stats().forwarded, 1);
}

/// Bridged stations: each of their flows is learned, and keeps its tuple and addresses.
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
            // That driver lets the engine count the hop limit down here too.
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

/// The driver's list lacks one slot of MT7621: the flows of that bucket are served.
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

/// The driver's end: entries, cache, ageing, engine.
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

/// Many flows at once: whatever is forwarded is forwarded rightly. And how many a table
/// takes: what the engine's own choice of places reaches.
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
            assert_eq!(out, translated(&flow, b"x"));
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
