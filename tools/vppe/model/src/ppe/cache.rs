// SPDX-License-Identifier: GPL-2.0-only
//! The entry cache.

use super::stats::PpeStats;
use super::table::Table;
use crate::chip::Layout;
use crate::dma::{Dma, DmaError};
use crate::entry::{self, Entry, Raw};

/// The cached copy of an entry.
#[derive(Clone)]
pub(super) struct Line {
    /// The line is valid if this number is the cache's.
    generation: u64,
    pub(super) entry: Entry,
    /// The words of the entry.
    pub(super) raw: Raw,
    /// Tick of the timestamp that `rate_packets` is for.
    rate_tick: u32,
    /// Packets of an unbound flow within that tick.
    rate_packets: u32,
}

impl Line {
    const EMPTY: Line = Line {
        generation: 0,
        entry: Entry::FREE,
        raw: Raw::FREE,
        rate_tick: 0,
        rate_packets: 0,
    };

    /// Sets the state word.
    pub(super) fn set_ib1(&mut self, ib1: u32) {
        self.entry.ib1 = ib1;
        self.raw.bytes[..4].copy_from_slice(&ib1.to_le_bytes());
    }

    /// Replaces the first words by those of an entry that the PPE built.
    pub(super) fn build(&mut self, words: &[u8], layout: &Layout) {
        self.raw.bytes[..words.len()].copy_from_slice(words);
        self.entry = Entry::decode(&self.raw, layout);
        self.rate_packets = 0;
    }

    /// Counts a packet of an unbound flow; returns the number within this tick.
    pub(super) fn count_packet(&mut self, now: u32) -> u32 {
        if self.rate_tick != now {
            self.rate_tick = now;
            self.rate_packets = 0;
        }
        self.rate_packets += 1;
        self.rate_packets
    }
}

/// The entry cache: one line for each entry of the table.
pub(super) struct Cache {
    lines: Vec<Line>,
    generation: u64,
}

impl Cache {
    /// An empty cache for a table of this number of entries.
    pub(super) fn new(entries: usize) -> Self {
        Self {
            lines: vec![Line::EMPTY; entries],
            generation: 1,
        }
    }

    /// Number of lines.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Forgets all entries.
    pub(super) fn clear(&mut self) {
        self.generation += 1;
    }

    /// Returns whether the cache holds the entry.
    #[inline]
    pub(super) fn holds(&self, index: u32) -> bool {
        self.lines[index as usize].generation == self.generation
    }

    #[inline]
    pub(super) fn line(&self, index: u32) -> &Line {
        &self.lines[index as usize]
    }

    #[inline]
    pub(super) fn line_mut(&mut self, index: u32) -> &mut Line {
        &mut self.lines[index as usize]
    }

    /// Reads the entry into the cache if the cache does not hold it.
    ///
    /// **Assumption**: the packet rate of an unbound flow is not part of the cache. A driver
    /// that clears the cache for one flow does not keep the others below `BIND_RATE`.
    #[inline]
    pub(super) fn fill(
        &mut self,
        dma: &impl Dma,
        table: &Table,
        layout: &Layout,
        index: u32,
        stats: &mut PpeStats,
    ) -> Result<(), DmaError> {
        if self.holds(index) {
            return Ok(());
        }
        let read = table.read(dma, index);
        let raw = read.inspect_err(|_| stats.dma_errors += 1)?;
        stats.cache_fills += 1;
        let entry = Entry::decode(&raw, layout);
        let line = &mut self.lines[index as usize];
        if entry.state() != entry::STATE_UNBIND || entry.key != line.entry.key {
            line.rate_packets = 0;
        }
        line.generation = self.generation;
        line.entry = entry;
        line.raw = raw;
        Ok(())
    }
}
