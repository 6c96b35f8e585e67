// SPDX-License-Identifier: GPL-2.0-only

//! What the module has to know of a chip generation. Adding one is adding a file below `chip/`,
//! a table format in `ppe/format/` if it has a new one, and a line in [`by_id`].

use crate::{
    ppe::{
        caps::Caps,
        count::Count,
        flow::PsePort,
        format::Format,
        table::HwError, //
    },
    rust::mmio::Registers, //
};

mod mediatek;

/// Where the tables of a PPE are, as the PPE sees them.
#[derive(Clone, Copy)]
pub(crate) struct Tables {
    /// Address of the table of flows.
    pub(crate) entries: u64,
    /// Address of the table of counters.
    pub(crate) mib: u64,
}

/// A chip generation: what it can do, and how its engine is run.
///
/// An engine has one PPE or several ([`Caps::parts`]), numbered from 0 on, each with a table of its
/// own. A slot's number counts the entries of all tables, one table after the other.
///
/// All functions are called with the engine's lock held, or before there is an engine, in process
/// context. They bound the time they wait. Registers that read as all ones mean a device that is
/// gone ([`HwError`]).
pub(crate) trait Chip: Sync {
    /// The chip's name, as users know it.
    fn name(&self) -> &'static str;
    /// Capabilities.
    fn caps(&self) -> &'static Caps;
    /// Format of the tables of flows.
    fn format(&self) -> &'static dyn Format;
    /// Number of entries of each PPE, a power of two.
    fn entries(&self) -> usize;
    /// Number of entries of all PPEs.
    fn slots(&self) -> usize {
        self.entries().saturating_mul(self.caps().parts())
    }
    /// The PPE that has a slot, and the number of the entry in its table.
    fn locate(&self, slot: u16) -> (usize, u16);
    /// Size of an entry of the table of counters, in 32-bit words; 0 if there is none in memory.
    fn mib_words(&self) -> usize;

    /// Gives a PPE its tables, which are all zero, and starts it.
    fn start(&self, regs: &Registers, ppe: usize, tables: Tables) -> Result<(), HwError>;
    /// Whether a PPE still is as [`Chip::start`] left it, as far as a few registers tell. Does not
    /// wait.
    fn is_started(&self, regs: &Registers, ppe: usize, tables: Tables) -> Result<bool, HwError>;
    /// Has frames that arrive at a port looked up in the PPE of that port ([`Caps::part`]). Returns
    /// what [`Chip::redirect`] wants to know of where they went before.
    fn direct(&self, regs: &Registers, port: PsePort) -> Result<u32, HwError>;
    /// Has frames that arrive at a port go where they went before [`Chip::direct`].
    fn redirect(&self, regs: &Registers, port: PsePort, before: u32) -> Result<(), HwError>;
    /// Stops a PPE. When it returns without error its tables are not accessed any more.
    fn stop(&self, regs: &Registers, ppe: usize) -> Result<(), HwError>;
    /// Makes a PPE forget what it has cached of its table.
    fn clear_cache(&self, regs: &Registers, ppe: usize) -> Result<(), HwError>;
    /// Reads and clears the counters of an entry.
    fn read_mib(&self, regs: &Registers, slot: u16) -> Result<Count, HwError>;
    /// The engine's clock, in seconds, of which as many bits are valid as entries hold.
    fn timestamp(&self, regs: &Registers) -> Result<u16, HwError>;
    /// Sets the largest layer-3 packet that a PPE forwards; larger ones go to the CPU.
    fn set_mtu(&self, regs: &Registers, ppe: usize, mtu: u32) -> Result<(), HwError>;
}

impl dyn Chip {
    /// Stops all PPEs: each of them, also after one that did not.
    pub(crate) fn stop_all(&self, regs: &Registers) -> Result<(), HwError> {
        let mut all = Ok(());
        for ppe in 0..self.caps().parts() {
            all = all.and(self.stop(regs, ppe));
        }
        all
    }
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
