// SPDX-License-Identifier: GPL-2.0-only
//! The MIB: the counters of the entries, and the port for serial reads.

use super::stats::PpeStats;
use crate::chip::Mib;
use crate::dma::Dma;
use crate::regs::{self, Registers};

/// Packets and bytes of an entry.
pub(super) type Count = (u64, u64);

/// The counters of a PPE and a serial read that is under way.
pub(super) struct Counters {
    /// Properties of the counters; `None` on a chip without counters.
    mib: Option<Mib>,
    counts: Vec<Count>,
    /// Index of the entry whose counters a serial read is for.
    pending: Option<u32>,
    /// Reads of `MIB_SER_CR` until the serial read completes.
    busy: u32,
    /// Reads of `MIB_SER_CR` for which each serial read stays busy.
    pub(super) busy_reads: u32,
}

impl Counters {
    pub(super) fn new(mib: Option<Mib>) -> Self {
        Self {
            mib,
            counts: Vec::new(),
            pending: None,
            busy: 0,
            busy_reads: 3,
        }
    }

    /// Sets all counters to 0, for a table of this number of entries.
    pub(super) fn resize(&mut self, entries: usize) {
        self.counts = vec![(0, 0); entries];
    }

    /// Brings the counters to their state after power-up.
    pub(super) fn reset(&mut self) {
        self.counts = Vec::new();
        self.pending = None;
    }

    pub(super) fn get(&self, index: u32) -> Count {
        self.counts[index as usize]
    }

    /// Adds to the counters of an entry. They wrap at their widths.
    #[inline]
    pub(super) fn add(&mut self, index: u32, packets: u64, bytes: u64) {
        let Some(mib) = self.mib else {
            return;
        };
        if let Some(count) = self.counts.get_mut(index as usize) {
            count.0 = count.0.wrapping_add(packets) & low_bits(mib.packet_bits);
            count.1 = count.1.wrapping_add(bytes) & low_bits(mib.byte_bits);
        }
    }

    /// Begins a serial read. It replaces one that is under way.
    pub(super) fn start_read(
        &mut self,
        dma: &impl Dma,
        index: u32,
        regs: &mut Registers,
        stats: &mut PpeStats,
    ) {
        self.pending = Some(index);
        self.busy = self.busy_reads;
        if self.busy == 0 {
            self.complete(dma, regs, stats);
        }
    }

    /// Brings a serial read one step further; returns whether it was still busy.
    pub(super) fn poll(
        &mut self,
        dma: &impl Dma,
        regs: &mut Registers,
        stats: &mut PpeStats,
    ) -> bool {
        if self.pending.is_none() {
            return false;
        }
        self.busy -= 1;
        if self.busy == 0 {
            self.complete(dma, regs, stats);
        }
        true
    }

    /// Completes a serial read.
    ///
    /// The counters come into the registers, and into the table at `MIB_TB_BASE` (16 bytes
    /// for each entry). `MIB_CFG.RD_CLR` sets the counters to 0.
    fn complete(&mut self, dma: &impl Dma, regs: &mut Registers, stats: &mut PpeStats) {
        let Some(index) = self.pending.take() else {
            return;
        };
        stats.mib_reads += 1;
        let mut count = (0, 0);
        if let Some(entry) = self.counts.get_mut(index as usize) {
            count = *entry;
            if regs::MIB_CFG_RD_CLR.get(regs.get(regs::MIB_CFG)) != 0 {
                *entry = (0, 0);
            }
        }
        let words = self.mib.map_or([0; 4], |mib| (mib.words)(count.0, count.1));
        let base = u64::from(regs.get(regs::MIB_TB_BASE));
        for (i, word) in (0u32..).zip(words) {
            regs.set(regs::MIB_SER_R0 + 4 * i, word);
            if base != 0 {
                let addr = base + 16 * u64::from(index) + 4 * u64::from(i);
                stats.count_dma(dma.write(addr, &word.to_le_bytes()));
            }
        }
    }
}

fn low_bits(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}
