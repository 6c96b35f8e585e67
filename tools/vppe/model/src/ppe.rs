// SPDX-License-Identifier: GPL-2.0-only
//! One engine: registers, entry cache, look-up, action, ageing, MIB.

use crate::chip::{ByteUnit, Chip};
use crate::csum;
use crate::dma::{Dma, DmaError};
use crate::entry::{self, Entry, Key, Raw};
use crate::frame::FrameBuf;
use crate::hash;
use crate::packet::{self, Packet, Unfit};
use crate::reason::CpuReason;
use crate::regs;
use crate::{Faults, PsePort, Verdict};

/// Words of the register block that hold registers: offsets 0x200 to 0x3ff.
const FIRST_REG: u32 = 0x200;
const REG_WORDS: usize = ((regs::BLOCK_SIZE - FIRST_REG) / 4) as usize;
/// Largest number of entries: `TB_CFG.ENTRY_NUM` up to 5.
const MAX_ENTRY_NUM: u32 = 5;

/// What an engine counted since the statistics were reset. Not visible to the guest.
#[derive(Debug, Clone)]
pub struct PpeStats {
    /// Frames that were looked up.
    pub lookups: u64,
    /// Look-ups that found a bound entry.
    pub hits: u64,
    /// Look-ups that found none.
    pub misses: u64,
    /// Frames that left through a port without the CPU.
    pub forwarded: u64,
    /// Frames discarded (wrong checksum, TTL 0, search-miss action, drop port).
    pub dropped: u64,
    /// Unbound entries that the engine made.
    pub built: u64,
    /// Entries that the age scan took away.
    pub aged: u64,
    /// Entries read from memory into the cache.
    pub cache_fills: u64,
    /// Times the cache was cleared.
    pub cache_clears: u64,
    /// Serial reads of the MIB that completed.
    pub mib_reads: u64,
    /// Accesses to guest memory that failed.
    pub dma_errors: u64,
    /// Hits whose PSE port this board does not have.
    pub bad_ports: u64,
    /// Look-ups for a flow that stands in an entry of no use ([`Chip::boundary`]).
    pub unusable: u64,
    /// Frames to the CPU, by [`CpuReason`].
    pub reasons: [u64; CpuReason::COUNT],
}

impl Default for PpeStats {
    fn default() -> Self {
        Self {
            lookups: 0,
            hits: 0,
            misses: 0,
            forwarded: 0,
            dropped: 0,
            built: 0,
            aged: 0,
            cache_fills: 0,
            cache_clears: 0,
            mib_reads: 0,
            dma_errors: 0,
            bad_ports: 0,
            unusable: 0,
            reasons: [0; CpuReason::COUNT],
        }
    }
}

/// Entries of the table in memory, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableCount {
    /// Bound.
    pub bound: u32,
    /// Unbound.
    pub unbound: u32,
    /// Closing.
    pub fin: u32,
}

impl TableCount {
    /// All that are not free.
    pub fn used(&self) -> u32 {
        self.bound + self.unbound + self.fin
    }

    fn add(&mut self, ib1: u32) {
        match entry::IB1_STATE.get(ib1) {
            entry::STATE_UNBIND => self.unbound += 1,
            entry::STATE_BIND => self.bound += 1,
            entry::STATE_FIN => self.fin += 1,
            _ => (),
        }
    }
}

/// A bound entry, decoded for people.
#[derive(Debug, Clone)]
pub struct EntryView {
    /// Index in the table.
    pub index: u32,
    /// The entry as in memory.
    pub entry: Entry,
    /// The engine has a copy in its cache.
    pub cached: bool,
    /// That copy differs from memory.
    pub stale: bool,
    /// The engine can match an entry in this place ([`Chip::boundary`]).
    pub usable: bool,
    /// Packets in the MIB.
    pub packets: u64,
    /// Bytes in the MIB.
    pub bytes: u64,
}

/// A place in the entry cache.
#[derive(Clone)]
struct Line {
    /// Filled when equal to [`Ppe::generation`].
    generation: u64,
    entry: Entry,
    /// The words the entry was decoded from.
    raw: Raw,
    /// Tick and packets within it, to find out whether an unbound flow is fast.
    rate_tick: u32,
    rate_packets: u32,
}

impl Line {
    const EMPTY: Line = Line {
        generation: 0,
        entry: Entry::FREE,
        raw: Raw {
            bytes: [0; entry::MAX_SIZE],
        },
        rate_tick: 0,
        rate_packets: 0,
    };
}

/// What the registers say, taken apart once per write.
#[derive(Debug, Clone, Copy, Default)]
struct Config {
    enabled: bool,
    base: u64,
    entries: u32,
    entry_size: u32,
    hash_mode: u32,
    hash_seed: u32,
    search_miss: u32,
    cached: bool,
    mib: bool,
    mtu: [u32; 4],
}

/// One engine.
pub struct Ppe {
    chip: &'static Chip,
    regs: [u32; REG_WORDS],
    config: Config,
    lines: Vec<Line>,
    generation: u64,
    mib: Vec<(u64, u64)>,
    /// Reads of `MIB_SER_CR` for which a serial read stays busy.
    mib_busy_reads: u32,
    mib_pending: Option<u32>,
    mib_busy: u32,
    scan_at: u32,
    scan_count: TableCount,
    used: u32,
    stats: PpeStats,
}

impl Ppe {
    /// An engine after reset.
    pub fn new(chip: &'static Chip) -> Self {
        let mut this = Self {
            chip,
            regs: [0; REG_WORDS],
            config: Config::default(),
            lines: Vec::new(),
            generation: 1,
            mib: Vec::new(),
            mib_busy_reads: 3,
            mib_pending: None,
            mib_busy: 0,
            scan_at: 0,
            scan_count: TableCount::default(),
            used: 0,
            stats: PpeStats::default(),
        };
        this.reset();
        this
    }

    /// Brings the engine to its state after power-up. The statistics stay.
    ///
    /// **Assumption**: the MTU limits come up as 1518 plus 4 per tag, all else as 0.
    pub fn reset(&mut self) {
        self.regs = [0; REG_WORDS];
        *self.reg_mut(regs::VLAN_MTU0) = 1518 | 1522 << 16;
        *self.reg_mut(regs::VLAN_MTU1) = 1526 | 1530 << 16;
        self.lines = Vec::new();
        self.mib = Vec::new();
        self.generation = 1;
        self.mib_pending = None;
        self.scan_at = 0;
        self.scan_count = TableCount::default();
        self.used = 0;
        self.configure();
    }

    /// Sets for how many reads of `MIB_SER_CR` a serial read stays busy.
    pub fn set_mib_busy_reads(&mut self, reads: u32) {
        self.mib_busy_reads = reads;
    }

    /// The statistics.
    pub fn stats(&self) -> &PpeStats {
        &self.stats
    }

    /// Sets the statistics to 0.
    pub fn reset_stats(&mut self) {
        self.stats = PpeStats::default();
    }

    /// Whether `GLO_CFG.EN` is set.
    pub fn enabled(&self) -> bool {
        self.config.enabled
    }

    /// Adds to the MIB counters of an entry, as traffic would (to see them wrap).
    pub fn add_mib(&mut self, index: u32, packets: u64, bytes: u64) {
        let Some(mib) = self.chip.mib else {
            return;
        };
        if let Some(counter) = self.mib.get_mut(index as usize) {
            counter.0 = counter.0.wrapping_add(packets) & low_bits(mib.packet_bits);
            counter.1 = counter.1.wrapping_add(bytes) & low_bits(mib.byte_bits);
        }
    }

    fn reg(&self, offset: u32) -> u32 {
        self.regs[((offset - FIRST_REG) / 4) as usize]
    }

    fn reg_mut(&mut self, offset: u32) -> &mut u32 {
        &mut self.regs[((offset - FIRST_REG) / 4) as usize]
    }

    fn configure(&mut self) {
        let tb_cfg = self.reg(regs::TB_CFG);
        let entry_num = regs::TB_CFG_ENTRY_NUM.get(tb_cfg).min(MAX_ENTRY_NUM);
        let mtu0 = self.reg(regs::VLAN_MTU0);
        let mtu1 = self.reg(regs::VLAN_MTU1);
        self.config = Config {
            enabled: regs::GLO_CFG_EN.get(self.reg(regs::GLO_CFG)) != 0,
            base: u64::from(self.reg(regs::TB_BASE)),
            entries: 1024 << entry_num,
            entry_size: (self.chip.entry_size)(
                regs::TB_CFG_ENTRY_80B.get(tb_cfg) != 0,
                regs::TB_CFG_INFO_SEL.get(tb_cfg) != 0,
            ),
            hash_mode: regs::TB_CFG_HASH_MODE.get(tb_cfg),
            hash_seed: self.reg(regs::HASH_SEED),
            search_miss: regs::TB_CFG_SEARCH_MISS.get(tb_cfg),
            cached: regs::CACHE_CTL_EN.get(self.reg(regs::CACHE_CTL)) != 0,
            mib: regs::MIB_CFG_EN.get(self.reg(regs::MIB_CFG)) != 0,
            mtu: [
                regs::VLAN_MTU_LOW.get(mtu0),
                regs::VLAN_MTU_HIGH.get(mtu0),
                regs::VLAN_MTU_LOW.get(mtu1),
                regs::VLAN_MTU_HIGH.get(mtu1),
            ],
        };
        let entries = self.config.entries as usize;
        if self.config.enabled && self.lines.len() != entries {
            self.lines = vec![Line::EMPTY; entries];
            self.mib = vec![(0, 0); entries];
            self.scan_at = 0;
            self.scan_count = TableCount::default();
        }
    }

    /// Whether the chip has a register at this offset.
    ///
    /// **Assumption**: on a chip without counters the registers of the MIB read 0.
    fn decodes(&self, offset: u32) -> bool {
        (FIRST_REG..regs::BLOCK_SIZE).contains(&offset)
            && (self.chip.mib.is_some() || !(regs::MIB_CFG..=regs::MIB_CACHE_CTL).contains(&offset))
    }

    /// Reads the register at `offset` of the engine's block.
    pub fn read(&mut self, dma: &impl Dma, offset: u32, faults: &Faults) -> u32 {
        if !self.decodes(offset) {
            return 0;
        }
        let value = self.reg(offset);
        match offset {
            regs::GLO_CFG => regs::GLO_CFG_BUSY.set(value, u32::from(faults.stuck_busy)),
            regs::TB_USED => regs::TB_USED_NUM.set(0, self.used),
            regs::MIB_SER_CR => {
                let stuck = faults.stuck_busy || faults.mib_stuck;
                let busy = stuck || self.mib_pending.is_some();
                if !stuck && busy {
                    self.mib_busy -= 1;
                    if self.mib_busy == 0 {
                        self.complete_mib(dma);
                    }
                }
                regs::MIB_SER_CR_ST.set(value, u32::from(busy))
            }
            _ => value,
        }
    }

    /// Writes the register at `offset` of the engine's block.
    ///
    /// **Assumption**: `CACHE_CTL.CLEAR` acts when it goes from 0 to 1: one that stays set
    /// does not act again. A serial read of the MIB replaces one that is under way.
    pub fn write(&mut self, dma: &impl Dma, offset: u32, value: u32) {
        if !self.decodes(offset) {
            return;
        }
        let old = self.reg(offset);
        match offset {
            regs::TB_USED | regs::MIB_SER_R0..=regs::MIB_SER_R3 => return,
            regs::GLO_CFG => *self.reg_mut(offset) = regs::GLO_CFG_BUSY.set(value, 0),
            regs::CACHE_CTL => {
                *self.reg_mut(offset) = value;
                if regs::CACHE_CTL_CLEAR.get(value) > regs::CACHE_CTL_CLEAR.get(old) {
                    self.generation += 1;
                    self.stats.cache_clears += 1;
                }
            }
            regs::MIB_SER_CR => {
                *self.reg_mut(offset) = regs::MIB_SER_CR_ST.set(value, 0);
                if regs::MIB_SER_CR_ST.get(value) != 0 {
                    self.mib_pending = Some(regs::MIB_SER_CR_ADDR.get(value));
                    self.mib_busy = self.mib_busy_reads;
                    if self.mib_busy == 0 {
                        self.complete_mib(dma);
                    }
                }
            }
            _ => *self.reg_mut(offset) = value,
        }
        self.configure();
    }

    /// Ends a serial read: the counters come into the registers (and into the table at
    /// `MIB_TB_BASE`, 16 bytes an entry), and are cleared if `MIB_CFG.RD_CLR` says so.
    fn complete_mib(&mut self, dma: &impl Dma) {
        let Some(index) = self.mib_pending.take() else {
            return;
        };
        self.stats.mib_reads += 1;
        let mut value = (0, 0);
        let clear = regs::MIB_CFG_RD_CLR.get(self.reg(regs::MIB_CFG)) != 0;
        if let Some(counter) = self.mib.get_mut(index as usize) {
            value = *counter;
            if clear {
                *counter = (0, 0);
            }
        }
        let words = self
            .chip
            .mib
            .map_or([0; 4], |mib| (mib.words)(value.0, value.1));
        let base = u64::from(self.reg(regs::MIB_TB_BASE));
        for (i, word) in (0u32..).zip(words) {
            *self.reg_mut(regs::MIB_SER_R0 + 4 * i) = word;
            if base != 0 {
                let addr = base + 16 * u64::from(index) + 4 * u64::from(i);
                let done = dma.write(addr, &word.to_le_bytes());
                self.count_dma(done);
            }
        }
    }

    fn count_dma<T>(&mut self, result: Result<T, DmaError>) -> Option<T> {
        if result.is_err() {
            self.stats.dma_errors += 1;
        }
        result.ok()
    }

    fn addr(&self, index: u32) -> u64 {
        self.config.base + u64::from(index) * u64::from(self.config.entry_size)
    }

    /// Writes a word of the table in memory, as somebody who should not would. The cache
    /// does not hear of it. Says whether there is such a word.
    pub fn poke(&self, dma: &impl Dma, index: u32, word: u32, value: u32) -> bool {
        let at = u64::from(word) * 4;
        index < self.config.entries
            && at < u64::from(self.config.entry_size)
            && dma
                .write(self.addr(index) + at, &value.to_le_bytes())
                .is_ok()
    }

    /// Whether the engine can match an entry in this place.
    fn usable(&self, index: u32) -> bool {
        self.chip.usable(self.addr(index), self.config.entry_size)
    }

    fn read_raw(&self, dma: &impl Dma, index: u32) -> Result<Raw, DmaError> {
        let mut raw = Raw {
            bytes: [0; entry::MAX_SIZE],
        };
        let addr = self.addr(index);
        // The state word first and in one piece: what follows is at least as new.
        let ib1 = dma.read_u32(addr)?;
        dma.read(addr + 4, &mut raw.bytes[4..self.config.entry_size as usize])?;
        raw.bytes[..4].copy_from_slice(&ib1.to_le_bytes());
        Ok(raw)
    }

    /// Makes sure that the entry is in the cache.
    ///
    /// **Assumption**: how fast an unbound flow is, is not part of the cache: a driver that
    /// clears the cache for one flow does not keep the others from being fast enough.
    fn fill(&mut self, dma: &impl Dma, index: u32) -> Result<(), DmaError> {
        if self.lines[index as usize].generation == self.generation {
            return Ok(());
        }
        let raw = match self.read_raw(dma, index) {
            Ok(raw) => raw,
            Err(error) => {
                self.stats.dma_errors += 1;
                return Err(error);
            }
        };
        self.stats.cache_fills += 1;
        let entry = Entry::decode(&raw, &self.chip.layout);
        let line = &mut self.lines[index as usize];
        if entry.state() != entry::STATE_UNBIND || entry.key != line.entry.key {
            line.rate_packets = 0;
        }
        line.generation = self.generation;
        line.entry = entry;
        line.raw = raw;
        Ok(())
    }

    /// Finds the way that holds `key`, in the cache.
    ///
    /// **Assumption**: a look-up brings all ways of the bucket into the cache, and the
    /// first way with the key counts, bound or not: a driver that binds a flow in one way
    /// while the engine's own unbound entry for it stands in an earlier one is not served.
    fn lookup(&mut self, dma: &impl Dma, key: &Key, first: u32) -> Result<Option<u32>, DmaError> {
        if !self.config.cached {
            self.generation += 1;
        }
        let mut found = None;
        for index in first..first + self.chip.ways {
            self.fill(dma, index)?;
            let entry = &self.lines[index as usize].entry;
            if found.is_none()
                && entry.state() != entry::STATE_INVALID
                && entry.key.as_ref() == Some(key)
            {
                if self.usable(index) {
                    found = Some(index);
                } else {
                    self.stats.unusable += 1;
                }
            }
        }
        Ok(found)
    }

    fn punt(&mut self, reason: CpuReason) -> Verdict {
        self.punt_from(reason, None)
    }

    fn punt_from(&mut self, reason: CpuReason, entry: Option<u32>) -> Verdict {
        self.stats.reasons[reason as usize] += 1;
        Verdict::ToCpu { reason, entry }
    }

    fn drop_frame(&mut self) -> Verdict {
        self.stats.dropped += 1;
        Verdict::Drop
    }

    /// Decides about a frame, and rewrites it if an entry says so. `special_tag` says that
    /// it came in with a switch's special tag; `ports` are the PSE ports of the board.
    pub fn process(
        &mut self,
        dma: &impl Dma,
        now: u32,
        special_tag: bool,
        ports: &[PsePort],
        frame: &mut FrameBuf,
    ) -> Verdict {
        if !self.config.enabled {
            return self.punt(CpuReason::PpeBypass);
        }
        let packet = match packet::parse(frame.frame(), special_tag) {
            Ok(packet) => packet,
            Err(unfit) => return self.unfit(unfit),
        };
        let flow_cfg = self.reg(regs::FLOW_CFG);
        let flows = if packet.key.v6 {
            regs::FLOW_CFG_IP6_5T_ROUTE.mask()
        } else {
            regs::FLOW_CFG_IP4_NAT.mask() | regs::FLOW_CFG_IP4_NAPT.mask()
        };
        if flow_cfg & flows == 0 {
            return self.punt(CpuReason::NoFlow);
        }
        self.stats.lookups += 1;
        let first = hash::bucket(
            &packet.key,
            self.config.hash_mode,
            self.config.hash_seed,
            self.config.entries,
            self.chip.ways,
        );
        let found = match self.lookup(dma, &packet.key, first) {
            Ok(found) => found,
            Err(_) => return self.punt(CpuReason::TableError),
        };
        let bound = found.filter(|&index| {
            let entry = &self.lines[index as usize].entry;
            entry.state() == entry::STATE_BIND && type_enabled(self.chip, entry.ib1, flow_cfg)
        });
        let Some(index) = bound else {
            self.stats.misses += 1;
            return self.miss(dma, now, &packet, first, found);
        };
        self.stats.hits += 1;
        self.hit(dma, now, &packet, index, ports, frame)
    }

    /// **Assumption**: with the `GLO_CFG` bit that drops a kind of bad frame clear, the
    /// frame goes to the CPU.
    fn unfit(&mut self, unfit: Unfit) -> Verdict {
        let (drop, reason) = match unfit {
            Unfit::Cpu(reason) => return self.punt(reason),
            Unfit::BadIpChecksum => (regs::GLO_CFG_IP4_CS_DROP, CpuReason::BadChecksum),
            Unfit::BadL4Checksum => (regs::GLO_CFG_IP4_L4_CS_DROP, CpuReason::BadChecksum),
            Unfit::TtlZero => (regs::GLO_CFG_TTL0_DROP, CpuReason::TtlExceeded),
        };
        if drop.get(self.reg(regs::GLO_CFG)) != 0 {
            self.drop_frame()
        } else {
            self.punt(reason)
        }
    }

    fn miss(
        &mut self,
        dma: &impl Dma,
        now: u32,
        packet: &Packet,
        first: u32,
        found: Option<u32>,
    ) -> Verdict {
        if packet.syn_rst || packet.fin {
            return self.punt_from(CpuReason::TcpFinSynRst, found);
        }
        if let Some(index) = found {
            return self.hit_unbound(dma, now, index);
        }
        let built = match self.config.search_miss {
            regs::SEARCH_MISS_DROP => return self.drop_frame(),
            regs::SEARCH_MISS_FORWARD_BUILD => self.build(dma, now, packet, first),
            _ => None,
        };
        self.punt_from(CpuReason::UnHit, built)
    }

    /// Makes an unbound entry in a free way; gives its index.
    ///
    /// **Assumption**: the engine looks at memory, not at its cache, before it takes a way.
    fn build(&mut self, dma: &impl Dma, now: u32, packet: &Packet, first: u32) -> Option<u32> {
        let kind = if packet.key.v6 {
            entry::TYPE_IPV6_5T
        } else {
            entry::TYPE_IPV4_HNAPT
        };
        let mut ib1 = entry::IB1_STATE.set(0, entry::STATE_UNBIND);
        ib1 = entry::IB1_UDP.set(ib1, u32::from(packet.key.udp));
        ib1 = self.chip.layout.ib1_type.set(ib1, kind);
        ib1 = entry::IB1_UNBIND_TIMESTAMP.set(ib1, now);
        ib1 = self.chip.layout.ib1_unbind_packets.set(ib1, 1);
        let (mut words, len) = entry::key_words(&packet.key);
        for index in first..first + self.chip.ways {
            let addr = self.addr(index);
            let read = dma.read_u32(addr);
            let old = self.count_dma(read)?;
            let free = entry::IB1_STATE.get(old) == entry::STATE_INVALID
                && entry::IB1_STATIC.get(old) == 0;
            if !free || !self.usable(index) {
                continue;
            }
            let built = dma
                .write(addr + 4, &words[4..len])
                .and_then(|()| dma.cas_u32(addr, old, ib1));
            if self.count_dma(built) != Some(true) {
                return None;
            }
            self.stats.built += 1;
            self.used += 1;
            words[..4].copy_from_slice(&ib1.to_le_bytes());
            let line = &mut self.lines[index as usize];
            line.raw.bytes[..len].copy_from_slice(&words[..len]);
            line.entry = Entry::decode(&line.raw, &self.chip.layout);
            line.rate_tick = now;
            line.rate_packets = 1;
            return Some(index);
        }
        None
    }

    fn hit_unbound(&mut self, dma: &impl Dma, now: u32, index: u32) -> Verdict {
        let rate = regs::BIND_RATE_BIND.get(self.reg(regs::BIND_RATE));
        let addr = self.addr(index);
        let line = &mut self.lines[index as usize];
        if line.entry.state() != entry::STATE_UNBIND {
            return self.punt_from(CpuReason::HitUnbind, Some(index));
        }
        if line.rate_tick != now {
            line.rate_tick = now;
            line.rate_packets = 0;
        }
        line.rate_packets += 1;
        let fast = line.rate_packets > rate;
        let old = line.entry.ib1;
        let field = self.chip.layout.ib1_unbind_packets;
        let packets = (field.get(old) + 1).min(field.get(u32::MAX));
        let new = field.set(old, packets);
        let new = entry::IB1_UNBIND_TIMESTAMP.set(new, now);
        line.entry.ib1 = new;
        line.raw.bytes[..4].copy_from_slice(&new.to_le_bytes());
        let written = dma.cas_u32(addr, old, new);
        self.count_dma(written);
        let reason = if fast {
            CpuReason::HitUnbindRateReached
        } else {
            CpuReason::HitUnbind
        };
        self.punt_from(reason, Some(index))
    }

    /// **Assumption**: a frame that a bound entry sends to the CPU (closing TCP, TTL 1,
    /// too large) leaves timestamp and counters alone, and FIN does not change the state.
    fn hit(
        &mut self,
        dma: &impl Dma,
        now: u32,
        packet: &Packet,
        index: u32,
        ports: &[PsePort],
        frame: &mut FrameBuf,
    ) -> Verdict {
        let entry = &self.lines[index as usize].entry;
        if packet.syn_rst {
            return self.punt_from(CpuReason::TcpFinSynRst, Some(index));
        }
        if packet.fin {
            return self.punt_from(CpuReason::HitBindTcpFin, Some(index));
        }
        if entry.decrement && packet.ttl <= 1 {
            return self.punt_from(CpuReason::HitTtl1, Some(index));
        }
        let mtu = self.config.mtu[usize::from(entry.tags).min(3)] as usize;
        if entry.head_len() + packet.ip_len() > mtu {
            return self.punt_from(CpuReason::ExceedMtu, Some(index));
        }
        let port = entry.dest_port;
        if !ports.contains(&port) && port != self.chip.drop_port {
            if port != 0 {
                self.stats.bad_ports += 1;
            }
            return self.punt_from(CpuReason::HitBindForceCpu, Some(index));
        }

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
            self.add_mib(index, 1, bytes as u64);
        }
        if port == self.chip.drop_port {
            return self.drop_frame();
        }
        rewrite(&self.lines[index as usize].entry, packet, frame);
        self.stats.forwarded += 1;
        Verdict::Forward { port }
    }

    /// Brings the timestamp of a bound entry to the present, in memory too if what is
    /// there is still this entry.
    fn touch(&mut self, dma: &impl Dma, now: u32, index: u32) {
        let stamp = self.chip.layout.ib1_timestamp;
        let addr = self.addr(index);
        let line = &self.lines[index as usize];
        let cached = line.entry.ib1;
        let key_len = match line.entry.key {
            Some(Key { v6: true, .. }) => 0x28,
            _ => 0x10,
        };
        let mut key = [0; 0x28];
        let result = dma.read_u32(addr).and_then(|ib1| {
            dma.read(addr + 4, &mut key[4..key_len])?;
            let same = stamp.set(ib1, 0) == stamp.set(cached, 0)
                && key[4..key_len] == line.raw.bytes[4..key_len];
            if same {
                dma.cas_u32(addr, ib1, stamp.set(ib1, now))?;
            }
            Ok(())
        });
        self.count_dma(result);
        let line = &mut self.lines[index as usize];
        line.entry.ib1 = stamp.set(cached, now);
        line.raw.bytes[..4].copy_from_slice(&line.entry.ib1.to_le_bytes());
    }

    /// Looks at the next `budget` entries of the table: counts them, and takes away those
    /// that are too old.
    ///
    /// **Assumption**: `UNBIND_AGE.MIN_PACKETS` has no effect, an unbound entry ages by its
    /// timestamp alone. An age is exceeded, not reached.
    pub fn scan(&mut self, dma: &impl Dma, now: u32, budget: u32) {
        if !self.config.enabled || self.config.base == 0 {
            return;
        }
        for _ in 0..budget {
            let index = self.scan_at;
            let read = dma.read_u32(self.addr(index));
            let Some(ib1) = self.count_dma(read) else {
                return;
            };
            if !self.age(dma, now, index, ib1) {
                self.scan_count.add(ib1);
            }
            self.scan_at += 1;
            if self.scan_at >= self.config.entries {
                self.used = self.scan_count.used();
                self.scan_at = 0;
                self.scan_count = TableCount::default();
            }
        }
    }

    /// Says whether the entry was taken away.
    fn age(&mut self, dma: &impl Dma, now: u32, index: u32, ib1: u32) -> bool {
        let tb_cfg = self.reg(regs::TB_CFG);
        if regs::TB_CFG_SCAN_MODE.get(tb_cfg) == 0 || entry::IB1_STATIC.get(ib1) != 0 {
            return false;
        }
        let age0 = self.reg(regs::BIND_AGE0);
        let age1 = self.reg(regs::BIND_AGE1);
        let unbind_age = regs::UNBIND_AGE_DELTA.get(self.reg(regs::UNBIND_AGE));
        let bind = self.chip.layout.ib1_timestamp;
        let (enable, delta, stamp) = match entry::IB1_STATE.get(ib1) {
            entry::STATE_UNBIND => (
                regs::TB_CFG_AGE_UNBIND,
                unbind_age,
                entry::IB1_UNBIND_TIMESTAMP,
            ),
            entry::STATE_BIND if entry::IB1_UDP.get(ib1) != 0 => {
                (regs::TB_CFG_AGE_UDP, regs::BIND_AGE0_UDP.get(age0), bind)
            }
            entry::STATE_BIND => (regs::TB_CFG_AGE_TCP, regs::BIND_AGE1_TCP.get(age1), bind),
            entry::STATE_FIN => (
                regs::TB_CFG_AGE_TCP_FIN,
                regs::BIND_AGE1_TCP_FIN.get(age1),
                bind,
            ),
            _ => return false,
        };
        let idle = now.wrapping_sub(stamp.get(ib1)) & stamp.mask();
        if enable.get(tb_cfg) == 0 || idle <= delta {
            return false;
        }
        let free = entry::IB1_STATE.set(ib1, entry::STATE_INVALID);
        let taken = dma.cas_u32(self.addr(index), ib1, free);
        if self.count_dma(taken) != Some(true) {
            return false;
        }
        self.stats.aged += 1;
        self.used = self.used.saturating_sub(1);
        let generation = self.generation;
        let line = &mut self.lines[index as usize];
        if line.generation == generation {
            line.entry.ib1 = entry::IB1_STATE.set(line.entry.ib1, entry::STATE_INVALID);
            line.raw.bytes[..4].copy_from_slice(&line.entry.ib1.to_le_bytes());
        }
        true
    }

    /// Writes `words` words into the table and the counters, as an engine that is broken
    /// might: what is written and where comes from `random`. Half of the words go into
    /// entries in use, where they do most harm; some set no more than a bit or two right
    /// or wrong. Says how many were written.
    pub fn scribble(&mut self, dma: &impl Dma, words: u32, mut random: impl FnMut() -> u32) -> u32 {
        if !self.config.enabled || self.config.base == 0 {
            return 0;
        }
        let entries = self.config.entries;
        let used: Vec<u32> = (0..entries)
            .filter(|&index| {
                let ib1 = dma.read_u32(self.addr(index)).unwrap_or(0);
                entry::IB1_STATE.get(ib1) != entry::STATE_INVALID
            })
            .collect();
        let mut written = 0;
        for _ in 0..words {
            let [what, at, word, value] = [(); 4].map(|()| random());
            let index = match used.len() {
                n @ 1.. if what & 1 != 0 => used[at as usize % n],
                _ => at % entries,
            };
            if what & 0x0e == 0 {
                self.add_mib(index, value.into(), u64::from(random()) << 16);
                written += 1;
                continue;
            }
            // Word 0 more often than others: it has the state.
            let word = match what & 0x30 {
                0 => 0,
                _ => word % (self.config.entry_size / 4),
            };
            let addr = self.addr(index) + 4 * u64::from(word);
            let value = match dma.read_u32(addr) {
                Ok(old) if what & 0x40 != 0 => old ^ 1 << (value % 32),
                _ => value,
            };
            if dma.write(addr, &value.to_le_bytes()).is_ok() {
                written += 1;
            }
        }
        written
    }

    /// Counts the entries in memory, all at once.
    pub fn count(&self, dma: &impl Dma) -> TableCount {
        let mut count = TableCount::default();
        if self.config.enabled && self.config.base != 0 {
            for index in 0..self.config.entries {
                match dma.read_u32(self.addr(index)) {
                    Ok(ib1) => count.add(ib1),
                    Err(_) => break,
                }
            }
        }
        count
    }

    /// The bound entries in memory. Changes nothing.
    pub fn entries(&self, dma: &impl Dma) -> Vec<EntryView> {
        let mut views = Vec::new();
        if !self.config.enabled || self.config.base == 0 {
            return views;
        }
        for index in 0..self.config.entries {
            let Ok(ib1) = dma.read_u32(self.addr(index)) else {
                break;
            };
            if entry::IB1_STATE.get(ib1) != entry::STATE_BIND {
                continue;
            }
            let Ok(raw) = self.read_raw(dma, index) else {
                break;
            };
            let line = &self.lines[index as usize];
            let cached = line.generation == self.generation;
            let (packets, bytes) = self.mib[index as usize];
            views.push(EntryView {
                index,
                entry: Entry::decode(&raw, &self.chip.layout),
                cached,
                stale: cached && line.raw.bytes != raw.bytes,
                usable: self.usable(index),
                packets,
                bytes,
            });
        }
        views
    }
}

fn low_bits(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}

fn type_enabled(chip: &Chip, ib1: u32, flow_cfg: u32) -> bool {
    let bit = match chip.layout.ib1_type.get(ib1) {
        entry::TYPE_IPV4_HNAPT => regs::FLOW_CFG_IP4_NAPT,
        entry::TYPE_IPV4_ROUTE => regs::FLOW_CFG_IP4_NAT,
        entry::TYPE_IPV6_5T => regs::FLOW_CFG_IP6_5T_ROUTE,
        _ => return false,
    };
    bit.get(flow_cfg) != 0
}

/// Does to the frame what the entry says.
///
/// **Assumption**: bytes behind the IP packet (padding) do not leave with it.
fn rewrite(entry: &Entry, packet: &Packet, buf: &mut FrameBuf) {
    let frame = buf.frame_mut();
    let get = |frame: &[u8], at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    if packet.key.v6 {
        if entry.decrement {
            frame[packet.l3 + 7] -= 1;
        }
    } else {
        let mut diff = 0;
        if entry.decrement {
            let ttl = packet.l3 + 8;
            let old = get(frame, ttl);
            frame[ttl] -= 1;
            diff = u32::from(!old) + u32::from(old - 0x100);
        }
        if let Some((src, dst, ports)) = entry.new {
            let addresses = packet.l3 + 12;
            frame[addresses..addresses + 4].copy_from_slice(&src.to_be_bytes());
            frame[addresses + 4..addresses + 8].copy_from_slice(&dst.to_be_bytes());
            frame[packet.l4..packet.l4 + 4].copy_from_slice(&ports.to_be_bytes());
            diff += entry.address_diff;
            let at = packet.l4 + if packet.key.udp { 6 } else { 16 };
            let check = get(frame, at);
            // A UDP packet without a checksum stays without one.
            if !(packet.key.udp && check == 0) {
                let mut check = csum::update(check, entry.address_diff + entry.port_diff);
                if packet.key.udp && check == 0 {
                    check = 0xffff;
                }
                frame[at..at + 2].copy_from_slice(&check.to_be_bytes());
            }
        }
        if diff != 0 {
            let at = packet.l3 + 10;
            let check = csum::update(get(frame, at), diff);
            frame[at..at + 2].copy_from_slice(&check.to_be_bytes());
        }
    }
    buf.truncate(packet.end);
    let (head, len) = entry.head(packet.ip_len());
    buf.replace_head(packet.l3, &head[..len]);
}
