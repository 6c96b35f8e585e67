// SPDX-License-Identifier: GPL-2.0-only
//! Values out of bytes.

/// Bytes that are used up; behind their end come zeros.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Bytes<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let (taken, rest) = self.0.split_at(N.min(self.0.len()));
        array[..taken.len()].copy_from_slice(taken);
        self.0 = rest;
        array
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.u8() & 1 != 0
    }

    /// One of the first `n` numbers.
    pub(crate) fn below(&mut self, n: u8) -> u8 {
        self.u8() % n
    }

    /// The usual value most of the time, else anything.
    pub(crate) fn mostly<T>(&mut self, usual: T, any: impl FnOnce(&mut Self) -> T) -> T {
        if self.u8() < 0xe0 {
            usual
        } else {
            any(self)
        }
    }

    /// Up to `max` bytes.
    pub(crate) fn take(&mut self, max: usize) -> &[u8] {
        let len = usize::from(self.u16()).min(max).min(self.0.len());
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }
}
