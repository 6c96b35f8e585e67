// SPDX-License-Identifier: GPL-2.0-only

//! Sums. What does not fit stays at the greatest number.

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Count {
    /// Nothing.
    pub const ZERO: Self = Self {
        packets: 0,
        bytes: 0,
    };

    /// The sum. What does not fit stays at the greatest number.
    pub const fn plus(self, other: Self) -> Self {
        Self {
            packets: self.packets.saturating_add(other.packets),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

/// Adds one.
pub fn inc(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
