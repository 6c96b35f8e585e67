// SPDX-License-Identifier: GPL-2.0-only

//! Registers and tables that are memory, for the code of the module's chips.

use crate::ppe::{
    mapped::{
        self,
        MAX_PPES, //
    },
    platform::{
        self,
        HwError,
        Regs, //
    },
    spec::Spec, //
};
use core::{
    cell::Cell,
    sync::atomic::{
        fence,
        Ordering, //
    }, //
};
use kernel::prelude::*;

/// Bytes of registers.
const LEN: usize = 0x4000;

/// The register of each PPE that reads counters, from the PPE's start, and its start bit, which the
/// engine clears.
const MIB_SERIAL: usize = 0x33c;
const MIB_SERIAL_START: u32 = 1 << 16;

/// A block of 32-bit registers.
///
/// # Invariants
///
/// `base` points to [`LEN`] bytes of memory that outlive this.
pub(crate) struct Registers {
    base: *mut u32,
}

impl Registers {
    /// # Safety
    ///
    /// `base` must point to `0x4000` bytes that are freed after this was dropped.
    pub(crate) unsafe fn new(base: *mut u32) -> Self {
        // INVARIANT: By the requirement of this function.
        Self { base }
    }

    fn at(&self, offset: usize) -> Result<*mut u32, HwError> {
        if offset % 4 != 0 || offset >= LEN {
            return Err(HwError);
        }
        Ok(self.base.wrapping_byte_add(offset))
    }
}

impl Regs for Registers {
    fn read(&self, offset: usize) -> Result<u32, HwError> {
        let at = self.at(offset)?;
        // SAFETY: By the type invariant, as the offset is within.
        Ok(unsafe { at.read_volatile() })
    }

    fn write(&self, offset: usize, value: u32) -> Result<(), HwError> {
        let at = self.at(offset)?;
        let value = if offset & 0x3ff == MIB_SERIAL {
            value & !MIB_SERIAL_START
        } else {
            value
        };
        // SAFETY: By the type invariant, as the offset is within.
        unsafe { at.write_volatile(value) };
        Ok(())
    }

    /// Memory does not change while one waits.
    fn poll(&self, offset: usize, _: u32, done: impl Fn(u32) -> bool) -> Result<u32, HwError> {
        self.read(offset)
            .and_then(|value| if done(value) { Ok(value) } else { Err(HwError) })
    }
}

/// A table in memory, accessed as the module's is: each word by itself, volatile, and inline.
pub(crate) struct Words(VVec<Cell<u32>>);

impl Words {
    fn new(words: usize) -> Result<Self> {
        Ok(Self(VVec::from_elem(Cell::new(0), words, GFP_KERNEL)?))
    }
}

#[inline]
fn write(word: &Cell<u32>, value: u32) {
    // SAFETY: It is a reference to a cell, which is not shared between threads.
    unsafe { word.as_ptr().write_volatile(value) }
}

impl platform::Words for Words {
    fn address(&self) -> u64 {
        0
    }

    #[inline(always)]
    fn read(&self, at: usize) -> Result<u32, HwError> {
        let word = self.0.get(at).ok_or(HwError)?;
        // SAFETY: It is a reference to a cell, which is not shared between threads.
        Ok(unsafe { word.as_ptr().read_volatile() })
    }

    #[inline(always)]
    fn write(&self, at: usize, value: u32) -> Result<(), HwError> {
        write(self.0.get(at).ok_or(HwError)?, value);
        Ok(())
    }

    #[inline(always)]
    fn write_all(&self, at: usize, values: &[u32]) -> Result<(), HwError> {
        let to = self.0.get(at..at + values.len()).ok_or(HwError)?;
        for (to, from) in to.iter().zip(values) {
            write(to, *from);
        }
        Ok(())
    }

    #[inline(always)]
    fn write_barrier(&self) {
        fence(Ordering::SeqCst);
    }
}

/// The tables of a chip's PPEs.
pub(crate) fn tables(spec: &Spec) -> Result<[Option<mapped::Memory<Words>>; MAX_PPES]> {
    let mut tables = [const { None }; MAX_PPES];
    let entries = usize::from(spec.entries);
    for table in tables.iter_mut().take(spec.caps.ppes()) {
        *table = Some(mapped::Memory {
            entries: Words::new(entries * spec.format.entry_words())?,
            mib: Words::new(0)?,
        });
    }
    Ok(tables)
}
