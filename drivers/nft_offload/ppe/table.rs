// SPDX-License-Identifier: GPL-2.0-only

//! Which flow has which slot, what it has counted, and when it was last used.
//!
//! The caller provides storage, clock and hardware ([`Host`]), and the lock around them.

use core::hash::{
    Hash,
    Hasher, //
};

use super::{
    caps::admit,
    count::{
        inc,
        Count, //
    },
    flow::{
        Flow,
        Key, //
    },
    format::{
        Format,
        Slots,
        State,
        MAX_WORDS, //
    },
    hash::Fnv,
    hw::Hw,
    platform::{
        Clock,
        HwError,
        Storage, //
    },
    reject::Reject,
    spec::Spec, //
};

pub mod audit;

/// What a table is made of, and who watches it.
pub trait Host: Clock + Storage {
    /// The engine's table.
    type Hw: Hw;

    /// Hears of each flow that is bound, and of its end once, see [`Event`]. `record` is as
    /// it is after that. The table needs no answer.
    #[inline(always)]
    fn event(&mut self, event: Event, slot: u16, record: &Record) {
        let _ = (event, slot, record);
    }
}

/// What happens to the flow in a slot.
///
/// After [`Event::Bound`] the table calls it bound, and so it is until [`Event::Unbound`],
/// which comes once for each of them. Its counters are read by then, if the engine answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was bound, in one of the ways of [`Replaced`] that write an entry.
    Bound(Replaced),
    /// It is no longer bound.
    Unbound(Unbound),
    /// It was bound and had to make room for another one.
    Evicted,
}

/// What is removed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Flows.
    Flows,
    /// Flows, each with the opposite direction of its connection, if that has the same owner.
    Connections,
    /// The same, as their way has changed.
    Moved,
}

/// Why a flow is no longer bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbound {
    /// By [`Table::destroy`].
    Ended,
    /// By [`Table::remove`].
    Flushed,
    /// By [`Table::remove`], as it might have gone the wrong way.
    Moved,
    /// The engine let it go.
    Aged,
    /// It was offered again in another form.
    Changed,
    /// It had to make room.
    Evicted,
    /// By [`Table::refuse`].
    Refused,
}

/// Who brought a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner(pub u32);

/// What the table knows of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Name of the flow, unique per owner.
    pub cookie: u64,
    /// The caller's own.
    pub tag: u64,
    /// Who brought it.
    pub owner: Owner,
    /// The flow.
    pub flow: Flow,
    /// Whether the engine forwarded it when last looked at.
    pub bound: bool,
    /// Counted and not yet reported, layer-3 bytes.
    pub unreported: Count,
    /// All that was counted, layer-3 bytes.
    pub total: Count,
    /// Time at which it was bound first.
    pub since_ms: u64,
    /// Time of the last packet, see [`Table::stats`].
    pub last_used_ms: u64,
    /// Time of the last look.
    polled_ms: u64,
    /// The entry's timestamp at the last look.
    seen: u16,
    /// Next record in the chain of the index, or of those that are free.
    next: u16,
    /// Whether there is a flow.
    used: bool,
    /// Whether it is being removed.
    leaving: bool,
    /// Of the slot, whoever has it: the counters were read after its last entry was gone,
    /// so that they are zero.
    clean: bool,
}

impl Record {
    /// No flow.
    pub const EMPTY: Self = Self {
        cookie: 0,
        tag: 0,
        owner: Owner(0),
        flow: Flow::NONE,
        bound: false,
        unreported: Count::ZERO,
        total: Count::ZERO,
        since_ms: 0,
        last_used_ms: 0,
        polled_ms: 0,
        seen: 0,
        next: NIL,
        used: false,
        leaving: false,
        clean: false,
    };
}

/// What [`Table::replace`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// A new flow was bound.
    Bound,
    /// The flow was bound and is as it was; nothing was written.
    Refreshed,
    /// The flow has changed; its entry was replaced.
    Updated,
    /// The engine had let the flow go; it was bound again.
    Rebound,
}

/// What is known of a flow in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Counted since last reported, layer-3 bytes.
    pub delta: Count,
    /// Time of the last packet, see [`Clock::now_ms`].
    pub last_used_ms: u64,
    /// Whether the engine forwards it.
    pub bound: bool,
}

/// Counters of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Flows in the table now.
    pub flows: u32,
    /// Of these, bound when last looked at.
    pub bound: u32,
    /// Of all flows, those that have no slot, as another flow got it.
    pub parked: u32,
    /// Most flows there ever were at once.
    pub high_water: u32,
    /// New flows bound.
    pub inserted: u64,
    /// Flows offered again that were bound and unchanged.
    pub refreshed: u64,
    /// Flows offered again that had changed.
    pub updated: u64,
    /// Flows offered again that the engine had let go.
    pub rebinds: u64,
    /// Flows removed.
    pub removed: u64,
    /// Flows found to be no longer bound.
    pub aged_out: u64,
    /// Flows put into a bucket in which there was another one.
    pub collisions: u64,
    /// Bound flows that had to make room for another one.
    pub evictions: u64,
    /// Flows refused because all ways were taken.
    pub bucket_full: u64,
    /// Flows refused because of the limit.
    pub table_full: u64,
    /// Flows refused because another has the same key.
    pub key_in_use: u64,
    /// Slots whose counters were not zero when a flow was put there.
    pub stray_mib: u64,
    /// Accesses the engine did not answer.
    pub hw_errors: u64,
}

/// No slot: the end of a chain in the index, for instance.
const NIL: u16 = u16::MAX;

/// Time without packets, in milliseconds, after which a flow has to make room for another
/// one if their bucket is full. Long enough not to be undone at once by the next packet of
/// a flow that only pauses, and well below the 30 s after which nf_flowtable ends a flow.
/// The kernel's own driver of such engines has them drop TCP flows after 7 s.
pub const EVICT_IDLE_MS: u64 = 7_000;

/// Records beyond those of the slots to have for a table of `slots` slots.
pub const fn spares(slots: usize) -> usize {
    slots / 8
}

/// Keys remembered to be refused.
const REFUSED: usize = 64;

/// Flows by slot, over storage of the caller's.
///
/// The slots are those of the table's parts, see [`Caps::apart`](super::caps::Caps::apart), one part after the other.
/// A flow can only be in the part of the port at which it arrives.
///
/// The record of a flow lives at the number of the flow's slot; a hash index leads from
/// owner and cookie there. So the cost of all but [`Table::remove_where`] is independent
/// of the number of flows.
///
/// # When a bucket is full
///
/// Then a flow of the bucket that the engine has let go makes room, or else the one that
/// is idle for longest, if that is [`EVICT_IDLE_MS`] or longer. It is *parked*: its record
/// moves to a place behind those of the slots, with all it has counted, and waits there
/// for the kernel to ask for its counters, to end it, or to offer it again. If there is no
/// such place left, the new flow is refused, as if no flow were idle.
///
/// The last place is kept for a flow that leaves such a place for a slot, so that parked
/// flows can come back however many they are.
///
/// The table, and not the engine, decides what is bound: the engine may learn flows of
/// its own accord (entries in state unbound) and may let bound ones go (ageing), but
/// never binds.
///
/// # When the engine does not answer
///
/// Removal ends with the flow removed here in any case, the counts as far as they are
/// known. Anything else leaves the flow as it was before, save that it is no longer
/// called bound once its entry was touched.
pub struct Table<P: Host> {
    /// The engine's table.
    pub hw: P::Hw,
    /// The clock, and whoever watches.
    pub host: P,
    spec: &'static Spec,
    records: P::Vec<Record>,
    index: P::Vec<u16>,
    slots: usize,
    /// First of the free records behind those of the slots.
    spare: u16,
    /// Number of them.
    spares: u32,
    refused: [u64; REFUSED],
    /// How many of them are in use.
    refusals: u32,
    limit: u32,
    stats: TableStats,
}

/// Elements of the index for a table of `capacity` slots.
pub const fn index_len(capacity: usize) -> usize {
    match capacity.checked_next_power_of_two() {
        Some(len) => len,
        None => 0,
    }
}

impl<P: Host> Table<P> {
    /// A table for the engine `hw` of the chip `spec`, over `records`, one for each of the
    /// engine's slots and more, see [`spares`], 65535 at most in all, and `index`, of
    /// [`index_len`] elements. What they hold is overwritten. `None` if the lengths do not
    /// fit: the number of entries of a PPE must be a power of two.
    ///
    /// Without spare records no flow ever makes room for another one.
    pub fn new(
        host: P,
        hw: P::Hw,
        spec: &'static Spec,
        mut records: P::Vec<Record>,
        mut index: P::Vec<u16>,
    ) -> Option<Self> {
        let slots = spec.slots();
        let spares = records.len().checked_sub(slots)?;
        if !spec.entries.is_power_of_two()
            || records.len() > usize::from(NIL)
            || index.len() != index_len(slots)
        {
            return None;
        }
        records.fill(Record::EMPTY);
        index.fill(NIL);
        let mut spare = NIL;
        for (at, record) in (0..NIL).zip(records.iter_mut()).skip(slots) {
            record.next = spare;
            spare = at;
        }
        Some(Self {
            hw,
            host,
            spec,
            records,
            index,
            slots,
            spare,
            spares: u32::try_from(spares).ok()?,
            refused: [0; REFUSED],
            refusals: 0,
            limit: u32::MAX,
            stats: TableStats::default(),
        })
    }

    /// The chip.
    pub fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// Limits the number of flows. Those that are there stay.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Number of slots.
    pub fn capacity(&self) -> usize {
        self.slots
    }

    /// The counters.
    pub fn table_stats(&self) -> &TableStats {
        &self.stats
    }

    /// The flow in a slot, or at the number of a parked one.
    pub fn get(&self, slot: u16) -> Option<&Record> {
        self.records
            .get(usize::from(slot))
            .filter(|record| record.used)
    }

    /// All flows with their slots, or numbers from [`Table::capacity`] on for those that
    /// are parked.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Record)> {
        (0..=u16::MAX)
            .zip(self.records.iter())
            .filter(|(_, record)| record.used)
    }

    /// The first flow of those at the numbers `from` to `to`, `to` excluded, which are as in
    /// [`Table::iter`].
    pub fn first_of(&self, from: u16, to: u16) -> Option<u16> {
        (from..to).find(|at| self.get(*at).is_some())
    }

    /// Numbers that flows can have, from 0 on.
    pub fn numbers(&self) -> usize {
        self.records.len()
    }

    /// The slot of a flow, or a number from [`Table::capacity`] on if it is parked.
    pub fn find(&self, owner: Owner, cookie: u64) -> Option<u16> {
        self.find_in(self.chain(owner, cookie), owner, cookie)
    }

    /// As [`Table::find`], with the flow's element of the index.
    #[inline]
    fn find_in(&self, chain: usize, owner: Owner, cookie: u64) -> Option<u16> {
        let mut slot = self.index.get(chain).copied()?;
        while let Some(record) = self.get(slot) {
            if record.cookie == cookie && record.owner == owner {
                return Some(slot);
            }
            slot = record.next;
        }
        None
    }

    /// The slot of the flow that has the key of `flow`, unless it is parked.
    pub fn slot_of_key(&self, flow: &Flow) -> Option<u16> {
        self.bucket(flow).find(|slot| {
            self.get(*slot)
                .is_some_and(|record| record.flow.same_key(flow))
        })
    }

    /// Binds a flow, or makes sure that it is bound as it should. To offer a flow again
    /// under the same owner and cookie is harmless.
    ///
    /// The flow is bound if and only if this is `Ok`. Counts survive whatever happens to
    /// the entry: when a flow that is there is refused in its new form, its old entry is
    /// taken out and its record stays until [`Table::destroy`].
    pub fn replace(
        &mut self,
        owner: Owner,
        cookie: u64,
        tag: u64,
        flow: &Flow,
    ) -> Result<Replaced, Reject> {
        let spec = self.spec;
        let chain = self.chain(owner, cookie);
        let own = self.find_in(chain, owner, cookie);
        let replaced = match own {
            None => Replaced::Bound,
            Some(slot) => {
                let same = self.get(slot).is_some_and(|record| record.flow == *flow);
                if self.is_slot(slot) {
                    let word0 = self.hw.read_word0(slot);
                    let word0 = self.answer(word0)?;
                    let record = self.record(slot).ok_or(Reject::EngineDead)?;
                    if same && record.bound && spec.format.is_bound(word0) {
                        record.tag = tag;
                        inc(&mut self.stats.refreshed);
                        return Ok(Replaced::Refreshed);
                    }
                    self.let_go(slot, word0, Unbound::Changed)?;
                }
                if same {
                    Replaced::Rebound
                } else {
                    Replaced::Updated
                }
            }
        };

        admit(flow, &self.spec.caps)?;
        if self.is_refused(owner, flow) {
            return Err(Reject::Vlan8021ad);
        }
        self.admit_again(owner, flow);
        if own.is_none() && self.stats.flows >= self.limit {
            inc(&mut self.stats.table_full);
            return Err(Reject::TableFull);
        }
        let timestamp = self.hw.timestamp();
        // Not moved out of the result, as that would be a copy.
        let encoded = self.spec.format.encode(flow, timestamp);
        let entry = encoded.as_ref().map_err(|reject| *reject)?;
        let (slot, word0) = self.place(flow, own)?;
        let strange = self.disarm(slot, word0)?;
        if own != Some(slot) && self.spec.caps.mib.is_some() && (strange || !self.is_clean(slot)) {
            // What a former entry of this slot left behind.
            let stray = self.hw.read_mib(slot);
            if self.answer(stray)? != Count::ZERO {
                inc(&mut self.stats.stray_mib);
            }
        }
        if let Some(record) = self.records.get_mut(usize::from(slot)) {
            record.clean = false;
        }
        let committed = self.hw.commit(slot, entry);
        if let Err(reject) = self.answer(committed) {
            // Some of it may have been written.
            let _ = self.hw.invalidate(slot);
            return Err(reject);
        }

        let now_ms = self.host.now_ms();
        let seen = self.spec.format.timestamp(entry.word0());
        let fresh = own != Some(slot);
        let counted = own
            .and_then(|own| {
                if fresh {
                    self.clear(own)
                } else {
                    self.get(own)
                }
            })
            .map(|old| (old.unreported, old.total, old.since_ms));
        if let Some(record) = self.records.get_mut(usize::from(slot)) {
            // One by one: each is written where it stays.
            record.cookie = cookie;
            record.tag = tag;
            record.owner = owner;
            record.flow.assign(flow);
            record.bound = true;
            (record.unreported, record.total, record.since_ms) =
                counted.unwrap_or((Count::ZERO, Count::ZERO, now_ms));
            record.last_used_ms = now_ms;
            record.polled_ms = now_ms;
            record.seen = seen;
            record.used = true;
            record.leaving = false;
            self.host.event(Event::Bound(replaced), slot, record);
        }
        if fresh {
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

    /// Removes a flow: makes its entry invalid, clears the engine's cache, and reads the
    /// counters a last time. When this returns, the engine no longer forwards it. Returns
    /// what was known of it.
    pub fn destroy(&mut self, owner: Owner, cookie: u64) -> Option<&Record> {
        let slot = self.find(owner, cookie)?;
        let mut gone = true;
        if self.is_slot(slot) {
            let answer = self
                .hw
                .invalidate(slot)
                .and_then(|()| self.hw.clear_cache(slot));
            gone = self.answer(answer).is_ok();
        }
        self.take(slot, gone, Unbound::Ended)
    }

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
    pub fn stats(&mut self, owner: Owner, cookie: u64) -> Option<Stats> {
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
    pub fn harvest(&mut self, slot: u16) -> Option<&Record> {
        let _ = self.poll(slot);
        self.get(slot)
    }

    /// Removes the flows for which `pred` holds, each as [`Table::destroy`] does, but with
    /// the engine's caches cleared once for all of them. Looks at every slot.
    pub fn remove_where(
        &mut self,
        pred: impl FnMut(&Record) -> bool,
        on_removed: impl FnMut(&Record),
    ) {
        self.remove(Removal::Flows, pred, on_removed);
    }

    /// As [`Table::remove_where`], with what `removal` says.
    pub fn remove(
        &mut self,
        removal: Removal,
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
        let (whole, why) = match removal {
            Removal::Flows => (false, Unbound::Flushed),
            Removal::Connections => (true, Unbound::Flushed),
            Removal::Moved => (true, Unbound::Moved),
        };
        for slot in (0..=u16::MAX).take(if whole { self.records.len() } else { 0 }) {
            let leaving = self.get(slot).filter(|record| record.leaving);
            let Some((owner, key)) = leaving.map(|record| (record.owner, record.flow.opposite()))
            else {
                continue;
            };
            for part in 0..self.spec.caps.parts() {
                let Some(other) = self.slot_in(owner, &key, part) else {
                    continue;
                };
                if let Some(record) = self.record(other).filter(|record| !record.leaving) {
                    record.leaving = true;
                    cached = true;
                    let answer = self.hw.invalidate(other);
                    gone &= self.answer(answer).is_ok();
                }
            }
        }
        if cached {
            let cleared = self.hw.clear_caches();
            gone &= self.answer(cleared).is_ok();
        }
        for slot in (0..=u16::MAX).take(self.records.len()) {
            if self.get(slot).is_some_and(|record| record.leaving) {
                if let Some(removed) = self.take(slot, gone, why) {
                    on_removed(removed);
                }
            }
        }
    }

    /// The engine has no entry any more, as it was given up: no flow is called bound.
    pub fn gone(&mut self) {
        for slot in (0..=u16::MAX).take(self.slots) {
            self.unbound(slot, Unbound::Aged);
        }
    }

    /// Refuses the flow with `key` of this owner from now on, as the opposite direction of
    /// one that was refused for its 802.1ad tag, and takes it out of the engine if it is
    /// there. Its record stays until [`Table::destroy`].
    ///
    /// That ends when a rule without such a tag comes for the opposite direction, or when
    /// more keys are refused than are remembered. In the last case the flow is bound when
    /// it is offered next, and taken out again when the opposite direction is.
    pub fn refuse(&mut self, owner: Owner, key: &Key) {
        let name = refused_name(owner, key);
        if let Some(refused) = self.refused.get_mut(refused_place(name)) {
            if *refused == 0 {
                self.refusals = self.refusals.saturating_add(1);
            }
            *refused = name;
        }
        // It is not known where its frames arrive.
        for part in 0..self.spec.caps.parts() {
            let Some(slot) = self.slot_in(owner, key, part) else {
                continue;
            };
            let word0 = self.hw.read_word0(slot);
            if let Ok(word0) = self.answer(word0) {
                let _ = self.let_go(slot, word0, Unbound::Refused);
            }
        }
    }

    /// The slot in a part of the flow with this owner and key.
    fn slot_in(&self, owner: Owner, key: &Key, part: usize) -> Option<u16> {
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

    fn is_refused(&self, owner: Owner, flow: &Flow) -> bool {
        if self.refusals == 0 {
            return false;
        }
        let name = refused_name(owner, &flow.key());
        self.refused.get(refused_place(name)) == Some(&name)
    }

    /// Ends what [`Table::refuse`] began for the opposite direction of `flow`.
    fn admit_again(&mut self, owner: Owner, flow: &Flow) {
        if self.refusals == 0 {
            return;
        }
        let name = refused_name(owner, &flow.opposite());
        if let Some(refused) = self.refused.get_mut(refused_place(name)) {
            if *refused == name {
                *refused = 0;
                self.refusals = self.refusals.saturating_sub(1);
            }
        }
    }

    /// Whether this is the number of a slot and not of a parked flow.
    fn is_slot(&self, at: u16) -> bool {
        usize::from(at) < self.slots
    }

    /// Counts and translates an answer of the engine.
    fn answer<T>(&mut self, answer: Result<T, HwError>) -> Result<T, Reject> {
        answer.map_err(|HwError| {
            inc(&mut self.stats.hw_errors);
            Reject::EngineDead
        })
    }

    /// Whether the counters of a slot are known to be zero.
    fn is_clean(&self, slot: u16) -> bool {
        self.records
            .get(usize::from(slot))
            .is_some_and(|record| record.clean)
    }

    /// The flow in a slot, to change it.
    fn record(&mut self, slot: u16) -> Option<&mut Record> {
        self.records
            .get_mut(usize::from(slot))
            .filter(|record| record.used)
    }

    /// Element of the index from which a flow is found.
    fn chain(&self, owner: Owner, cookie: u64) -> usize {
        // Cookies are addresses, alike in their upper and in their lowest bits: the
        // multiplication (by 2^64 over the golden ratio) spreads them over the upper ones.
        let hash =
            (cookie ^ u64::from(owner.0).rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(hash.wrapping_shr(32)).unwrap_or(0) & self.index.len().wrapping_sub(1)
    }

    /// Makes the flow in a slot, which is not in the index, findable from its element there.
    fn link(&mut self, chain: usize, slot: u16) {
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
    fn lead(&mut self, chain: usize, from: u16, to: u16) -> Option<()> {
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
    fn park(&mut self, slot: u16) -> Option<()> {
        let parked = *self.get(slot)?;
        let spare = self.spare;
        let next = self.records.get(usize::from(spare))?.next;
        self.lead(self.chain(parked.owner, parked.cookie), slot, spare)?;
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
    fn clear(&mut self, slot: u16) -> Option<&Record> {
        let record = self.record(slot)?;
        let (owner, cookie, next) = (record.owner, record.cookie, record.next);
        record.used = false;
        record.leaving = false;
        self.lead(self.chain(owner, cookie), slot, next)?;
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

    /// Says that the flow in a slot is no longer bound.
    fn unbound(&mut self, slot: u16, why: Unbound) {
        let record = self.records.get_mut(usize::from(slot));
        if let Some(record) = record.filter(|record| record.used && record.bound) {
            record.bound = false;
            self.stats.bound = self.stats.bound.saturating_sub(1);
            self.host.event(Event::Unbound(why), slot, record);
        }
    }

    /// Takes the entry of a flow that stays out of the engine, keeping what it counted.
    fn let_go(&mut self, slot: u16, word0: u32, mut why: Unbound) -> Result<(), Reject> {
        if self.get(slot).is_some_and(|record| record.bound) && !self.spec.format.is_bound(word0) {
            inc(&mut self.stats.aged_out);
            why = Unbound::Aged;
        }
        let mut read = self.disarm(slot, word0).map(|_| ());
        if read.is_ok() {
            read = self.collect(slot).map(|_| ());
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
    fn disarm(&mut self, slot: u16, word0: u32) -> Result<bool, Reject> {
        let armed =
            word0 != 0 && matches!(self.spec.format.state(word0), State::Bound | State::Fin);
        if armed {
            let gone = self
                .hw
                .invalidate(slot)
                .and_then(|()| self.hw.clear_cache(slot));
            self.answer(gone)?;
        }
        Ok(armed)
    }

    /// Adds what the engine has counted for the flow in a slot to its record, and returns
    /// it. If that is anything, the flow was in use since the last look.
    fn collect(&mut self, slot: u16) -> Result<Count, Reject> {
        let Some(unit) = self.spec.caps.mib.filter(|_| self.is_slot(slot)) else {
            return Ok(Count::ZERO);
        };
        let raw = self.hw.read_mib(slot);
        let raw = self.answer(raw)?;
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
    fn poll(&mut self, slot: u16) -> Result<(), Reject> {
        let spec = self.spec;
        if self.get(slot).is_none() || !self.is_slot(slot) {
            return Ok(());
        }
        // In this order: of a packet that comes in between, the next look sees the count,
        // and its timestamp is not after the clock.
        let delta = self.collect(slot)?;
        let word0 = self.hw.read_word0(slot);
        let word0 = self.answer(word0)?;
        let clock = self.hw.timestamp();
        let now_ms = self.host.now_ms();

        let Some(record) = self.record(slot) else {
            return Ok(());
        };
        let bound = spec.format.is_bound(word0);
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

    /// Reads the counters of a flow a last time and removes it. `gone` says whether the
    /// engine is known to have no entry of it any more.
    fn take(&mut self, slot: u16, gone: bool, why: Unbound) -> Option<&Record> {
        let read = self.collect(slot).is_ok();
        self.unbound(slot, why);
        self.record(slot)?.clean = read && gone;
        inc(&mut self.stats.removed);
        self.clear(slot)
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
                let bound = self.spec.format.is_bound(self.answer(word0)?);
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
        let word0 = self.answer(word0)?;
        self.let_go(slot, word0, Unbound::Evicted)?;
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
    fn place(&mut self, flow: &Flow, own: Option<u16>) -> Result<(u16, u32), Reject> {
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
            self.answer(read)?;
            if !self.spec.format.same_key(words, flow) {
                continue;
            }
            let taken = own != Some(slot) && self.get(slot).is_some();
            if !taken {
                let word0 = words.first().copied().unwrap_or(0);
                return Ok((slot, word0));
            }
            let gone = self.hw.invalidate(slot);
            self.answer(gone)?;
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
        for slot in slots {
            let word0 = self.hw.read_word0(slot);
            let word0 = self.answer(word0)?;
            let other = if slot == own { None } else { self.get(slot) };
            let mut bound = false;
            if let Some(other) = other {
                found.collision = true;
                found.key_in_use |= other.flow.same_key(flow);
                bound = other.bound;
            } else if slot == own || found.free == NIL {
                (found.free, found.word0) = (slot, word0);
            }
            if word0 == 0 {
                continue;
            }
            match self.spec.format.state(word0) {
                State::Invalid => {}
                // Of its own key, which is another one or is refused.
                State::Bound if bound => {}
                _ => found.unknown.add(slot),
            }
        }
        Ok(found)
    }

    /// The slots in which the engine looks for a flow and which it can be given.
    fn bucket(&self, flow: &Flow) -> Slots {
        self.bucket_in(flow, self.spec.caps.part(flow.ingress.port))
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

/// The name under which a key is remembered to be refused; not 0.
fn refused_name(owner: Owner, key: &Key) -> u64 {
    let mut hasher = Fnv::default();
    owner.hash(&mut hasher);
    key.hash(&mut hasher);
    hasher.finish().max(1)
}

/// Where it is remembered.
fn refused_place(name: u64) -> usize {
    usize::try_from(name.wrapping_shr(32)).unwrap_or(0) & REFUSED.wrapping_sub(1)
}

/// The bits of a timestamp.
fn timestamp_mask(format: &dyn Format) -> u16 {
    u16::MAX.wrapping_shr(16_u32.wrapping_sub(format.timestamp_bits()))
}
