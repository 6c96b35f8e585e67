// SPDX-License-Identifier: GPL-2.0-only

//! The life of a flow: bound, changed, let go, removed.

use super::{
    super::{
        caps::admit,
        count::{
            inc,
            Count, //
        },
        flow::Flow,
        format::{
            Entry,
            State,
            MAX_WORDS, //
        },
        hw::Hw,
        platform::{
            ConnectionId,
            HwError, //
        },
        reject::Reject, //
    },
    BlockId,
    Event,
    Host,
    Record,
    Replaced,
    Scope,
    Table,
    Unbound, //
};

impl<P: Host> Table<P> {
    /// Binds a flow, or makes sure that it is bound as it should. To offer a flow again
    /// under the same owner and cookie is harmless.
    ///
    /// The flow is bound if and only if this is `Ok`. Counts survive whatever happens to
    /// the entry: when a flow that is there is refused in its new form, its old entry is
    /// taken out and its record stays until [`Table::destroy`].
    pub fn replace(
        &mut self,
        owner: BlockId,
        cookie: u64,
        connection: ConnectionId,
        flow: &Flow,
    ) -> Result<Replaced, Reject> {
        let chain = self.chain(owner, cookie);
        let own = self.find_in(chain, owner, cookie);
        let replaced = match own {
            None => Replaced::Bound,
            Some(at) => self.offer_again(at, connection, flow)?,
        };
        if replaced == Replaced::Refreshed {
            return Ok(replaced);
        }
        self.admit(owner, own, flow)?;
        let timestamp = self.hw.timestamp();
        let (format, capacity) = (self.spec.format, self.spec.entries.into());
        let mut entry = Entry::new(MAX_WORDS);
        let slots = format.encode_in(flow, timestamp, capacity, &mut entry)?;
        let slots = self.slots_at(slots, self.spec.caps.ppe_of(flow.ingress.port));
        let (slot, word0) = self.place(owner, flow, own, slots)?;
        self.commit(slot, word0, own != Some(slot), &entry)?;

        let counted = self.free_old(own, slot);
        let (now_ms, seen) = (self.host.now_ms(), timestamp & self.tick_mask);
        if let Some(record) = self.records.get_mut(usize::from(slot)) {
            // One by one: each is written where it stays.
            record.cookie = cookie;
            record.connection = connection;
            record.owner = owner;
            record.flow.assign(flow);
            record.bound = true;
            // No one expression for both: it would be put together elsewhere first.
            if let Some(counted) = counted {
                (record.unreported, record.hit, record.total, record.since_ms) = counted;
            } else {
                record.unreported = Count::ZERO;
                record.hit = false;
                record.total = Count::ZERO;
                record.since_ms = now_ms;
            }
            record.last_used_ms = now_ms;
            record.polled_ms = now_ms;
            record.seen = seen;
            record.used = true;
            record.leaving = false;
            self.host.event(Event::Bound(replaced), slot, record);
        }
        if own != Some(slot) {
            self.link(chain, slot);
        }
        self.stats.bound = self.stats.bound.saturating_add(1);
        match replaced {
            Replaced::Updated => inc(&mut self.stats.updated),
            Replaced::Rebound => inc(&mut self.stats.rebinds),
            _ => inc(&mut self.stats.inserted),
        }
        Ok(replaced)
    }

    /// The flow at `at` is offered again. Unless it is bound and as it was its entry is taken out.
    #[inline]
    fn offer_again(
        &mut self,
        at: u16,
        connection: ConnectionId,
        flow: &Flow,
    ) -> Result<Replaced, Reject> {
        let same = self.get(at).is_some_and(|record| record.flow == *flow);
        if self.is_slot(at) {
            let word0 = self.hw.read_word0(at);
            let word0 = self.hw_result(word0)?;
            let bound = self.is_bound(word0);
            let record = self.record(at).ok_or(Reject::EngineDead)?;
            if same && record.bound && bound {
                record.connection = connection;
                inc(&mut self.stats.refreshed);
                return Ok(Replaced::Refreshed);
            }
            self.unbind_entry(at, word0, Unbound::Changed)?;
        }
        Ok(if same {
            Replaced::Rebound
        } else {
            Replaced::Updated
        })
    }

    /// Whether the chip and the limit let a flow in that has the slot or place `own`.
    #[inline(always)]
    fn admit(&mut self, owner: BlockId, own: Option<u16>, flow: &Flow) -> Result<(), Reject> {
        admit(flow, &self.spec.caps)?;
        if self.is_refused(owner, flow) {
            return Err(Reject::Vlan8021ad);
        }
        self.admit_again(owner, flow);
        let has_slot = own.is_some_and(|own| self.is_slot(own));
        if !has_slot && self.stats.flows.saturating_sub(self.stats.parked) >= self.limit {
            inc(&mut self.stats.table_full);
            return Err(Reject::TableFull);
        }
        Ok(())
    }

    /// Writes an entry to a slot, in which there is `word0`. `fresh` says that the slot is not that
    /// of the flow already.
    #[inline(always)]
    fn commit(&mut self, slot: u16, word0: u32, fresh: bool, entry: &Entry) -> Result<(), Reject> {
        let strange = word0 != 0 && self.clear_entry(slot, word0)?;
        let record = self.records.get_mut(usize::from(slot));
        let clean = record.is_some_and(|record| core::mem::take(&mut record.clean));
        if fresh && (strange || !clean) && self.spec.caps.mib.is_some() {
            // What a former entry of this slot left behind.
            let stray = self.hw.read_mib(slot);
            if self.hw_result(stray)? != Count::ZERO {
                inc(&mut self.stats.stray_mib);
            }
        }
        let committed = self.hw.commit(slot, entry);
        if let Err(reject) = self.hw_result(committed) {
            // Some of it may have been written.
            let _ = self.hw.invalidate(slot);
            return Err(reject);
        }
        Ok(())
    }

    /// Frees the place that a flow had, `own`, unless that is `slot`. Returns what it has counted,
    /// and since when it is bound.
    #[inline(always)]
    fn free_old(&mut self, own: Option<u16>, slot: u16) -> Option<(Count, bool, Count, u64)> {
        let own = own?;
        let old = if own == slot {
            self.get(own)
        } else {
            self.clear(own)
        };
        old.map(|old| (old.unreported, old.hit, old.total, old.since_ms))
    }

    /// Removes a flow: makes its entry invalid, clears the engine's cache, and reads the
    /// counters a last time. When this returns, the engine no longer forwards it. Returns
    /// what was known of it.
    pub fn destroy(&mut self, owner: BlockId, cookie: u64) -> Option<&Record> {
        self.remove_one(owner, cookie, Unbound::Ended)
    }

    /// As [`Table::destroy`], for another reason.
    pub fn remove_one(&mut self, owner: BlockId, cookie: u64, why: Unbound) -> Option<&Record> {
        let slot = self.find(owner, cookie)?;
        let mut gone = true;
        if self.is_slot(slot) {
            let answer = self
                .hw
                .invalidate(slot)
                .and_then(|()| self.hw.clear_cache(slot));
            gone = self.hw_result(answer).is_ok();
        }
        self.take(slot, gone, why)
    }

    /// Removes the flows for which `pred` holds, each as [`Table::destroy`] does, but with
    /// the engine's caches cleared once for all of them. Looks at every slot.
    pub fn remove_where(
        &mut self,
        pred: impl FnMut(&Record) -> bool,
        on_removed: impl FnMut(&Record),
    ) {
        self.remove(Scope::Direction, pred, on_removed);
    }

    /// As [`Table::remove_where`], with what belongs to `scope`.
    pub fn remove(
        &mut self,
        scope: Scope,
        mut pred: impl FnMut(&Record) -> bool,
        mut on_removed: impl FnMut(&Record),
    ) {
        let (mut any, mut cached, mut gone) = (false, false, true);
        for (slot, record) in (0..=u16::MAX).zip(self.records.iter_mut()) {
            if record.used && pred(record) {
                record.leaving = true;
                any = true;
                if usize::from(slot) >= self.slots {
                    continue;
                }
                cached = true;
                if self.hw.invalidate(slot).is_err() {
                    inc(&mut self.stats.hw_errors);
                    gone = false;
                }
            }
        }
        if !any {
            return;
        }
        let whole = scope == Scope::Connection;
        for slot in (0..=u16::MAX).take(if whole { self.records.len() } else { 0 }) {
            let leaving = self.get(slot).filter(|record| record.leaving);
            let Some((owner, key)) = leaving.map(|record| (record.owner, record.flow.reverse()))
            else {
                continue;
            };
            for part in 0..self.spec.caps.ppes() {
                let Some(other) = self.slot_in(owner, &key, part) else {
                    continue;
                };
                if let Some(record) = self.record(other).filter(|record| !record.leaving) {
                    record.leaving = true;
                    cached = true;
                    let answer = self.hw.invalidate(other);
                    gone &= self.hw_result(answer).is_ok();
                }
            }
        }
        if cached {
            let cleared = self.hw.clear_caches();
            gone &= self.hw_result(cleared).is_ok();
        }
        for slot in (0..=u16::MAX).take(self.records.len()) {
            if self.get(slot).is_some_and(|record| record.leaving) {
                if let Some(removed) = self.take(slot, gone, Unbound::Flushed) {
                    on_removed(removed);
                }
            }
        }
    }

    /// The engine has no entry any more, as it was given up: no flow is called bound.
    pub fn mark_all_unbound(&mut self) {
        for slot in (0..=u16::MAX).take(self.slots) {
            self.unbound(slot, Unbound::Aged);
        }
    }

    /// Says that the flow in a slot is no longer bound.
    pub(super) fn unbound(&mut self, slot: u16, why: Unbound) {
        let record = self.records.get_mut(usize::from(slot));
        if let Some(record) = record.filter(|record| record.used && record.bound) {
            record.bound = false;
            self.stats.bound = self.stats.bound.saturating_sub(1);
            self.host.event(Event::Unbound(why), slot, record);
        }
    }

    /// Takes the entry of a flow that stays out of the engine, keeping what it counted.
    pub(super) fn unbind_entry(
        &mut self,
        slot: u16,
        word0: u32,
        mut why: Unbound,
    ) -> Result<(), Reject> {
        if self.get(slot).is_some_and(|record| record.bound) && !self.is_bound(word0) {
            inc(&mut self.stats.aged_out);
            why = Unbound::Aged;
        }
        let mut read = self.clear_entry(slot, word0).map(|_| ());
        if read.is_ok() {
            read = self.read_counters(slot);
        }
        self.unbound(slot, why);
        read?;
        if let Some(record) = self.record(slot) {
            record.clean = true;
        }
        Ok(())
    }

    /// Takes the entry in a slot, which has `word0`, out of the engine if the engine
    /// forwards by it. Returns whether it did.
    fn clear_entry(&mut self, slot: u16, word0: u32) -> Result<bool, Reject> {
        let armed = matches!(self.spec.format.state(word0), State::Bound | State::Fin);
        if armed {
            let gone = self
                .hw
                .invalidate(slot)
                .and_then(|()| self.hw.clear_cache(slot));
            self.hw_result(gone)?;
        }
        Ok(armed)
    }

    /// Reads the counters of a flow a last time and removes it. `gone` says whether the
    /// engine is known to have no entry of it any more.
    fn take(&mut self, slot: u16, gone: bool, why: Unbound) -> Option<&Record> {
        let mib = self.spec.caps.mib.filter(|_| self.is_slot(slot));
        let record = self.records.get_mut(usize::from(slot));
        let record = record.filter(|record| record.used)?;
        let mut clean = gone;
        if let Some(unit) = mib {
            match self.hw.read_mib(slot) {
                Ok(raw) => record.count(unit.layer3(raw, &record.flow.in_encap)),
                Err(HwError) => {
                    inc(&mut self.stats.hw_errors);
                    clean = false;
                }
            }
        }
        record.clean = clean;
        if record.bound {
            record.bound = false;
            self.stats.bound = self.stats.bound.saturating_sub(1);
            self.host.event(Event::Unbound(why), slot, record);
        }
        inc(&mut self.stats.removed);
        self.clear(slot)
    }
}
