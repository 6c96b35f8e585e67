// SPDX-License-Identifier: GPL-2.0-only

//! Which slot a flow gets.

use super::{
    super::{
        count::inc,
        flow::{
            Flow,
            Key, //
        },
        format::{
            Slots,
            State,
            MAX_WORDS, //
        },
        hw::Hw,
        reject::Reject, //
    },
    BlockId,
    Event,
    Host,
    Record,
    Table,
    Unbound,
    EVICT_IDLE_MS,
    NIL, //
};

impl<P: Host> Table<P> {
    /// The slot of the flow that has the key of `flow`, unless it is parked.
    pub fn slot_of_key(&self, flow: &Flow) -> Option<u16> {
        self.bucket(flow).find(|slot| {
            self.get(*slot)
                .is_some_and(|record| record.flow.same_key(flow))
        })
    }

    /// The slot in a part of the flow with this owner and key.
    pub(super) fn slot_in(&self, owner: BlockId, key: &Key, part: usize) -> Option<u16> {
        let flow = Flow {
            l4: key.l4,
            tuple: key.tuple,
            ..Flow::NONE
        };
        self.bucket_in(&flow, part).find(|slot| {
            self.get(*slot)
                .is_some_and(|record| record.owner == owner && record.flow.same_key(&flow))
        })
    }

    /// Makes room in the full bucket of a flow, which may have the slot or place `own`.
    fn make_room(&mut self, flow: &Flow, own: Option<u16>) -> Result<(), Reject> {
        let comes_back = own.is_some_and(|own| !self.is_slot(own));
        let mut idlest = None;
        if self.spares > u32::from(!comes_back) {
            let now_ms = self.host.now_ms();
            let in_use = |record: &&Record| {
                record.bound && now_ms.saturating_sub(record.last_used_ms) < EVICT_IDLE_MS
            };
            for slot in self.bucket(flow) {
                // Who floods a bucket must not have its counters read for each flow.
                let word0 = self.hw.read_word0(slot);
                let word0 = self.hw_result(word0)?;
                let bound = self.is_bound(word0);
                if bound && self.get(slot).filter(in_use).is_some() {
                    continue;
                }
                self.poll(slot)?;
                let Some(record) = self.get(slot).filter(|record| !in_use(record)) else {
                    continue;
                };
                // Those first that are not bound.
                let order = (record.bound, record.last_used_ms);
                if idlest.is_none_or(|(least, _)| order < least) {
                    idlest = Some((order, slot));
                }
            }
        }
        let Some(((bound, _), slot)) = idlest else {
            inc(&mut self.stats.bucket_full);
            return Err(Reject::BucketFull);
        };
        let word0 = self.hw.read_word0(slot);
        let word0 = self.hw_result(word0)?;
        self.unbind_entry(slot, word0, Unbound::Evicted)?;
        let record = self.records.get(usize::from(slot));
        if let Some(record) = record.filter(|_| bound) {
            self.host.event(Event::Evicted, slot, record);
            inc(&mut self.stats.evictions);
        }
        self.park(slot).ok_or(Reject::BucketFull)
    }

    /// Chooses the slot for a flow, which may have the slot `own`, and reads word 0 there.
    ///
    /// An entry that the engine has learned for the same flow comes first: with another
    /// one bound behind it, the engine would go on finding that. Then its own slot, then
    /// the first free one. Should the engine have learned the flow in the slot of another
    /// flow that it had let go, that entry is made invalid; the cache is left to
    /// [`Hw::commit`].
    pub(super) fn place(&mut self, flow: &Flow, own: Option<u16>) -> Result<(u16, u32), Reject> {
        let slots = self.bucket(flow);
        let mut found = self.look(flow, own, slots)?;
        if found.key_in_use {
            inc(&mut self.stats.key_in_use);
            return Err(Reject::KeyInUse);
        }
        if found.free == NIL {
            self.make_room(flow, own)?;
            found = self.look(flow, own, slots)?;
        }
        let (free, word0) = (found.free, found.word0);
        if free == NIL {
            inc(&mut self.stats.bucket_full);
            return Err(Reject::BucketFull);
        }
        if found.collision && own != Some(free) {
            inc(&mut self.stats.collisions);
        }
        for slot in found.unknown {
            let mut words = [0; MAX_WORDS];
            let Some(words) = words.get_mut(..self.spec.format.key_words()) else {
                continue;
            };
            let read = self.hw.read_entry(slot, words);
            self.hw_result(read)?;
            if !self.spec.format.same_key(words, flow) {
                continue;
            }
            let taken = own != Some(slot) && self.get(slot).is_some();
            if !taken {
                let word0 = words.first().copied().unwrap_or(0);
                return Ok((slot, word0));
            }
            let gone = self.hw.invalidate(slot);
            self.hw_result(gone)?;
        }
        Ok((free, word0))
    }

    /// Looks at the slots of the bucket of a flow, which may have the slot `own`.
    fn look(&mut self, flow: &Flow, own: Option<u16>, slots: Slots) -> Result<Bucket, Reject> {
        let own = own.unwrap_or(NIL);
        let mut found = Bucket {
            free: NIL,
            word0: 0,
            collision: false,
            key_in_use: false,
            unknown: slots.none(),
        };
        let (records, format) = (&self.records, self.spec.format);
        let (mask, bits) = self.bound_bits;
        let read = self.hw.read_word0s(slots, |slot, word0| {
            let other = if slot == own {
                None
            } else {
                let record = records.get(usize::from(slot));
                record.filter(|record| record.used)
            };
            let mut bound = false;
            if let Some(other) = other {
                found.collision = true;
                found.key_in_use |= other.flow.same_key(flow);
                bound = other.bound;
            } else if slot == own || found.free == NIL {
                (found.free, found.word0) = (slot, word0);
            }
            // A bound one is of its own key, which is another one or is refused.
            if word0 == 0 || (bound && word0 & mask == bits) {
                return;
            }
            if format.state(word0) != State::Invalid {
                found.unknown.add(slot);
            }
        });
        self.hw_result(read)?;
        Ok(found)
    }

    /// The slots in which the engine looks for a flow and which it can be given.
    fn bucket(&self, flow: &Flow) -> Slots {
        self.bucket_in(flow, self.spec.caps.ppe_of(flow.ingress.port))
    }

    /// The slots in which the engine looks for a flow in a part of the table, and which it
    /// can be given.
    fn bucket_in(&self, flow: &Flow, part: usize) -> Slots {
        let slots = self.spec.format.slots(flow, self.spec.entries.into());
        let first = part
            .checked_mul(self.spec.entries.into())
            .and_then(|start| start.checked_add(slots.first.into()));
        match first.and_then(|first| u16::try_from(first).ok()) {
            Some(first) if self.is_slot(first) => Slots { first, ..slots },
            _ => slots.none(),
        }
    }
}

/// What is in the slots of a bucket, as one flow sees it.
struct Bucket {
    /// Where the flow can go; [`NIL`] if there is no room.
    free: u16,
    /// Word 0 there.
    word0: u32,
    /// Other flows have slots of it.
    collision: bool,
    /// One of them has the same key.
    key_in_use: bool,
    /// Slots with entries that are not those of the flows there.
    unknown: Slots,
}
