// SPDX-License-Identifier: GPL-2.0-only

//! What the core asks of the kernel: its traits over the abstractions of `rust/`.

use crate::{
    ppe::{
        mapped::MappedHw,
        platform::{
            Clock,
            HwError,
            Regs,
            Words, //
        },
        table::{
            Event,
            Host,
            Record, //
        }, //
    },
    rust::{
        dma::{
            self,
            WordTable, //
        },
        mmio::Registers,
        time, //
    },
    trace::Trace, //
};
use kernel::prelude::VVec;

impl Regs for Registers {
    fn read(&self, offset: usize) -> Result<u32, HwError> {
        self.read(offset).map_err(|_| HwError)
    }

    fn write(&self, offset: usize, value: u32) -> Result<(), HwError> {
        self.write(offset, value).map_err(|_| HwError)
    }

    fn poll(
        &self,
        offset: usize,
        timeout_us: u32,
        done: impl Fn(u32) -> bool,
    ) -> Result<u32, HwError> {
        self.wait(offset, timeout_us, done).map_err(|_| HwError)
    }
}

impl Words for WordTable {
    fn address(&self) -> u64 {
        self.dma_address()
    }

    #[inline]
    fn read(&self, at: usize) -> Result<u32, HwError> {
        self.read(at).ok_or(HwError)
    }

    #[inline]
    fn write(&self, at: usize, value: u32) -> Result<(), HwError> {
        if self.write(at, value) {
            Ok(())
        } else {
            Err(HwError)
        }
    }

    #[inline]
    fn write_all(&self, at: usize, values: &[u32]) -> Result<(), HwError> {
        if self.write_all(at, values) {
            Ok(())
        } else {
            Err(HwError)
        }
    }

    #[inline]
    fn write_barrier(&self) {
        dma::write_barrier();
    }
}

/// What an engine's table is made of.
pub(crate) struct Kernel {
    pub(crate) trace: Trace,
}

impl Clock for Kernel {
    fn now_ms(&self) -> u64 {
        time::now_ms()
    }
}

impl Host for Kernel {
    type Vec<T> = VVec<T>;
    type Hw = MappedHw<Registers, WordTable>;

    #[inline(always)]
    fn event(&mut self, event: Event, slot: u16, record: &Record) {
        self.trace.table(event, slot, record);
    }
}
