// SPDX-License-Identifier: GPL-2.0-only

//! Register blocks in I/O memory.

use kernel::{
    io::{
        poll::read_poll_timeout,
        Io, //
    },
    prelude::*,
    time::Delta, //
};

#[cfg(kernel_7_2)]
type Bar = kernel::devres::Devres<kernel::pci::Bar<'static>>;
#[cfg(not(kernel_7_2))]
type Bar = kernel::pci::DevresBar;

/// A block of 32-bit registers, little-endian on the bus.
///
/// The region is claimed for as long as the block is mapped. When the device is unbound, access
/// fails with [`ENXIO`] from then on.
pub struct Registers {
    bar: Bar,
}

impl Registers {
    pub(super) fn new(bar: Bar) -> Self {
        Self { bar }
    }

    /// Reads the register at byte offset `offset`.
    pub fn read(&self, offset: usize) -> Result<u32> {
        self.bar.try_access().ok_or(ENXIO)?.try_read32(offset)
    }

    /// Writes the register at byte offset `offset`. The device sees earlier writes to coherent
    /// memory first.
    pub fn write(&self, offset: usize, value: u32) -> Result {
        self.bar
            .try_access()
            .ok_or(ENXIO)?
            .try_write32(value, offset)
    }

    /// Reads the register until `done` holds for its value: a few times without a pause, then with
    /// pauses, for at most `timeout_us` microseconds ([`ETIMEDOUT`]).
    pub fn wait(&self, offset: usize, timeout_us: u32, done: impl Fn(u32) -> bool) -> Result<u32> {
        /// Without a pause, since who sleeps with a lock held lets others run that wait for it.
        const AT_ONCE: usize = 8;
        const PAUSE_US: i32 = 20;

        for _ in 0..AT_ONCE {
            let value = self.read(offset)?;
            if done(value) {
                return Ok(value);
            }
        }
        read_poll_timeout(
            || self.read(offset),
            |&value| done(value),
            Delta::from_micros(PAUSE_US.into()),
            Delta::from_micros(timeout_us.into()),
        )
    }
}
