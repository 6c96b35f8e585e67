// SPDX-License-Identifier: GPL-2.0-only

//! What the table asks of the engine's hardware.

use super::{
    count::Count,
    format::Entry,
    platform::HwError, //
};

/// The engine's table, as the policy needs it.
pub trait Hw {
    /// Reads the first words of an entry, as many as `out` holds.
    fn read_entry(&mut self, slot: u16, out: &mut [u32]) -> Result<(), HwError>;
    /// Reads word 0 of an entry.
    fn read_word0(&mut self, slot: u16) -> Result<u32, HwError>;
    /// Writes an entry: body, write barrier, word 0, and then clears the cache of its part.
    fn commit(&mut self, slot: u16, entry: &Entry) -> Result<(), HwError>;
    /// Makes an entry invalid in word 0. The engine may still use it until
    /// [`Hw::clear_cache`].
    fn invalidate(&mut self, slot: u16) -> Result<(), HwError>;
    /// Clears the cache of entries of that part of the table ([`Caps::apart`](super::caps::Caps::apart)) which the
    /// slot belongs to.
    fn clear_cache(&mut self, slot: u16) -> Result<(), HwError>;
    /// Clears the caches of all parts.
    fn clear_caches(&mut self) -> Result<(), HwError>;
    /// Reads and clears the counters of an entry, in the chip's own unit
    /// ([`Caps::mib`](super::caps::Caps::mib)). Not called if the chip has none.
    fn read_mib(&mut self, slot: u16) -> Result<Count, HwError>;
    /// The engine's clock: ticks of one second, at least as wide as the entries'
    /// timestamps; higher bits are ignored.
    fn timestamp(&mut self) -> u16;
}
