// SPDX-License-Identifier: GPL-2.0-only

//! Which flow has which slot, what it has counted, and when it was last used.
//!
//! The caller provides storage, clock and hardware ([`Host`]), and the lock around them.

use core::hash::Hash;

use super::{
    count::{
        inc,
        Count, //
    },
    flow::Flow,
    hw::Hw,
    platform::{
        Clock,
        ConnectionId,
        HwError,
        Storage, //
    },
    reject::Reject,
    spec::Spec, //
};

pub mod audit;
mod bind;
mod index;
mod place;
mod stats;
mod vlan_8021ad;

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

/// What leaves with a flow that is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nothing else.
    Direction,
    /// The reverse direction of its connection, if that has the same owner.
    Connection,
}

/// Why a flow is no longer bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbound {
    /// By [`Table::destroy`].
    Ended,
    /// By [`Table::remove`].
    Flushed,
    /// By [`Table::remove_one`], as its path has changed.
    Revalidated,
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
pub struct BlockId(pub u32);

/// What the table knows of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Name of the flow, unique per owner.
    pub cookie: u64,
    /// The direction of a connection that it is.
    pub connection: ConnectionId,
    /// Who brought it.
    pub owner: BlockId,
    /// The flow.
    pub flow: Flow,
    /// Whether the engine forwarded it when last looked at.
    pub bound: bool,
    /// Counted and not yet reported, layer-3 bytes.
    pub unreported: Count,
    /// Whether packets were seen and not yet reported.
    pub hit: bool,
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
    /// When its neighbour was last used, see [`Table::stats`].
    neigh_turn: u16,
    /// Next record in the chain of the index, or of those that are free.
    next: u16,
    /// Whether there is a flow.
    used: bool,
    /// Whether it is being removed.
    leaving: bool,
    /// Of the slot, whoever has it: the counters are zero, as no entry was there yet, or
    /// as they were read after its last entry was gone.
    clean: bool,
}

impl Record {
    /// No flow.
    pub const EMPTY: Self = Self {
        cookie: 0,
        connection: ConnectionId::NONE,
        owner: BlockId(0),
        flow: Flow::NONE,
        bound: false,
        unreported: Count::ZERO,
        hit: false,
        total: Count::ZERO,
        since_ms: 0,
        last_used_ms: 0,
        polled_ms: 0,
        seen: 0,
        neigh_turn: 0,
        next: NIL,
        used: false,
        leaving: false,
        clean: false,
    };

    /// Adds to what was counted.
    fn count(&mut self, delta: Count) {
        self.unreported = self.unreported.plus(delta);
        self.total = self.total.plus(delta);
        if delta.packets > 0 {
            self.hit = true;
            self.last_used_ms = self.last_used_ms.max(self.polled_ms);
        }
    }
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
    /// Whether there were packets since last reported.
    pub hit: bool,
    /// Whether the kernel has to be told that the flow's neighbour is in use.
    pub neighbour: bool,
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
/// The slots are those of the table's parts, see [`Caps::extra_ppe_ports`](super::caps::Caps::extra_ppe_ports), one part after the other.
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
    /// [`Format::bound_bits`](super::format::Format::bound_bits).
    bound_bits: (u32, u32),
    /// The bits of a timestamp.
    tick_mask: u16,
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
    /// fit: the number of entries of a PPE must be a power of two. Counters in memory
    /// ([`Spec::mib_words`]) are zero, as [`Memory::mib`](super::mapped::Memory::mib) says.
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
        records.fill(Record {
            clean: spec.mib_words > 0,
            ..Record::EMPTY
        });
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
            bound_bits: spec.format.bound_bits(),
            tick_mask: u16::MAX.wrapping_shr(16_u32.wrapping_sub(spec.format.timestamp_bits())),
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
    pub fn find(&self, owner: BlockId, cookie: u64) -> Option<u16> {
        self.find_in(self.chain(owner, cookie), owner, cookie)
    }

    /// Whether the engine forwards the flow of an entry with this word 0.
    #[inline(always)]
    fn is_bound(&self, word0: u32) -> bool {
        let (mask, bits) = self.bound_bits;
        word0 & mask == bits
    }

    /// Whether this is the number of a slot and not of a parked flow.
    fn is_slot(&self, at: u16) -> bool {
        usize::from(at) < self.slots
    }

    /// Counts and translates an answer of the engine.
    #[inline]
    fn hw_result<T>(&mut self, answer: Result<T, HwError>) -> Result<T, Reject> {
        answer.map_err(|HwError| self.dead())
    }

    /// Counts an access that the engine did not answer.
    #[cold]
    fn dead(&mut self) -> Reject {
        inc(&mut self.stats.hw_errors);
        Reject::EngineDead
    }

    /// The flow in a slot, to change it.
    fn record(&mut self, slot: u16) -> Option<&mut Record> {
        self.records
            .get_mut(usize::from(slot))
            .filter(|record| record.used)
    }
}
