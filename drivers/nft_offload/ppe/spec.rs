// SPDX-License-Identifier: GPL-2.0-only

//! What a chip is, as far as others than its own code have to know.

use super::{
    caps::Caps,
    format::Format, //
};

/// The facts of a chip.
///
/// An engine has one PPE or several ([`Caps::ppes`]), numbered from 0 on, each with a table of its
/// own. A slot's number counts the entries of all tables, one table after the other.
pub struct Spec {
    /// The chip's name, as users know it.
    pub name: &'static str,
    /// Capabilities.
    pub caps: Caps,
    /// Format of the entries.
    pub format: &'static dyn Format,
    /// Number of entries of each PPE, a power of two.
    pub entries: u16,
    /// Size of an entry of the table of counters, in 32-bit words; 0 if there is none in memory.
    pub mib_words: usize,
}

impl Spec {
    /// Number of entries of all PPEs.
    pub fn slots(&self) -> usize {
        usize::from(self.entries).saturating_mul(self.caps.ppes())
    }

    /// The PPE that has a slot, and the number of the entry in its table.
    #[inline]
    pub fn locate(&self, slot: u16) -> (usize, u16) {
        // A power of two has one bit, and those below it are the number in the table.
        let ppe = slot.wrapping_shr(self.entries.trailing_zeros());
        (ppe.into(), slot & self.entries.wrapping_sub(1))
    }
}
