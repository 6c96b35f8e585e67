// SPDX-License-Identifier: GPL-2.0-only
//! One PPE: looks up the entry of a frame, rewrites the frame, keeps the table.

mod ageing;
mod cache;
mod config;
mod mib;
mod scribble;
mod stats;
mod table;

pub use stats::PpeStats;
pub use table::TableCount;

use crate::chip::{ByteUnit, Chip};
use crate::dma::{Dma, DmaError};
use crate::entry::{self, Entry, Key};
use crate::faults::Faults;
use crate::frame::FrameBuf;
use crate::hash;
use crate::packet::{self, Packet, Unfit};
use crate::regs::{self, Registers};
use crate::rewrite::rewrite;
use crate::verdict::{CpuReason, PsePort, Verdict};
use ageing::AgeScan;
use cache::Cache;
use config::Config;
use mib::Counters;

/// A bound entry, decoded for people.
#[derive(Debug, Clone)]
pub struct EntryView {
    /// Index in the table.
    pub index: u32,
    /// The entry as in memory.
    pub entry: Entry,
    /// The cache holds a copy.
    pub cached: bool,
    /// The copy differs from memory.
    pub stale: bool,
    /// The PPE can use an entry in this place ([`Chip::boundary`]).
    pub usable: bool,
    /// Packets in the MIB.
    pub packets: u64,
    /// Bytes in the MIB.
    pub bytes: u64,
}

/// What the frame engine tells a PPE with each frame.
pub(crate) struct Arrival<'a> {
    /// Time in ticks of the timestamp.
    pub(crate) now: u32,
    /// The frame came in with a switch's special tag.
    pub(crate) special_tag: bool,
    /// PSE ports of the board.
    pub(crate) ports: &'a [PsePort],
}

/// One PPE.
pub struct Ppe {
    chip: &'static Chip,
    regs: Registers,
    config: Config,
    cache: Cache,
    counters: Counters,
    age_scan: AgeScan,
    stats: PpeStats,
}

impl Ppe {
    /// A PPE after power-up.
    pub(crate) fn new(chip: &'static Chip) -> Self {
        let regs = Registers::new();
        Self {
            chip,
            config: Config::new(chip, &regs),
            regs,
            cache: Cache::new(0),
            counters: Counters::new(chip.mib),
            age_scan: AgeScan::default(),
            stats: PpeStats::default(),
        }
    }

    /// Brings the PPE to its state after power-up. The statistics stay.
    pub fn reset(&mut self) {
        self.regs = Registers::new();
        self.config = Config::new(self.chip, &self.regs);
        self.cache = Cache::new(0);
        self.counters.reset();
        self.age_scan = AgeScan::default();
    }

    /// Sets for how many reads of `MIB_SER_CR` a serial read stays busy.
    pub fn set_mib_busy_reads(&mut self, reads: u32) {
        self.counters.busy_reads = reads;
    }

    /// The statistics.
    pub fn stats(&self) -> &PpeStats {
        &self.stats
    }

    /// Sets the statistics to 0.
    pub fn reset_stats(&mut self) {
        self.stats = PpeStats::default();
    }

    /// Returns whether `GLO_CFG.EN` is set.
    pub fn enabled(&self) -> bool {
        self.config.enabled
    }

    /// Adds to the MIB counters of an entry, as traffic would.
    pub fn add_mib(&mut self, index: u32, packets: u64, bytes: u64) {
        self.counters.add(index, packets, bytes);
    }

    /// Decodes the registers after a write.
    fn configure(&mut self) {
        self.config = Config::new(self.chip, &self.regs);
        let entries = self.config.table.entries as usize;
        if self.config.enabled && self.cache.len() != entries {
            self.cache = Cache::new(entries);
            self.counters.resize(entries);
            self.age_scan.restart();
        }
    }

    /// Returns whether the chip has a register at this offset.
    ///
    /// **Assumption**: on a chip without counters the registers of the MIB read 0.
    fn has_register(&self, offset: u32) -> bool {
        Registers::contains(offset)
            && (self.chip.mib.is_some() || !(regs::MIB_CFG..=regs::MIB_CACHE_CTL).contains(&offset))
    }

    /// Reads the register at `offset` of the PPE's block.
    pub(crate) fn read(&mut self, dma: &impl Dma, offset: u32, faults: &Faults) -> u32 {
        if !self.has_register(offset) {
            return 0;
        }
        let value = self.regs.get(offset);
        match offset {
            regs::GLO_CFG => regs::GLO_CFG_BUSY.set(value, u32::from(faults.stuck_busy)),
            regs::TB_USED => regs::TB_USED_NUM.set(0, self.age_scan.used),
            regs::MIB_SER_CR => {
                let stuck = faults.stuck_busy || faults.mib_stuck;
                let busy = stuck || self.counters.poll(dma, &mut self.regs, &mut self.stats);
                regs::MIB_SER_CR_ST.set(value, u32::from(busy))
            }
            _ => value,
        }
    }

    /// Writes the register at `offset` of the PPE's block.
    ///
    /// **Assumption**: `CACHE_CTL.CLEAR` acts when it goes from 0 to 1. If it stays set, it
    /// does not act again.
    pub(crate) fn write(&mut self, dma: &impl Dma, offset: u32, value: u32) {
        if !self.has_register(offset) {
            return;
        }
        match offset {
            regs::TB_USED | regs::MIB_SER_R0..=regs::MIB_SER_R3 => return,
            regs::GLO_CFG => self.regs.set(offset, regs::GLO_CFG_BUSY.set(value, 0)),
            regs::CACHE_CTL => {
                let old = self.regs.get(offset);
                self.regs.set(offset, value);
                if regs::CACHE_CTL_CLEAR.get(value) > regs::CACHE_CTL_CLEAR.get(old) {
                    self.cache.clear();
                    self.stats.cache_clears += 1;
                }
            }
            regs::MIB_SER_CR => {
                self.regs.set(offset, regs::MIB_SER_CR_ST.set(value, 0));
                if regs::MIB_SER_CR_ST.get(value) != 0 {
                    let index = regs::MIB_SER_CR_ADDR.get(value);
                    self.counters
                        .start_read(dma, index, &mut self.regs, &mut self.stats);
                }
            }
            _ => self.regs.set(offset, value),
        }
        self.configure();
    }

    /// Finds the way that holds `key`, in the cache.
    ///
    /// **Assumption**: a look-up reads all ways of the bucket into the cache. The first way
    /// with the key counts, bound or not. If a driver binds a flow in one way while the PPE's
    /// own unbound entry for the flow stands in an earlier way, the PPE does not forward it.
    #[inline]
    fn lookup(&mut self, dma: &impl Dma, key: &Key, first: u32) -> Result<Option<u32>, DmaError> {
        if !self.config.cached {
            self.cache.clear();
        }
        let table = &self.config.table;
        let mut found = None;
        for index in first..first + self.chip.ways {
            self.cache
                .fill(dma, table, &self.chip.layout, index, &mut self.stats)?;
            let entry = &self.cache.line(index).entry;
            if found.is_none()
                && entry.state() != entry::STATE_INVALID
                && entry.key.as_ref() == Some(key)
            {
                if table.usable(self.chip, index) {
                    found = Some(index);
                } else {
                    self.stats.unusable += 1;
                }
            }
        }
        Ok(found)
    }

    /// Decides about a frame, and rewrites it if an entry says so.
    pub(crate) fn process(
        &mut self,
        dma: &impl Dma,
        arrival: &Arrival<'_>,
        frame: &mut FrameBuf,
    ) -> Verdict {
        if !self.config.enabled {
            return self.stats.punt(CpuReason::PpeBypass, None);
        }
        let packet = match packet::parse(frame.frame(), arrival.special_tag) {
            Ok(packet) => packet,
            Err(unfit) => return self.unfit(unfit),
        };
        let flow_cfg = self.regs.get(regs::FLOW_CFG);
        if flow_cfg & family(packet.key.v6) == 0 {
            return self.stats.punt(CpuReason::NoFlow, None);
        }
        self.stats.lookups += 1;
        let first = hash::bucket(
            &packet.key,
            self.config.hash_mode,
            self.config.hash_seed,
            self.config.table.entries,
            self.chip.ways,
        );
        let Ok(found) = self.lookup(dma, &packet.key, first) else {
            return self.stats.punt(CpuReason::TableError, None);
        };
        let bound = found.filter(|&index| {
            let entry = &self.cache.line(index).entry;
            entry.state() == entry::STATE_BIND && type_enabled(self.chip, entry.ib1, flow_cfg)
        });
        let Some(index) = bound else {
            self.stats.misses += 1;
            return self.miss(dma, arrival.now, &packet, first, found);
        };
        self.stats.hits += 1;
        if let Some(reason) = self.exception(&packet, index, arrival.ports) {
            return self.stats.punt(reason, Some(index));
        }
        self.hit(dma, arrival.now, &packet, index, frame)
    }

    /// Decides about a frame that the PPE does not look up.
    ///
    /// **Assumption**: if `GLO_CFG` does not drop a kind of bad frame, the frame goes to the
    /// CPU. `IP4_L4_CS_DROP` and `TTL0_DROP` count for IPv6 too.
    fn unfit(&mut self, unfit: Unfit) -> Verdict {
        let (drop, reason) = match unfit {
            Unfit::Cpu(reason) => return self.stats.punt(reason, None),
            Unfit::BadIpChecksum => (regs::GLO_CFG_IP4_CS_DROP, CpuReason::BadChecksum),
            Unfit::BadL4Checksum => (regs::GLO_CFG_IP4_L4_CS_DROP, CpuReason::BadChecksum),
            Unfit::TtlZero => (regs::GLO_CFG_TTL0_DROP, CpuReason::TtlExceeded),
        };
        if drop.get(self.regs.get(regs::GLO_CFG)) != 0 {
            self.stats.drop_frame()
        } else {
            self.stats.punt(reason, None)
        }
    }

    /// Decides about a frame without a bound entry. `found` is the index of an unbound one.
    fn miss(
        &mut self,
        dma: &impl Dma,
        now: u32,
        packet: &Packet,
        first: u32,
        found: Option<u32>,
    ) -> Verdict {
        if packet.syn_rst || packet.fin {
            return self.stats.punt(CpuReason::TcpFinSynRst, found);
        }
        if let Some(index) = found {
            return self.hit_unbound(dma, now, index);
        }
        let built = match self.config.search_miss {
            regs::SEARCH_MISS_DROP => return self.stats.drop_frame(),
            regs::SEARCH_MISS_FORWARD_BUILD => self.build(dma, now, packet, first),
            _ => None,
        };
        self.stats.punt(CpuReason::UnHit, built)
    }

    /// Builds an unbound entry in a free way; returns its index.
    ///
    /// **Assumption**: before it takes a way, the PPE looks at memory and not at its cache.
    fn build(&mut self, dma: &impl Dma, now: u32, packet: &Packet, first: u32) -> Option<u32> {
        let layout = &self.chip.layout;
        let table = &self.config.table;
        let ib1 = unbound_ib1(self.chip, &packet.key, now);
        let (mut words, len) = entry::key_words(&packet.key);
        for index in first..first + self.chip.ways {
            let old = self.stats.count_dma(table.read_ib1(dma, index))?;
            let free = entry::IB1_STATE.get(old) == entry::STATE_INVALID
                && entry::IB1_STATIC.get(old) == 0;
            if !free || !table.usable(self.chip, index) {
                continue;
            }
            let built = dma
                .write(table.addr(index) + 4, &words[4..len])
                .and_then(|()| table.replace_ib1(dma, index, old, ib1));
            if self.stats.count_dma(built) != Some(true) {
                return None;
            }
            self.stats.built += 1;
            self.age_scan.used += 1;
            words[..4].copy_from_slice(&ib1.to_le_bytes());
            let line = self.cache.line_mut(index);
            line.build(&words[..len], layout);
            line.count_packet(now);
            return Some(index);
        }
        None
    }

    /// Decides about a frame whose entry is not bound.
    fn hit_unbound(&mut self, dma: &impl Dma, now: u32, index: u32) -> Verdict {
        let rate = regs::BIND_RATE_BIND.get(self.regs.get(regs::BIND_RATE));
        let line = self.cache.line_mut(index);
        if line.entry.state() != entry::STATE_UNBIND {
            return self.stats.punt(CpuReason::HitUnbind, Some(index));
        }
        let fast = line.count_packet(now) > rate;
        let old = line.entry.ib1;
        let field = self.chip.layout.ib1_unbind_packets;
        let packets = (field.get(old) + 1).min(field.get(u32::MAX));
        let new = entry::IB1_UNBIND_TIMESTAMP.set(field.set(old, packets), now);
        line.set_ib1(new);
        let table = &self.config.table;
        self.stats
            .count_dma(table.replace_ib1(dma, index, old, new));
        let reason = if fast {
            CpuReason::HitUnbindRateReached
        } else {
            CpuReason::HitUnbind
        };
        self.stats.punt(reason, Some(index))
    }

    /// Returns why a frame goes to the CPU although its entry is bound.
    ///
    /// **Assumption**: such a frame leaves timestamp and counters alone, and FIN does not
    /// change the state.
    #[inline]
    fn exception(&mut self, packet: &Packet, index: u32, ports: &[PsePort]) -> Option<CpuReason> {
        let entry = &self.cache.line(index).entry;
        let mtu = self.config.mtu[usize::from(entry.tags).min(3)] as usize;
        let port = entry.dest_port;
        if packet.syn_rst {
            Some(CpuReason::TcpFinSynRst)
        } else if packet.fin {
            Some(CpuReason::HitBindTcpFin)
        } else if entry.decrement && packet.ttl <= 1 {
            Some(CpuReason::HitTtl1)
        } else if entry.head_len() + packet.ip_len() > mtu {
            Some(CpuReason::ExceedMtu)
        } else if !ports.contains(&port) && port != self.chip.drop_port {
            self.stats.bad_ports += u64::from(port != 0);
            Some(CpuReason::HitBindForceCpu)
        } else {
            None
        }
    }

    /// Forwards or drops a frame as its bound entry says.
    #[inline]
    fn hit(
        &mut self,
        dma: &impl Dma,
        now: u32,
        packet: &Packet,
        index: u32,
        frame: &mut FrameBuf,
    ) -> Verdict {
        let entry = &self.cache.line(index).entry;
        let port = entry.dest_port;
        let counted = entry.counted && self.config.mib;
        let stamp = self.chip.layout.ib1_timestamp;
        if stamp.get(entry.ib1) != stamp.get(stamp.set(0, now)) {
            self.touch(dma, now, index);
        }
        if counted {
            let bytes = match self.chip.mib.map(|mib| mib.byte_unit) {
                Some(ByteUnit::Layer2) => frame.frame().len(),
                _ => packet.ip_len(),
            };
            self.counters.add(index, 1, bytes as u64);
        }
        if port == self.chip.drop_port {
            return self.stats.drop_frame();
        }
        rewrite(&self.cache.line(index).entry, packet, frame);
        self.stats.forwarded += 1;
        Verdict::Forward { port }
    }

    /// Sets the timestamp of a bound entry to now.
    ///
    /// The PPE writes it to memory only if memory still holds this entry.
    fn touch(&mut self, dma: &impl Dma, now: u32, index: u32) {
        let stamp = self.chip.layout.ib1_timestamp;
        let table = &self.config.table;
        let line = self.cache.line_mut(index);
        let cached = line.entry.ib1;
        let key_end = line.entry.key.map_or(0x10, |key| key.end());
        let mut key = [0; 0x28];
        let result = table.read_ib1(dma, index).and_then(|ib1| {
            dma.read(table.addr(index) + 4, &mut key[4..key_end])?;
            let same = stamp.set(ib1, 0) == stamp.set(cached, 0)
                && key[4..key_end] == line.raw.bytes[4..key_end];
            if same {
                table.replace_ib1(dma, index, ib1, stamp.set(ib1, now))?;
            }
            Ok(())
        });
        self.stats.count_dma(result);
        line.set_ib1(stamp.set(cached, now));
    }

    /// Looks at the next `budget` entries of the table: removes those that are too old and
    /// counts the others.
    pub(crate) fn scan(&mut self, dma: &impl Dma, now: u32, budget: u32) {
        if !self.config.has_table() {
            return;
        }
        for _ in 0..budget {
            let index = self.age_scan.at;
            let read = self.config.table.read_ib1(dma, index);
            let Some(ib1) = self.stats.count_dma(read) else {
                return;
            };
            let expired = ageing::expired(&self.regs, &self.chip.layout, now, ib1);
            if !(expired && self.remove(dma, index, ib1)) {
                self.age_scan.keep(ib1);
            }
            self.age_scan.advance(self.config.table.entries);
        }
    }

    /// Removes an entry if its state word is still `ib1`; returns whether it did.
    fn remove(&mut self, dma: &impl Dma, index: u32, ib1: u32) -> bool {
        let free = entry::IB1_STATE.set(ib1, entry::STATE_INVALID);
        let removed = self.config.table.replace_ib1(dma, index, ib1, free);
        if self.stats.count_dma(removed) != Some(true) {
            return false;
        }
        self.stats.aged += 1;
        self.age_scan.used = self.age_scan.used.saturating_sub(1);
        if self.cache.holds(index) {
            let line = self.cache.line_mut(index);
            line.set_ib1(entry::IB1_STATE.set(line.entry.ib1, entry::STATE_INVALID));
        }
        true
    }

    /// Writes a word of the table in memory; returns whether the table has such a word.
    ///
    /// The cache does not see the change.
    pub fn poke(&self, dma: &impl Dma, index: u32, word: u32, value: u32) -> bool {
        self.config.table.write_word(dma, index, word, value)
    }

    /// Writes `words` words into the table and the counters, as a broken PPE might; returns
    /// how many it wrote.
    ///
    /// `random` chooses place and value of each word.
    pub fn scribble(&mut self, dma: &impl Dma, words: u32, random: impl FnMut() -> u32) -> u32 {
        if !self.config.has_table() {
            return 0;
        }
        let table = &self.config.table;
        scribble::scribble(dma, table, &mut self.counters, words, random)
    }

    /// Counts the entries in memory, all at once.
    pub fn count(&self, dma: &impl Dma) -> TableCount {
        let mut count = TableCount::default();
        if self.config.has_table() {
            for (_, ib1) in self.config.table.state_words(dma) {
                count.add(ib1);
            }
        }
        count
    }

    /// Returns the bound entries in memory. Changes nothing.
    pub fn entries(&self, dma: &impl Dma) -> Vec<EntryView> {
        if !self.config.has_table() {
            return Vec::new();
        }
        let words = self.config.table.state_words(dma);
        words
            .filter(|&(_, ib1)| entry::IB1_STATE.get(ib1) == entry::STATE_BIND)
            .map_while(|(index, _)| self.view(dma, index))
            .collect()
    }

    fn view(&self, dma: &impl Dma, index: u32) -> Option<EntryView> {
        let raw = self.config.table.read(dma, index).ok()?;
        let cached = self.cache.holds(index);
        let (packets, bytes) = self.counters.get(index);
        Some(EntryView {
            index,
            entry: Entry::decode(&raw, &self.chip.layout),
            cached,
            stale: cached && self.cache.line(index).raw.bytes != raw.bytes,
            usable: self.config.table.usable(self.chip, index),
            packets,
            bytes,
        })
    }
}

/// The bits of `FLOW_CFG` that let the PPE look up packets of a family.
fn family(v6: bool) -> u32 {
    if v6 {
        regs::FLOW_CFG_IP6_5T_ROUTE.mask()
    } else {
        regs::FLOW_CFG_IP4_NAT.mask() | regs::FLOW_CFG_IP4_NAPT.mask()
    }
}

/// Returns whether `FLOW_CFG` enables the type of an entry.
fn type_enabled(chip: &Chip, ib1: u32, flow_cfg: u32) -> bool {
    let bit = match chip.layout.ib1_type.get(ib1) {
        entry::TYPE_IPV4_HNAPT => regs::FLOW_CFG_IP4_NAPT,
        entry::TYPE_IPV4_ROUTE => regs::FLOW_CFG_IP4_NAT,
        entry::TYPE_IPV6_5T => regs::FLOW_CFG_IP6_5T_ROUTE,
        _ => return false,
    };
    bit.get(flow_cfg) != 0
}

/// Returns the state word of an entry that the PPE builds for the first packet of a flow.
fn unbound_ib1(chip: &Chip, key: &Key, now: u32) -> u32 {
    let kind = if key.v6 {
        entry::TYPE_IPV6_5T
    } else {
        entry::TYPE_IPV4_HNAPT
    };
    let ib1 = entry::IB1_STATE.set(0, entry::STATE_UNBIND);
    let ib1 = entry::IB1_UDP.set(ib1, u32::from(key.udp));
    let ib1 = chip.layout.ib1_type.set(ib1, kind);
    let ib1 = entry::IB1_UNBIND_TIMESTAMP.set(ib1, now);
    chip.layout.ib1_unbind_packets.set(ib1, 1)
}
