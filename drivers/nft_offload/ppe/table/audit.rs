// SPDX-License-Identifier: GPL-2.0-only

//! Whether the engine's table, and the table's own structure, are as [`Table`] believes.
//!
//! Nothing is changed and no count is read: what is found is there to be found again.

use super::{
    super::{
        flow::L4,
        format::{
            State,
            MAX_WORDS, //
        },
        hw::Hw,
        platform::HwError, //
    },
    Host,
    Record,
    Table,
    NIL, //
};

/// No engine lets go a UDP flow that had a packet less than this ago, in milliseconds. TCP flows
/// go with their FIN.
const LOST_MS: u64 = 2_000;

/// What is found at a slot, or at the place of a parked flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The engine forwards by an entry that is of no flow which is called bound.
    Orphan,
    /// The entry of a bound flow is another one than was written.
    Differs,
    /// The entry of a bound flow is gone, too soon after its last packet for ageing.
    Lost,
    /// The engine has let the flow go since it was last looked at. No fault.
    AgedOut,
    /// The flow is not where owner and cookie lead to, or what they lead to next is none.
    Index,
    /// The flow is bound, and its reverse direction is not: see [`Table::reverse`].
    OneDirection,
    /// The engine does not answer, so that the entry is not known.
    Unread,
}

/// What is known of the reverse direction of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reverse {
    /// It is bound.
    Bound,
    /// The engine has let it go.
    Aged,
    /// Another flow got its slot.
    Parked,
    /// The table does not have it.
    Unknown,
}

impl<P: Host> Table<P> {
    /// What there is to be found at a number, which is as in [`Table::iter`].
    pub fn audit(&mut self, at: u16) -> [Option<Finding>; 3] {
        let mut found = [None; 3];
        let [index, entry, half] = &mut found;
        // A copy, as the hardware is asked meanwhile.
        let record = self.get(at).copied();
        if record.is_some_and(|record| !self.is_linked(at, &record)) {
            *index = Some(Finding::Index);
        }
        if !self.is_slot(at) {
            return found;
        }
        let bound = record.filter(|record| record.bound);
        let compared = self.compare(at, bound.as_ref());
        *entry = compared.unwrap_or(Some(Finding::Unread));
        // Each rule of tc is for one direction.
        let routed = bound.filter(|record| record.flow.routed);
        if routed.is_some_and(|record| self.slot_of_opposite(&record, true).is_none()) {
            *half = Some(Finding::OneDirection);
        }
        found
    }

    /// Compares the entry in a slot with the flow that is called bound there.
    fn compare(&mut self, slot: u16, bound: Option<&Record>) -> Result<Option<Finding>, HwError> {
        let format = self.spec.format;
        let mut words = [0; MAX_WORDS];
        let Some(words) = words.get_mut(..format.entry_words()) else {
            return Err(HwError);
        };
        // The rest of an entry that does not count need not be read.
        let Some(record) = bound else {
            let armed = format.is_bound(self.hw.read_word0(slot)?);
            return Ok(armed.then_some(Finding::Orphan));
        };
        self.hw.read_entry(slot, words)?;
        let word0 = words.first().copied().unwrap_or(0);
        if format.state(word0) == State::Bound {
            let written = format.encode(&record.flow, 0);
            let same = written.is_ok_and(|entry| format.is_as_written(words, &entry));
            return Ok((!same).then_some(Finding::Differs));
        }
        let idle_ms = self.host.now_ms().saturating_sub(record.last_used_ms);
        let lost = record.flow.l4 == L4::Udp && idle_ms < LOST_MS;
        Ok(Some(if lost {
            Finding::Lost
        } else {
            Finding::AgedOut
        }))
    }

    /// How many of these sums do not fit: flows, bound flows, parked ones, free places, and
    /// beginnings of the index. Looks at all records.
    pub fn audit_sums(&self) -> u32 {
        let (mut flows, mut bound, mut parked, mut free) = (0_u32, 0_u32, 0_u32, 0_u32);
        for (at, record) in (0..NIL).zip(self.records.iter()) {
            let (used, place) = (record.used, !self.is_slot(at));
            flows = flows.saturating_add(used.into());
            bound = bound.saturating_add((used && record.bound).into());
            parked = parked.saturating_add((used && place).into());
            free = free.saturating_add((!used && place).into());
        }
        let mut listed = 0_u32;
        let mut spare = self.spare;
        while listed <= free {
            let record = self.records.get(usize::from(spare));
            let Some(record) = record.filter(|record| !record.used && !self.is_slot(spare)) else {
                break;
            };
            listed = listed.saturating_add(1);
            spare = record.next;
        }
        let heads = self.index.iter().enumerate().all(|(chain, head)| {
            *head == NIL || self.get(*head).is_some_and(|at| self.chain_of(at) == chain)
        });
        [
            flows == self.stats.flows,
            bound == self.stats.bound,
            parked == self.stats.parked,
            free == self.spares && free == listed && spare == NIL,
            heads,
        ]
        .iter()
        .fold(0_u32, |sum, fits| sum.saturating_add((!fits).into()))
    }

    /// What the table knows of the reverse direction of a flow. Looks at all parked flows.
    pub fn reverse(&self, record: &Record) -> Reverse {
        if self.slot_of_opposite(record, true).is_some() {
            return Reverse::Bound;
        }
        if self.slot_of_opposite(record, false).is_some() {
            return Reverse::Aged;
        }
        let key = record.flow.reverse();
        let mut parked = self.records.get(self.slots..).unwrap_or_default().iter();
        let is =
            |other: &Record| other.used && other.owner == record.owner && other.flow.key() == key;
        if parked.any(is) {
            Reverse::Parked
        } else {
            Reverse::Unknown
        }
    }

    /// The slot of the reverse direction of a flow, if that is bound or not, as `bound` says.
    fn slot_of_opposite(&self, record: &Record, bound: bool) -> Option<u16> {
        let key = record.flow.reverse();
        (0..self.spec.caps.ppes()).find_map(|part| {
            let slot = self.slot_in(record.owner, &key, part)?;
            self.get(slot)
                .is_some_and(|other| other.bound == bound)
                .then_some(slot)
        })
    }

    fn chain_of(&self, record: &Record) -> usize {
        self.chain(record.owner, record.cookie)
    }

    /// Whether the flow at `at` is found by its owner and cookie, and the next one of its chain
    /// is one.
    fn is_linked(&self, at: u16, record: &Record) -> bool {
        let chain = self.chain_of(record);
        let same_chain = |next: &Record| self.chain_of(next) == chain;
        if record.next != NIL && !self.get(record.next).is_some_and(same_chain) {
            return false;
        }
        let mut place = self.index.get(chain).copied().unwrap_or(NIL);
        // A chain that leads to itself has no end.
        for _ in 0..self.records.len() {
            if place == at {
                return true;
            }
            match self.get(place) {
                Some(before) => place = before.next,
                None => return false,
            }
        }
        false
    }
}

/// What goes wrong only by a mistake of the table's own.
#[cfg(test)]
impl<P: Host> Table<P> {
    /// Has `next` follow the record at `at`, of a flow or not.
    pub fn set_next(&mut self, at: u16, next: u16) {
        if let Some(record) = self.records.get_mut(usize::from(at)) {
            record.next = next;
        }
    }

    /// Has the index begin the chain of a flow at `head`.
    pub fn begin_at(&mut self, owner: super::BlockId, cookie: u64, head: u16) {
        let chain = self.chain(owner, cookie);
        if let Some(place) = self.index.get_mut(chain) {
            *place = head;
        }
    }

    /// The counters, to be falsified.
    pub fn stats_mut(&mut self) -> &mut super::TableStats {
        &mut self.stats
    }

    /// Element of the index at which a flow begins.
    pub fn begins(&self, owner: super::BlockId, cookie: u64) -> usize {
        self.chain(owner, cookie)
    }
}
