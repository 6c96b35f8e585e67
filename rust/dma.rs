// SPDX-License-Identifier: GPL-2.0-only

//! Memory that an engine and the CPU both read and write, in 32-bit words.

use super::bindings;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    dma::Coherent,
    prelude::*, //
};

/// A table of 32-bit words in coherent memory.
///
/// The device may write any word at any time, so each access is a single volatile one and nothing
/// read is assumed to stay.
///
/// # Invariants
///
/// `mem` is only accessed by volatile reads and writes of whole words.
pub struct WordTable {
    mem: Coherent<[u32]>,
}

impl WordTable {
    /// Allocates `words` zeroed words for `dev`. The memory is freed when the table is dropped:
    /// the device must have been stopped by then.
    pub fn new(dev: &Device<Bound>, words: usize) -> Result<Self> {
        // INVARIANT: `mem` is private and the methods below are its only users.
        Ok(Self {
            mem: Coherent::zeroed_slice(dev, words, GFP_KERNEL)?,
        })
    }

    /// The address under which the device sees the first word.
    pub fn dma_address(&self) -> u64 {
        #[cfg(kernel_7_2)]
        return self.mem.dma_handle();
        #[cfg(not(kernel_7_2))]
        self.mem.dma_address()
    }

    /// Reads word `index`, or `None` beyond the end.
    #[inline]
    pub fn read(&self, index: usize) -> Option<u32> {
        if index >= self.mem.len() {
            return None;
        }
        // SAFETY: `index` is inside of the allocation, which is aligned for `u32`. The access is
        // volatile by the type invariant, so a concurrent write by the device is no data race of
        // the abstract machine.
        Some(unsafe { self.mem.as_ptr().cast::<u32>().add(index).read_volatile() })
    }

    /// Writes word `index`. Returns whether there is such a word.
    #[inline]
    pub fn write(&self, index: usize, value: u32) -> bool {
        if index >= self.mem.len() {
            return false;
        }
        // SAFETY: As in `read()`.
        unsafe {
            self.mem
                .as_mut_ptr()
                .cast::<u32>()
                .add(index)
                .write_volatile(value)
        };
        true
    }

    /// Writes the words from `index` on, in order. Returns whether there are so many; if not,
    /// nothing is written.
    #[inline]
    pub fn write_all(&self, index: usize, values: &[u32]) -> bool {
        if index > self.mem.len() || values.len() > self.mem.len() - index {
            return false;
        }
        // SAFETY: `index` is inside of the allocation or at its end.
        let first = unsafe { self.mem.as_mut_ptr().cast::<u32>().add(index) };
        for (at, &value) in values.iter().enumerate() {
            // SAFETY: As in `read()`: so many words are left.
            unsafe { first.add(at).write_volatile(value) };
        }
        true
    }
}

/// Orders writes to coherent memory: the device sees earlier writes before later ones.
#[inline]
pub fn write_barrier() {
    // SAFETY: No requirements.
    unsafe { bindings::nft_offload_helper_dma_wmb() }
}
