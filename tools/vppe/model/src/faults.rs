// SPDX-License-Identifier: GPL-2.0-only
//! Faults of the engine, on request.

/// The faults that are switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// `GLO_CFG.BUSY` and `MIB_SER_CR.ST` always read as 1.
    pub stuck_busy: bool,
    /// `MIB_SER_CR.ST` always reads as 1.
    pub mib_stuck: bool,
    /// Registers read as all ones, the engine ignores writes and looks nothing up.
    pub dead: bool,
    /// Number of accesses until the engine is dead; 0: it does not die.
    pub dying: u32,
    /// Number of register writes that the engine still ignores.
    pub lost_writes: u32,
}

impl Faults {
    /// The names that [`Faults::set`] knows.
    pub const NAMES: &'static [&'static str] = &["stuck-busy", "mib-stuck", "dead", "lost-writes"];

    /// Switches a fault on or off; returns whether a fault has this name.
    ///
    /// `count`: for `lost-writes` the number of writes to ignore, for `dead` the number of the
    /// first access that gets no answer. The other faults ignore it.
    pub fn set(&mut self, name: &str, on: bool, count: u32) -> bool {
        match name {
            "stuck-busy" => self.stuck_busy = on,
            "mib-stuck" => self.mib_stuck = on,
            "dead" => {
                self.dead = on && count <= 1;
                self.dying = if on { count.saturating_sub(1) } else { 0 };
            }
            "lost-writes" => self.lost_writes = if on { count } else { 0 },
            _ => return false,
        }
        true
    }

    /// Counts an access; returns whether the engine answers it.
    pub fn answers(&mut self) -> bool {
        let answers = !self.dead;
        if self.dying > 0 {
            self.dying -= 1;
            self.dead = self.dying == 0;
        }
        answers
    }
}
