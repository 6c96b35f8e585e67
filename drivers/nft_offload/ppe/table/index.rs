// SPDX-License-Identifier: GPL-2.0-only

//! Finding a flow by owner and cookie, and the places of flows without slot.

use super::{
    BlockId,
    Host,
    Record,
    Table, //
};

impl<P: Host> Table<P> {
    /// As [`Table::find`], with the flow's element of the index.
    #[inline]
    pub(super) fn find_in(&self, chain: usize, owner: BlockId, cookie: u64) -> Option<u16> {
        let mut slot = self.index.get(chain).copied()?;
        while let Some(record) = self.get(slot) {
            if record.cookie == cookie && record.owner == owner {
                return Some(slot);
            }
            slot = record.next;
        }
        None
    }

    /// Element of the index from which a flow is found.
    pub(super) fn chain(&self, owner: BlockId, cookie: u64) -> usize {
        // Cookies are addresses, alike in their upper and in their lowest bits: the
        // multiplication (by 2^64 over the golden ratio) spreads them over the upper ones.
        let hash =
            (cookie ^ u64::from(owner.0).rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(hash.wrapping_shr(32)).unwrap_or(0) & self.index.len().wrapping_sub(1)
    }

    /// Makes the flow in a slot, which is not in the index, findable from its element there.
    pub(super) fn link(&mut self, chain: usize, slot: u16) {
        if let (Some(head), Some(record)) = (
            self.index.get_mut(chain),
            self.records.get_mut(usize::from(slot)),
        ) {
            record.next = *head;
            *head = slot;
        }
        self.stats.flows = self.stats.flows.saturating_add(1);
        self.stats.high_water = self.stats.high_water.max(self.stats.flows);
    }

    /// Has whatever leads to the flow `from`, beginning at its element of the index, lead to
    /// `to`.
    fn relink(&mut self, chain: usize, from: u16, to: u16) -> Option<()> {
        let head = self.index.get_mut(chain)?;
        if *head == from {
            *head = to;
            return Some(());
        }
        let mut before = *head;
        while let Some(record) = self.records.get_mut(usize::from(before)) {
            if record.next == from {
                record.next = to;
                break;
            }
            before = record.next;
        }
        Some(())
    }

    /// Moves the flow in a slot, which is not bound, to a free place behind the slots.
    pub(super) fn park(&mut self, slot: u16) -> Option<()> {
        let parked = *self.get(slot)?;
        let spare = self.spare;
        let next = self.records.get(usize::from(spare))?.next;
        self.relink(self.chain(parked.owner, parked.cookie), slot, spare)?;
        *self.records.get_mut(usize::from(spare))? = parked;
        *self.records.get_mut(usize::from(slot))? = Record {
            clean: parked.clean,
            ..Record::EMPTY
        };
        self.spare = next;
        self.spares = self.spares.saturating_sub(1);
        self.stats.parked = self.stats.parked.saturating_add(1);
        Some(())
    }

    /// Empties a slot, whose flow is not bound, or the place of a parked flow, and takes the
    /// flow out of the index.
    /// What was known of the flow stays there until the place is taken again.
    pub(super) fn clear(&mut self, slot: u16) -> Option<&Record> {
        let record = self.record(slot)?;
        let (owner, cookie, next) = (record.owner, record.cookie, record.next);
        record.used = false;
        record.leaving = false;
        self.relink(self.chain(owner, cookie), slot, next)?;
        self.stats.flows = self.stats.flows.saturating_sub(1);
        let parked = !self.is_slot(slot);
        let record = self.records.get_mut(usize::from(slot))?;
        if parked {
            record.next = self.spare;
            self.spare = slot;
            self.spares = self.spares.saturating_add(1);
            self.stats.parked = self.stats.parked.saturating_sub(1);
        }
        Some(record)
    }
}
