// SPDX-License-Identifier: GPL-2.0-only

//! Bit fields of words.

/// The bits `high` to `low` of a word, both included, as the kernel's `GENMASK`.
pub const fn genmask(high: u32, low: u32) -> u32 {
    u32::MAX.wrapping_shr(31_u32.wrapping_sub(high)) & u32::MAX.wrapping_shl(low)
}

/// The word with that bit alone, as the kernel's `BIT`.
pub const fn bit(at: u32) -> u32 {
    genmask(at, at)
}

/// A field of a word: neighbouring bits that hold a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    mask: u32,
    /// The lowest bit.
    low: u32,
}

impl Field {
    /// The field of bits `high` to `low`, both included.
    pub const fn new(high: u32, low: u32) -> Self {
        Self {
            mask: genmask(high, low),
            low,
        }
    }

    /// The field of one bit.
    pub const fn bit(at: u32) -> Self {
        Self::new(at, at)
    }

    /// The greatest number the field holds.
    pub const fn max(self) -> u32 {
        self.mask.wrapping_shr(self.low)
    }

    /// Width in bits.
    pub const fn width(self) -> u32 {
        self.mask.count_ones()
    }

    /// A word with `value` in the field and zeros elsewhere. Bits of `value` that the
    /// field does not have are lost.
    pub const fn put(self, value: u32) -> u32 {
        value.wrapping_shl(self.low) & self.mask
    }

    /// The number in the field of `word`.
    pub const fn get(self, word: u32) -> u32 {
        (word & self.mask).wrapping_shr(self.low)
    }
}

/// Bits 31:16.
pub const fn upper(word: u32) -> u16 {
    let [a, b, _, _] = word.to_be_bytes();
    u16::from_be_bytes([a, b])
}

/// Bits 15:0.
pub const fn lower(word: u32) -> u16 {
    let [_, _, a, b] = word.to_be_bytes();
    u16::from_be_bytes([a, b])
}

/// The word with `upper` in bits 31:16 and `lower` in bits 15:0.
pub const fn word(upper: u16, lower: u16) -> u32 {
    (upper as u32).wrapping_shl(16) | lower as u32
}
