// SPDX-License-Identifier: GPL-2.0-only
//! The C driver's protocol: start, REPLACE, DESTROY, STATS, receive path.

#![allow(unreachable_pub)] // The test program uses all of it.

use super::common::*;
use vppe_model::chip::Chip;
use vppe_model::{CpuReason, Dma, FrameBuf, FrameEngine, Port, VecMemory, Verdict};

/// A bridged pair of stations that the driver offloads.
#[derive(Debug, Clone)]
pub struct Bridge {
    pub dst: [u8; 6],
    pub src: [u8; 6],
    pub pse: u32,
}

/// A flow of REPLACE, and the index of its entry.
pub struct Node {
    pub ppe: usize,
    flow: Flow,
    pub bound_at: Option<u32>,
}

pub struct Driver {
    pub engine: FrameEngine,
    pub memory: VecMemory,
    pub facts: Facts,
    pub nodes: Vec<Node>,
    pub bridges: Vec<Bridge>,
}

/// Registers of a PPE with their values, in the order in which the driver writes them.
pub fn start_values(facts: Facts, table: u32) -> Vec<(u32, u32)> {
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
    /// Starts the driver: tables and PPEs, then the ports' GDMs, then the limits.
    pub fn start(chip: &'static Chip, ports: &[Port]) -> Self {
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
                // The driver's list of slots to avoid lacks 115.
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

    pub fn table(ppe: usize) -> u64 {
        BASE + ppe as u64 * Self::stride()
    }

    fn mib_table(ppe: usize) -> u64 {
        Self::table(ppe) + u64::from(ENTRIES) * 128
    }

    fn block(&self, ppe: usize) -> u32 {
        self.facts.ppe0 + [0, 0x400, 0xc00][ppe]
    }

    pub fn read(&mut self, ppe: usize, reg: u32) -> u32 {
        let at = self.block(ppe) + reg;
        self.engine.read(&self.memory, at)
    }

    pub fn write(&mut self, ppe: usize, reg: u32, value: u32) {
        let at = self.block(ppe) + reg;
        self.engine.write(&self.memory, at, value);
    }

    pub fn change(&mut self, ppe: usize, reg: u32, clear: u32, set: u32) {
        let value = self.read(ppe, reg) & !clear | set;
        self.write(ppe, reg, value);
    }

    pub fn clear_cache(&mut self, ppe: usize) {
        self.change(ppe, 0x320, 0, 1 << 9);
        self.change(ppe, 0x320, 1 << 9, 0);
    }

    fn at(&self, ppe: usize, index: u32, offset: u64) -> u64 {
        Self::table(ppe) + u64::from(self.facts.size) * u64::from(index) + offset
    }

    fn word(&self, ppe: usize, index: u32, offset: u64) -> u32 {
        self.memory.read_u32(self.at(ppe, index, offset)).unwrap()
    }

    pub fn set_word(&self, ppe: usize, index: u32, offset: u64, value: u32) {
        let at = self.at(ppe, index, offset);
        self.memory.write_u32(at, value).unwrap();
    }

    pub fn ib1(&self, ppe: usize, index: u32) -> u32 {
        self.word(ppe, index, 0)
    }

    pub fn state(&self, ppe: usize, index: u32) -> u32 {
        self.ib1(ppe, index) >> 28 & 3
    }

    /// Lowest bit of the packet type in IB1.
    fn type_at(&self) -> u32 {
        if self.facts.netsys == 1 {
            25
        } else {
            23
        }
    }

    /// REPLACE: the driver notes the flow and writes nothing.
    pub fn replace(&mut self, ppe: usize, flow: &Flow) -> usize {
        self.nodes.push(Node {
            ppe,
            flow: flow.clone(),
            bound_at: None,
        });
        self.nodes.len() - 1
    }

    /// Writes an entry: body, state word, the bit that counts; then clears the cache.
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

    /// A frame came up with HIT_UNBIND_RATE_REACHED and the index of an entry. The driver
    /// binds the flow whose key the PPE wrote there, in that very place.
    fn bind_learned(&mut self, ppe: usize, index: u32, frame: &[u8]) {
        if self.state(ppe, index) == 2 {
            return;
        }
        let ib1 = self.ib1(ppe, index);
        let v6 = ib1 >> self.type_at() & 7 == 5;
        let len = if v6 { 0x28 } else { 0x10 };
        let mut key = vec![0; len - 4];
        self.memory.read(self.at(ppe, index, 4), &mut key).unwrap();
        let node = self.nodes.iter_mut().find(|node| {
            node.ppe == ppe
                && u32::from(node.flow.udp) == ib1 >> 30 & 1
                && node.flow.v6 == v6
                && node.flow.entry_for(self.facts)[4..len] == key
        });
        if let Some(node) = node {
            node.bound_at = Some(index);
            let flow = Flow {
                counted: false,
                ..node.flow.clone()
            };
            self.commit(ppe, index, &flow.entry_for(self.facts), v6);
            return;
        }
        let bridge = self
            .bridges
            .iter()
            .find(|bridge| frame[..6] == bridge.dst && frame[6..12] == bridge.src);
        if let Some(bridge) = bridge.cloned() {
            self.bind_bridged(ppe, index, v6, &bridge);
        }
    }

    /// Binds a bridged flow: the key that the PPE learned, the same tuple as the new one, and
    /// the frame's own addresses.
    fn bind_bridged(&mut self, ppe: usize, index: u32, v6: bool, bridge: &Bridge) {
        let ib1 = self.ib1(ppe, index);
        let mut entry = vec![0; self.facts.size as usize];
        self.memory
            .read(self.at(ppe, index, 0), &mut entry)
            .unwrap();
        let (pse_at, agent, cache_and_ttl) = if self.facts.netsys == 1 {
            (5, 0x1f << 18, 1 << 22 | 1 << 24)
        } else {
            (9, 0xf << 20, 1 << 20 | 1 << 22)
        };
        let bound = ib1 & (7 << self.type_at() | 1 << 30) | 2 << 28 | cache_and_ttl;
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

    /// Receives a frame from the wire. If the frame goes up, the driver may bind its flow.
    pub fn receive(&mut self, port: usize, pse: u8, frame: &[u8]) -> (Verdict, Vec<u8>) {
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

    pub fn lan(&mut self, frame: &[u8]) -> (Verdict, Vec<u8>) {
        self.receive(0, 1, frame)
    }

    /// The frame goes up for this reason; returns the index of its entry.
    #[track_caller]
    pub fn up(&mut self, frame: &[u8], expected: CpuReason) -> Option<u32> {
        match self.lan(frame).0 {
            Verdict::ToCpu { reason, entry } if reason == expected => entry,
            verdict => panic!("{verdict:?}, not {expected:?}"),
        }
    }

    /// Sends frames within one second until the driver may bind the flow; returns the index.
    #[track_caller]
    pub fn learn(&mut self, frame: &[u8]) -> u32 {
        let made = self.up(frame, CpuReason::UnHit).unwrap();
        for _ in 0..29 {
            assert_eq!(self.up(frame, CpuReason::HitUnbind), Some(made));
        }
        let reached = self.up(frame, CpuReason::HitUnbindRateReached);
        assert_eq!(reached, Some(made));
        made
    }

    /// DESTROY: the driver invalidates the flow's entry.
    pub fn destroy(&mut self, node: usize) {
        let node = self.nodes.swap_remove(node);
        if let Some(index) = node.bound_at {
            let ib1 = self.ib1(node.ppe, index) & !(3 << 28);
            self.set_word(node.ppe, index, 0, ib1);
            self.clear_cache(node.ppe);
        }
    }

    /// STATS: returns seconds since the last hit, and packets and bytes.
    pub fn stats(&mut self, node: usize) -> (u32, (u64, u64)) {
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

    pub fn pass(&mut self, now: u32) {
        self.engine.set_time(now);
        self.engine.tick(&self.memory, ENTRIES);
    }
}
