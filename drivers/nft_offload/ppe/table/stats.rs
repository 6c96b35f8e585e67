// SPDX-License-Identifier: GPL-2.0-only

//! What a flow has counted, and when it was last used.

use super::{
    super::{
        count::inc,
        hw::Hw,
        platform::HwError,
        reject::Reject, //
    },
    BlockId,
    Host,
    Record,
    Stats,
    Table,
    Unbound, //
};

impl<P: Host> Table<P> {
    /// Counters and time of last use of a flow. Each packet is reported once: a second
    /// call finds nothing new unless there were more.
    ///
    /// If the engine does not answer, what was known before is reported, and the flow is
    /// not called bound.
    ///
    /// # Time of last use
    ///
    /// - Never hit: when it was bound.
    /// - Hit since the last look: the age of the entry's timestamp before now, but not
    ///   before the last look. If that is so long ago that the timestamp, a few bits of
    ///   seconds, may have gone round since, the latest of the possible times.
    /// - Not hit since the last look: as before.
    /// - Hit since the last look, and let go by the engine since: its timestamp is gone.
    ///   The last look is the latest time that is sure to be not too late.
    ///
    /// A chip with counters knows a hit by them. One without knows it by a changed
    /// timestamp: a hit in the very second of the one before is not seen, which is an
    /// error of less than a second.
    pub fn stats(&mut self, owner: BlockId, cookie: u64) -> Option<Stats> {
        let slot = self.find(owner, cookie)?;
        let answered = self.poll(slot).is_ok();
        let record = self.record(slot)?;
        let delta = core::mem::take(&mut record.unreported);
        let hit = core::mem::take(&mut record.hit);
        Some(Stats {
            delta,
            hit,
            neighbour: hit && record.take_neigh_turn(slot),
            last_used_ms: record.last_used_ms,
            bound: record.bound && answered,
        })
    }

    /// Looks at the flow in a slot as [`Table::stats`] does, but reports nothing: what is
    /// found is kept for the next report. For those who only want to look.
    pub fn refresh(&mut self, slot: u16) -> Option<&Record> {
        let _ = self.poll(slot);
        self.get(slot)
    }

    /// Adds what the engine has counted for the flow in a slot to its record. If that is
    /// anything, the flow was in use since the last look.
    pub(super) fn read_counters(&mut self, slot: u16) -> Result<(), Reject> {
        let Some(unit) = self.spec.caps.mib.filter(|_| self.is_slot(slot)) else {
            return Ok(());
        };
        let raw = self.hw.read_mib(slot);
        let raw = self.hw_result(raw)?;
        if let Some(record) = self.record(slot) {
            record.count(unit.layer3(raw, &record.flow.in_encap));
        }
        Ok(())
    }

    /// Looks at the flow in a slot: counters, time of last use, whether it is bound.
    pub(super) fn poll(&mut self, slot: u16) -> Result<(), Reject> {
        let looked = self.look_at(slot);
        let aged_out = self.hw_result(looked)?;
        if aged_out {
            self.unbound(slot, Unbound::Aged);
            inc(&mut self.stats.aged_out);
        }
        Ok(())
    }

    /// As [`Table::poll`]. Returns whether the flow is called bound, and is so no longer.
    #[inline(always)]
    fn look_at(&mut self, slot: u16) -> Result<bool, HwError> {
        if !self.is_slot(slot) {
            return Ok(false);
        }
        let record = self.records.get_mut(usize::from(slot));
        let Some(record) = record.filter(|record| record.used) else {
            return Ok(false);
        };
        // In this order: of a packet that comes in between, the next look sees the count,
        // and its timestamp is not after the clock.
        let counted = match self.spec.caps.mib {
            Some(unit) => {
                let delta = unit.layer3(self.hw.read_mib(slot)?, &record.flow.in_encap);
                record.count(delta);
                Some(delta.packets > 0)
            }
            None => None,
        };
        let word0 = self.hw.read_word0(slot)?;
        let (mask, bits) = self.bound_bits;
        let bound = word0 & mask == bits;
        let hit = counted.unwrap_or_else(|| {
            let seen = self.spec.format.timestamp(word0);
            bound && core::mem::replace(&mut record.seen, seen) != seen
        });
        let mut age = None;
        if hit && bound {
            record.hit = true;
            let seen = self.spec.format.timestamp(word0);
            age = Some(self.hw.timestamp().wrapping_sub(seen) & self.tick_mask);
        }
        let now_ms = self.host.now_ms();
        if let Some(age) = age {
            let used_ms = now_ms.saturating_sub(u64::from(age).saturating_mul(1000));
            record.last_used_ms = record.last_used_ms.max(record.polled_ms).max(used_ms);
        }
        record.polled_ms = now_ms;
        Ok(record.bound && !bound)
    }
}

/// Flows tell of their neighbours once in 2^12 ms: that is often enough to find out about a stale
/// one as soon as software does, which waits 5 s (`delay_first_probe_time`) before it asks.
const NEIGH_TURN_BITS: u32 = 12;

impl Record {
    /// Whether it is time to tell that the flow's neighbour is in use. `slot` spreads the flows
    /// over time.
    fn take_neigh_turn(&mut self, slot: u16) -> bool {
        let at = self.polled_ms.wrapping_add(slot.into());
        // What is lost is three days.
        let turn = (at >> NEIGH_TURN_BITS) & u64::from(u16::MAX);
        let turn = u16::try_from(turn).unwrap_or_default();
        core::mem::replace(&mut self.neigh_turn, turn) != turn
    }
}
