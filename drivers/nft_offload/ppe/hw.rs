// SPDX-License-Identifier: GPL-2.0-only

//! What the table asks of the engine's hardware.

use super::{
    count::Count,
    flow::PsePort,
    format::{
        Entry,
        Slots, //
    },
    platform::HwError, //
};

/// The engine's table, as the policy needs it.
pub trait Hw {
    /// Reads the first words of an entry, as many as `out` holds.
    fn read_entry(&mut self, slot: u16, out: &mut [u32]) -> Result<(), HwError>;
    /// Reads word 0 of an entry.
    fn read_word0(&mut self, slot: u16) -> Result<u32, HwError>;
    /// Reads word 0 of some slots of a bucket, which `each` is given with its slot.
    #[inline]
    fn read_word0s(&mut self, slots: Slots, mut each: impl FnMut(u16, u32)) -> Result<(), HwError> {
        for slot in slots {
            each(slot, self.read_word0(slot)?);
        }
        Ok(())
    }
    /// Writes an entry: body, write barrier, word 0, and then clears the cache of its part.
    fn commit(&mut self, slot: u16, entry: &Entry) -> Result<(), HwError>;
    /// Makes an entry invalid in word 0. The engine may still use it until
    /// [`Hw::clear_cache`].
    fn invalidate(&mut self, slot: u16) -> Result<(), HwError>;
    /// Clears the cache of entries of that part of the table ([`Caps::extra_ppe_ports`](super::caps::Caps::extra_ppe_ports)) which the
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

/// How the hardware is run.
pub trait Lifecycle: Hw {
    /// Whether the engine answers, as far as is known.
    fn is_alive(&self) -> bool;
    /// Starts the engine and has it look up the frames of `ports`. On error nothing runs.
    fn start(&mut self, ports: impl Iterator<Item = PsePort>) -> Result<(), HwError>;
    /// Has the ports' frames go where they went before, and stops the engine: also one that was
    /// given up, since it may answer again and look at its tables.
    fn stop(&mut self) -> Result<(), HwError>;
    /// Starts the engine again, after it lost its state. All entries have to be invalid.
    fn restart(&mut self, ports: impl Iterator<Item = PsePort>) -> Result<(), HwError>;
    /// Whether the engine runs as it was started. Asks one that did not answer, too, which stays
    /// dead if it does now; without an answer it is dead from now on.
    fn check(&mut self) -> Result<bool, HwError>;
    /// Takes the engine for dead, until it is started again.
    fn give_up(&mut self);
    /// Sets the largest layer-3 packet that is forwarded, in bytes.
    fn set_mtu(&mut self, mtu: u32) -> Result<(), HwError>;
}
