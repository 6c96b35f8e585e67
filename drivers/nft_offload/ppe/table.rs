// SPDX-License-Identifier: GPL-2.0-only

//! Which flow has which slot.

use core::ops::DerefMut;

use super::{
    caps::Caps,
    flow::Flow,
    format::{
        Entry,
        Format, //
    },
    reject::Reject, //
};

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The engine does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HwError;

/// The engine's table, as the policy needs it.
pub trait Hw {
    /// Reads the first words of an entry, as many as `out` holds.
    fn read_entry(&mut self, slot: u16, out: &mut [u32]) -> Result<(), HwError>;
    /// Reads word 0 of an entry.
    fn read_word0(&mut self, slot: u16) -> Result<u32, HwError>;
    /// Writes an entry: body, write barrier, word 0, and then clears the engine's cache.
    fn commit(&mut self, slot: u16, entry: &Entry) -> Result<(), HwError>;
    /// Makes an entry invalid in word 0. The engine may still use it until
    /// [`Hw::clear_cache`].
    fn invalidate(&mut self, slot: u16) -> Result<(), HwError>;
    /// Clears the engine's cache of entries.
    fn clear_cache(&mut self) -> Result<(), HwError>;
    /// Reads and clears the counters of an entry, in the chip's own unit
    /// ([`Caps::mib`]). Not called if the chip has none.
    fn read_mib(&mut self, slot: u16) -> Result<Count, HwError>;
    /// The engine's clock: ticks of one second, at least as wide as the entries'
    /// timestamps; higher bits are ignored.
    fn timestamp(&mut self) -> u16;
    /// Time in milliseconds from any fixed point on.
    fn now_ms(&self) -> u64;
}

/// Who brought a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner(pub u32);

/// What a chip's table looks like and what it counts.
#[derive(Clone, Copy)]
pub struct Chip<'a> {
    /// Format of the entries.
    pub format: &'a dyn Format,
    /// Capabilities.
    pub caps: &'a Caps,
}

/// What the table knows of the flow in a slot.
#[derive(Clone, Copy, Debug)]
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
    used: bool,
    next: u16,
    /// Counted and not yet reported, layer-3 bytes.
    pub unreported: Count,
    /// All that was counted, layer-3 bytes.
    pub total: Count,
    /// Time of the last packet.
    pub last_used_ms: u64,
}

impl Record {
    /// An empty slot.
    pub const EMPTY: Self = Self {
        cookie: 0,
        tag: 0,
        owner: Owner(0),
        flow: Flow::NONE,
        bound: false,
        used: false,
        next: 0,
        unreported: Count {
            packets: 0,
            bytes: 0,
        },
        total: Count {
            packets: 0,
            bytes: 0,
        },
        last_used_ms: 0,
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

/// What is known of a flow that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its cookie.
    pub cookie: u64,
    /// Its owner.
    pub owner: Owner,
    /// The caller's own.
    pub tag: u64,
    /// The flow.
    pub flow: Flow,
    /// Counted and never reported, layer-3 bytes.
    pub unreported: Count,
    /// All that was counted, layer-3 bytes.
    pub total: Count,
}

/// What is known of a flow in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Counted since last reported, layer-3 bytes.
    pub delta: Count,
    /// Time of the last packet, see [`Hw::now_ms`].
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

/// Flows by slot, over storage of the caller's.
pub struct Table<R, I> {
    records: R,
    index: I,
    limit: u32,
    stats: TableStats,
}

impl<R, I> Table<R, I>
where
    R: DerefMut<Target = [Record]>,
    I: DerefMut<Target = [u16]>,
{
    /// A table over `records`, one for each of the engine's slots, and `index`, of
    /// [`index_len`] elements. What they hold is overwritten. `None` if the lengths do
    /// not fit: the number of slots must be a power of two from 1 to 32768.
    pub fn new(records: R, index: I) -> Option<Self> {
        (records.len().is_power_of_two() && index.len() == index_len(records.len())).then_some(
            Self {
                records,
                index,
                limit: u32::MAX,
                stats: TableStats::default(),
            },
        )
    }

    /// Limits the number of flows. Those that are there stay.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Number of slots.
    pub fn capacity(&self) -> usize {
        self.records.len()
    }

    /// The counters.
    pub fn table_stats(&self) -> &TableStats {
        &self.stats
    }

    /// The flow in a slot.
    pub fn get(&self, slot: u16) -> Option<&Record> {
        self.records
            .get(usize::from(slot))
            .filter(|record| record.used)
    }

    /// All flows with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Record)> {
        (0..=u16::MAX)
            .zip(self.records.iter())
            .filter(|(_, r)| r.used)
    }

    /// The slot of a flow.
    pub fn find(&self, owner: Owner, cookie: u64) -> Option<u16> {
        let _ = (owner, cookie);
        None
    }

    /// Binds a flow, or makes sure that it is bound as it should.
    pub fn replace<H: Hw + ?Sized>(
        &mut self,
        hw: &mut H,
        chip: Chip<'_>,
        owner: Owner,
        cookie: u64,
        tag: u64,
        flow: &Flow,
    ) -> Result<Replaced, Reject> {
        let _ = (hw, chip, owner, cookie, tag, flow);
        Err(Reject::EngineDead)
    }

    /// Removes a flow.
    pub fn destroy<H: Hw + ?Sized>(
        &mut self,
        hw: &mut H,
        chip: Chip<'_>,
        owner: Owner,
        cookie: u64,
    ) -> Option<Removed> {
        let _ = (hw, chip, owner, cookie);
        None
    }

    /// Counters and time of last use of a flow; each packet is reported once.
    pub fn stats<H: Hw + ?Sized>(
        &mut self,
        hw: &mut H,
        chip: Chip<'_>,
        owner: Owner,
        cookie: u64,
    ) -> Option<Stats> {
        let _ = (hw, chip, owner, cookie);
        None
    }

    /// Reads the counters of the flow in a slot into its record, reporting nothing.
    pub fn harvest<H: Hw + ?Sized>(
        &mut self,
        hw: &mut H,
        chip: Chip<'_>,
        slot: u16,
    ) -> Option<&Record> {
        let _ = (hw, chip);
        self.get(slot)
    }

    /// Removes the flows for which `pred` holds.
    pub fn remove_where<H: Hw + ?Sized>(
        &mut self,
        hw: &mut H,
        chip: Chip<'_>,
        pred: impl FnMut(&Record) -> bool,
        on_removed: impl FnMut(Removed),
    ) {
        let _ = (hw, chip, pred, on_removed);
    }
}

/// Elements of the index for a table of `capacity` slots.
pub const fn index_len(capacity: usize) -> usize {
    capacity.next_power_of_two()
}
