// SPDX-License-Identifier: GPL-2.0-only
//! The table in guest memory.

use crate::chip::Chip;
use crate::dma::{Dma, DmaError};
use crate::entry::{self, Raw};

/// Number of entries by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableCount {
    /// Bound entries.
    pub bound: u32,
    /// Unbound entries.
    pub unbound: u32,
    /// Entries of closing connections.
    pub fin: u32,
}

impl TableCount {
    /// Number of entries that are not free.
    pub fn used(&self) -> u32 {
        self.bound + self.unbound + self.fin
    }

    /// Counts an entry with this state word.
    pub(super) fn add(&mut self, ib1: u32) {
        match entry::IB1_STATE.get(ib1) {
            entry::STATE_UNBIND => self.unbound += 1,
            entry::STATE_BIND => self.bound += 1,
            entry::STATE_FIN => self.fin += 1,
            _ => (),
        }
    }
}

/// Place and geometry of the table.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Table {
    /// Guest-physical address; 0: the driver set no table.
    pub(super) base: u64,
    /// Number of entries.
    pub(super) entries: u32,
    /// Bytes of an entry.
    pub(super) entry_size: u32,
}

impl Table {
    /// Returns the address of an entry.
    #[inline]
    pub(super) fn addr(&self, index: u32) -> u64 {
        self.base + u64::from(index) * u64::from(self.entry_size)
    }

    /// Returns whether the PPE can use the entry.
    #[inline]
    pub(super) fn usable(&self, chip: &Chip, index: u32) -> bool {
        chip.usable(self.addr(index), self.entry_size)
    }

    /// Reads the state word of an entry.
    pub(super) fn read_ib1(&self, dma: &impl Dma, index: u32) -> Result<u32, DmaError> {
        dma.read_u32(self.addr(index))
    }

    /// Replaces the state word of an entry if it is still `old`; returns whether it was.
    pub(super) fn replace_ib1(
        &self,
        dma: &impl Dma,
        index: u32,
        old: u32,
        new: u32,
    ) -> Result<bool, DmaError> {
        dma.cas_u32(self.addr(index), old, new)
    }

    /// Reads an entry.
    pub(super) fn read(&self, dma: &impl Dma, index: u32) -> Result<Raw, DmaError> {
        let mut raw = Raw::FREE;
        let addr = self.addr(index);
        // First the state word, atomically: the other words are then at least as new.
        let ib1 = dma.read_u32(addr)?;
        dma.read(addr + 4, &mut raw.bytes[4..self.entry_size as usize])?;
        raw.bytes[..4].copy_from_slice(&ib1.to_le_bytes());
        Ok(raw)
    }

    /// Writes a word of an entry; returns whether the table has such a word.
    pub(super) fn write_word(&self, dma: &impl Dma, index: u32, word: u32, value: u32) -> bool {
        let at = u64::from(word) * 4;
        index < self.entries
            && at < u64::from(self.entry_size)
            && dma
                .write(self.addr(index) + at, &value.to_le_bytes())
                .is_ok()
    }

    /// Returns index and state word of each entry up to the first that cannot be read.
    pub(super) fn state_words<'a>(
        &'a self,
        dma: &'a impl Dma,
    ) -> impl Iterator<Item = (u32, u32)> + 'a {
        (0..self.entries).map_while(|index| Some((index, self.read_ib1(dma, index).ok()?)))
    }
}
