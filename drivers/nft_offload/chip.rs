// SPDX-License-Identifier: GPL-2.0-only

//! What the module has to know of a chip generation. Adding one is adding a file below `chip/`,
//! a table format in `ppe/format/` if it has a new one, and a line in [`by_id`].

use crate::{
    ppe::{
        caps::Caps,
        format::Format,
        table::{
            Count,
            HwError, //
        }, //
    },
    rust::mmio::Registers, //
};

mod mediatek;

/// Where the tables of an engine are, as the engine sees them.
#[derive(Clone, Copy)]
pub(crate) struct Tables {
    /// Address of the table of flows.
    pub(crate) entries: u64,
    /// Address of the table of counters.
    pub(crate) mib: u64,
}

/// A chip generation: what it can do, and how its engine is run.
///
/// All functions are called with the engine's lock held, in process context. They bound the time
/// they wait. Registers that read as all ones mean a device that is gone ([`HwError`]).
pub(crate) trait Chip: Sync {
    /// The chip's name, as users know it.
    fn name(&self) -> &'static str;
    /// Capabilities.
    fn caps(&self) -> &'static Caps;
    /// Format of the table of flows.
    fn format(&self) -> &'static dyn Format;
    /// Number of entries, a power of two.
    fn entries(&self) -> usize;
    /// Size of an entry of the table of counters, in 32-bit words; 0 if there is none in memory.
    fn mib_words(&self) -> usize;

    /// Gives the engine its tables, which are all zero, and starts it.
    fn start(&self, regs: &Registers, tables: Tables) -> Result<(), HwError>;
    /// Stops the engine. When it returns without error the tables are not accessed any more.
    fn stop(&self, regs: &Registers) -> Result<(), HwError>;
    /// Makes the engine forget what it has cached of the table.
    fn clear_cache(&self, regs: &Registers) -> Result<(), HwError>;
    /// Reads and clears the counters of an entry.
    fn read_mib(&self, regs: &Registers, slot: u16) -> Result<Count, HwError>;
    /// The engine's clock, in seconds, of which as many bits are valid as entries hold.
    fn timestamp(&self, regs: &Registers) -> Result<u16, HwError>;
    /// Sets the largest layer-3 packet that is forwarded; larger ones go to the CPU.
    fn set_mtu(&self, regs: &Registers, mtu: u32) -> Result<(), HwError>;
}

/// The chip with a board's chip number: the digits of its name, in hexadecimal.
pub(crate) fn by_id(id: u32) -> Option<&'static dyn Chip> {
    match id {
        0x7621 => Some(&mediatek::MT7621),
        0x7622 => Some(&mediatek::MT7622),
        0x7623 => Some(&mediatek::MT7623),
        0x7981 => Some(&mediatek::MT7981),
        0x7986 => Some(&mediatek::MT7986),
        0x7988 => Some(&mediatek::MT7988),
        _ => None,
    }
}
