// SPDX-License-Identifier: GPL-2.0-only
//! Bit fields of 32-bit words.

/// A bit field of a 32-bit word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Number of the lowest bit.
    pub shift: u32,
    /// Number of bits.
    pub width: u32,
}

impl Field {
    /// The field of bits `high` down to `low`.
    pub const fn new(high: u32, low: u32) -> Self {
        Self {
            shift: low,
            width: high - low + 1,
        }
    }

    /// The one-bit field `bit`.
    pub const fn bit(bit: u32) -> Self {
        Self::new(bit, bit)
    }

    /// The bits of the field, in place.
    pub const fn mask(self) -> u32 {
        (((1u64 << self.width) - 1) as u32) << self.shift
    }

    /// Returns the value of the field in `word`.
    pub const fn get(self, word: u32) -> u32 {
        (word & self.mask()) >> self.shift
    }

    /// Returns `word` with the field set to `value`, cut to the field's width.
    pub const fn set(self, word: u32, value: u32) -> u32 {
        (word & !self.mask()) | ((value << self.shift) & self.mask())
    }
}
