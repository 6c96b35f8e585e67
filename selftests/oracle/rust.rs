// SPDX-License-Identifier: GPL-2.0-only

//! As much of the module's abstractions as its parser and chips need.

// The module uses more of them than is needed here.
#![allow(dead_code, unreachable_pub)]

#[path = "../../rust/bindings.rs"]
mod bindings;
#[path = "../../rust/dsa.rs"]
pub(crate) mod dsa;
#[path = "../../rust/flow_rule.rs"]
pub(crate) mod flow_rule;
#[path = "../../rust/netdev.rs"]
pub(crate) mod netdev;
#[path = "../../rust/time.rs"]
pub(crate) mod time;
#[path = "../../rust/trace.rs"]
pub(crate) mod trace;

/// Registers that are memory, in the place of the module's, for the code of its chips.
pub(crate) mod mmio {
    use kernel::prelude::*;

    /// Bytes of registers.
    const LEN: usize = 0x4000;

    /// The register of each PPE that reads counters, from the PPE's start, and its start bit,
    /// which the engine clears.
    const MIB_SERIAL: usize = 0x33c;
    const MIB_SERIAL_START: u32 = 1 << 16;

    /// A block of 32-bit registers.
    ///
    /// # Invariants
    ///
    /// `base` points to [`LEN`] bytes of memory that outlive this.
    pub struct Registers {
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

        fn at(&self, offset: usize) -> Result<*mut u32> {
            if offset % 4 != 0 || offset >= LEN {
                return Err(EINVAL);
            }
            Ok(self.base.wrapping_byte_add(offset))
        }

        /// As the module's.
        pub fn read(&self, offset: usize) -> Result<u32> {
            let at = self.at(offset)?;
            // SAFETY: By the type invariant, as the offset is within.
            Ok(unsafe { at.read_volatile() })
        }

        /// As the module's.
        pub fn write(&self, offset: usize, value: u32) -> Result {
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

        /// As the module's, but that memory does not change while one waits.
        pub fn wait(
            &self,
            offset: usize,
            _timeout_us: i32,
            done: impl Fn(u32) -> bool,
        ) -> Result<u32> {
            let value = self.read(offset)?;
            if done(value) {
                Ok(value)
            } else {
                Err(ETIMEDOUT)
            }
        }
    }
}
