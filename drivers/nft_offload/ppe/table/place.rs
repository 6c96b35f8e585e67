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
        let mut idlest = None;
        if self.may_park(own) {
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

    /// Chooses one of `slots`, those of the bucket of a flow, which may have the slot `own`, and
    /// reads word 0 there.
    ///
    /// An entry that the engine has learned for the same flow comes first: with another
    /// one bound behind it, the engine would go on finding that. Then its own slot, then
    /// the first free one. Should the engine have learned the flow in the slot of another
    /// flow that it had let go, that entry is made invalid; the cache is left to
    /// [`Hw::commit`].
    #[inline]
    pub(super) fn place(
        &mut self,
        owner: BlockId,
        flow: &Flow,
        own: Option<u16>,
        slots: Slots,
    ) -> Result<(u16, u32), Reject> {
        let found = self.look(flow, own, slots)?;
        if found.same_key != NIL || found.free == NIL {
            return self.place_instead(owner, flow, own, slots, found);
        }
        self.place_in(flow, own, &found)
    }

    /// As [`Table::place`], if another flow has to make room: one of the same key, or any in a
    /// bucket that is full.
    #[cold]
    fn place_instead(
        &mut self,
        owner: BlockId,
        flow: &Flow,
        own: Option<u16>,
        slots: Slots,
        mut found: Bucket,
    ) -> Result<(u16, u32), Reject> {
        if found.same_key != NIL {
            self.displace(owner, found.same_key, own)?;
            found = self.look(flow, own, slots)?;
        }
        if found.free == NIL {
            self.make_room(flow, own)?;
            found = self.look(flow, own, slots)?;
        }
        if found.free == NIL {
            inc(&mut self.stats.bucket_full);
            return Err(Reject::BucketFull);
        }
        self.place_in(flow, own, &found)
    }

    /// As [`Table::place`], in a bucket that has room.
    #[inline]
    fn place_in(
        &mut self,
        flow: &Flow,
        own: Option<u16>,
        found: &Bucket,
    ) -> Result<(u16, u32), Reject> {
        if found.collision && own != Some(found.free) {
            inc(&mut self.stats.collisions);
        }
        if found.unknown.ways != 0 {
            return self.place_over(flow, own, found);
        }
        Ok((found.free, found.word0))
    }

    /// As [`Table::place`], with entries in the bucket that are not those of the flows there.
    #[cold]
    fn place_over(
        &mut self,
        flow: &Flow,
        own: Option<u16>,
        found: &Bucket,
    ) -> Result<(u16, u32), Reject> {
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
        Ok((found.free, found.word0))
    }

    /// Has the flow in a slot make room for a newer one of the same key. The kernel offers
    /// the same flow by another cookie if it has torn down the older one, and has not sent
    /// its DESTROY yet. The older one is parked until then. A flow of another owner stays.
    #[cold]
    fn displace(&mut self, owner: BlockId, slot: u16, own: Option<u16>) -> Result<(), Reject> {
        let older = self.get(slot).filter(|older| older.owner == owner);
        if older.is_none() || !self.may_park(own) {
            inc(&mut self.stats.key_in_use);
            return Err(Reject::KeyInUse);
        }
        let word0 = self.hw.read_word0(slot);
        let word0 = self.hw_result(word0)?;
        self.unbind_entry(slot, word0, Unbound::Changed)?;
        self.park(slot).ok_or(Reject::KeyInUse)
    }

    /// Whether there is a free place for a flow that makes room for one with the slot or
    /// place `own`.
    fn may_park(&self, own: Option<u16>) -> bool {
        let comes_back = own.is_some_and(|own| !self.is_slot(own));
        self.spares > u32::from(!comes_back)
    }

    /// Looks at the slots of the bucket of a flow, which may have the slot `own`.
    fn look(&mut self, flow: &Flow, own: Option<u16>, slots: Slots) -> Result<Bucket, Reject> {
        let own = own.unwrap_or(NIL);
        let mut found = Bucket {
            free: NIL,
            word0: 0,
            collision: false,
            same_key: NIL,
            unknown: slots.none(),
        };
        let (records, format) = (&self.records, self.spec.format);
        let (mask, bits) = self.bound_bits;
        let read = self.hw.read_word0s(slots, |slot, word0| {
            match records.get(usize::from(slot)).filter(|other| other.used) {
                None if found.free == NIL => (found.free, found.word0) = (slot, word0),
                None => {}
                Some(_) if slot == own => (found.free, found.word0) = (slot, word0),
                Some(other) => {
                    found.collision = true;
                    if other.flow.same_key(flow) {
                        found.same_key = slot;
                    }
                    // A bound one is of its own key, which is another one or is refused.
                    if other.bound && word0 & mask == bits {
                        return;
                    }
                }
            }
            if word0 != 0 && format.state(word0) != State::Invalid {
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
        self.slots_at(slots, part)
    }

    /// The slots of a PPE's table in the table of all PPEs.
    #[inline]
    pub(super) fn slots_at(&self, slots: Slots, part: usize) -> Slots {
        // The slots of all parts are fewer than 2^16.
        let start = usize::from(self.spec.entries).wrapping_mul(part);
        let first = start.wrapping_add(slots.first.into());
        match u16::try_from(first) {
            Ok(first) if self.is_slot(first) => Slots { first, ..slots },
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
    /// The one of them that has the same key; [`NIL`] if none has.
    same_key: u16,
    /// Slots with entries that are not those of the flows there.
    unknown: Slots,
}
