// SPDX-License-Identifier: GPL-2.0-only

//! A list of a bounded length, over storage that is there from the start.

use core::ops::DerefMut;

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Some of a kind, in the order in which they came.
pub struct List<V> {
    items: V,
    len: usize,
}

impl<T: Copy, V: DerefMut<Target = [T]>> List<V> {
    /// An empty list with room for as many as `items` holds.
    pub fn new(items: V) -> Self {
        Self { items, len: 0 }
    }

    /// All.
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        self.items.get(..self.len).unwrap_or_default()
    }

    /// All, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self.items.get_mut(..self.len).unwrap_or_default()
    }

    /// Adds one at the end.
    pub fn push(&mut self, item: T) -> Result<(), Full> {
        *self.items.get_mut(self.len).ok_or(Full)? = item;
        self.len = self.len.saturating_add(1);
        Ok(())
    }

    /// Removes those for which `keep` does not hold. The others stay in order.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        let mut kept = 0_usize;
        for at in 0..self.len {
            let Some(item) = self.items.get(at).copied().filter(&keep) else {
                continue;
            };
            if let Some(place) = self.items.get_mut(kept) {
                *place = item;
            }
            kept = kept.saturating_add(1);
        }
        self.len = kept;
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}
