// SPDX-License-Identifier: GPL-2.0-only

//! What a flow has counted, and when it was last used.

use super::{
    super::{
        count::{
            inc,
            Count, //
        },
        format::Format,
        hw::Hw,
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
        Some(Stats {
            delta,
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

    /// Adds what the engine has counted for the flow in a slot to its record, and returns
    /// it. If that is anything, the flow was in use since the last look.
    pub(super) fn read_counters(&mut self, slot: u16) -> Result<Count, Reject> {
        let Some(unit) = self.spec.caps.mib.filter(|_| self.is_slot(slot)) else {
            return Ok(Count::ZERO);
        };
        let raw = self.hw.read_mib(slot);
        let raw = self.hw_result(raw)?;
        let Some(record) = self.record(slot) else {
            return Ok(Count::ZERO);
        };
        let delta = unit.layer3(raw, &record.flow.in_encap);
        record.unreported = record.unreported.plus(delta);
        record.total = record.total.plus(delta);
        if delta.packets > 0 {
            record.last_used_ms = record.last_used_ms.max(record.polled_ms);
        }
        Ok(delta)
    }

    /// Looks at the flow in a slot: counters, time of last use, whether it is bound.
    pub(super) fn poll(&mut self, slot: u16) -> Result<(), Reject> {
        let spec = self.spec;
        if self.get(slot).is_none() || !self.is_slot(slot) {
            return Ok(());
        }
        // In this order: of a packet that comes in between, the next look sees the count,
        // and its timestamp is not after the clock.
        let delta = self.read_counters(slot)?;
        let word0 = self.hw.read_word0(slot);
        let word0 = self.hw_result(word0)?;
        let clock = self.hw.timestamp();
        let now_ms = self.host.now_ms();

        let bound = self.is_bound(word0);
        let Some(record) = self.record(slot) else {
            return Ok(());
        };
        let seen = spec.format.timestamp(word0);
        let hit = match spec.caps.mib {
            Some(_) => delta.packets > 0,
            None => bound && seen != record.seen,
        };
        if hit && bound {
            let age = clock.wrapping_sub(seen) & timestamp_mask(spec.format);
            let used_ms = now_ms.saturating_sub(u64::from(age).saturating_mul(1000));
            record.last_used_ms = record.last_used_ms.max(record.polled_ms).max(used_ms);
        }
        record.polled_ms = now_ms;
        if bound {
            record.seen = seen;
        } else if record.bound {
            self.unbound(slot, Unbound::Aged);
            inc(&mut self.stats.aged_out);
        }
        Ok(())
    }
}

/// The bits of a timestamp.
fn timestamp_mask(format: &dyn Format) -> u16 {
    u16::MAX.wrapping_shr(16_u32.wrapping_sub(format.timestamp_bits()))
}
