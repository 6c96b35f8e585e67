// SPDX-License-Identifier: GPL-2.0-only

//! What the module has to know of a chip generation. Adding one is adding a file below `chip/`,
//! a table format in `format/` if it has a new one, and a line in [`by_id`].

use super::{
    count::Count,
    flow::PsePort,
    platform::{
        HwError,
        Regs, //
    },
    spec::Spec, //
};

mod mediatek;

/// Where the tables of a PPE are, as the PPE sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    /// Address of the table of flows.
    pub entries: u64,
    /// Address of the table of counters.
    pub mib: u64,
}

/// How the engine of a chip generation is run.
///
/// All functions bound the time they wait. Registers that read as all ones mean a device that is
/// gone ([`HwError`]).
pub trait Chip<R: Regs>: Sync {
    /// What the chip is.
    fn spec(&self) -> &Spec;

    /// Gives a PPE its tables, which are all zero, and starts it.
    fn start(&self, regs: &R, ppe: usize, tables: Tables) -> Result<(), HwError>;
    /// Whether a PPE still is as [`Chip::start`] left it, as far as a few registers tell. Does not
    /// wait.
    fn is_started(&self, regs: &R, ppe: usize, tables: Tables) -> Result<bool, HwError>;
    /// Has frames that arrive at a port looked up in the PPE of that port
    /// ([`Caps::ppe_of`](super::caps::Caps::ppe_of)). Returns the setting that was there, for
    /// [`Chip::restore_port`].
    fn attach_port(&self, regs: &R, port: PsePort) -> Result<u32, HwError>;
    /// Has frames that arrive at a port go where they went before [`Chip::attach_port`].
    fn restore_port(&self, regs: &R, port: PsePort, before: u32) -> Result<(), HwError>;
    /// Stops a PPE. When it returns without error its tables are not accessed any more.
    fn stop(&self, regs: &R, ppe: usize) -> Result<(), HwError>;
    /// Makes a PPE forget what it has cached of its table.
    fn clear_cache(&self, regs: &R, ppe: usize) -> Result<(), HwError>;
    /// Reads and clears the counters of an entry of a PPE.
    fn read_mib(&self, regs: &R, ppe: usize, entry: u16) -> Result<Count, HwError>;
    /// The engine's clock, in seconds, of which as many bits are valid as entries hold.
    fn timestamp(&self, regs: &R) -> Result<u16, HwError>;
    /// Sets the largest layer-3 packet that a PPE forwards; larger ones go to the CPU.
    fn set_mtu(&self, regs: &R, ppe: usize, mtu: u32) -> Result<(), HwError>;

    /// Stops all PPEs: each of them, also after one that did not.
    fn stop_all(&self, regs: &R) -> Result<(), HwError> {
        let mut all = Ok(());
        for ppe in 0..self.spec().caps.ppes() {
            all = all.and(self.stop(regs, ppe));
        }
        all
    }
}

/// The chip with a board's chip number: the digits of its name, in hexadecimal.
pub fn by_id<R: Regs>(id: u32) -> Option<&'static dyn Chip<R>> {
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
