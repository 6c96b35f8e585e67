// SPDX-License-Identifier: GPL-2.0-only
//! The table with an engine that answers what it likes: which flows there are has to be
//! what was asked for all the same, and what the table says of itself has to be true.

use std::collections::BTreeMap;

use nft_offload_ppe::{
    count::Count,
    flow::{Encap, Flow, PsePort},
    format::{Entry, MAX_WORDS},
    platform::HwError,
    table::{index_len, Chip, Event, Hw, Owner, Record, Removal, Replaced, Table},
};

use crate::{bytes::Bytes, rules};

/// Few slots, so that buckets get full, in two parts.
const PART: usize = 16;
pub(crate) const SLOTS: usize = 2 * PART;
const SPARES: usize = 3;

/// An engine that keeps what it is told, until it does not.
pub(crate) struct Engine<'a> {
    pub(crate) bytes: Bytes<'a>,
    words: [[u32; MAX_WORDS]; SLOTS],
    mib: [Count; SLOTS],
    pub(crate) now_ms: u64,
    clock: u16,
    /// So many of the next answers are any, and so many are missing after that.
    noise: u8,
    silence: u8,
    /// Flows that the table calls bound, by what it said.
    pub(crate) bound: BTreeMap<(u32, u64), u16>,
}

impl<'a> Engine<'a> {
    pub(crate) fn new(bytes: Bytes<'a>) -> Self {
        Self {
            bytes,
            words: [[0; MAX_WORDS]; SLOTS],
            mib: [Count::ZERO; SLOTS],
            now_ms: 1_000_000,
            clock: 0,
            noise: 0,
            silence: 0,
            bound: BTreeMap::new(),
        }
    }

    /// Whether this answer is noise.
    fn ask(&mut self) -> Result<bool, HwError> {
        if self.noise > 0 {
            self.noise -= 1;
            return Ok(true);
        }
        if self.silence > 0 {
            self.silence -= 1;
            return Err(HwError);
        }
        Ok(false)
    }

    /// Something becomes of it.
    pub(crate) fn happen(&mut self) {
        let bytes = &mut self.bytes;
        let slot = usize::from(bytes.below(SLOTS as u8));
        match bytes.below(8) {
            0 => self.words[slot][usize::from(bytes.below(MAX_WORDS as u8))] = bytes.u32(),
            // The state alone, or its copy in another slot.
            1 => {
                self.words[slot][0] =
                    self.words[slot][0] & !(3 << 28) | u32::from(bytes.below(4)) << 28
            }
            2 => self.words[usize::from(bytes.below(SLOTS as u8))] = self.words[slot],
            3 => {
                self.mib[slot] = Count {
                    packets: bytes.u64(),
                    bytes: bytes.u64(),
                }
            }
            4 => self.mib[slot].packets = 1,
            5 => self.noise = bytes.u8(),
            6 => self.silence = bytes.below(12),
            _ => {
                self.now_ms += u64::from(bytes.u16());
                self.clock = bytes.u16();
            }
        }
    }
}

impl Hw for Engine<'_> {
    fn read_entry(&mut self, slot: u16, out: &mut [u32]) -> Result<(), HwError> {
        if self.ask()? {
            out.fill_with(|| self.bytes.u32());
        } else {
            out.copy_from_slice(&self.words[usize::from(slot)][..out.len()]);
        }
        Ok(())
    }

    fn read_word0(&mut self, slot: u16) -> Result<u32, HwError> {
        let word0 = self.words[usize::from(slot)][0];
        Ok(if self.ask()? { self.bytes.u32() } else { word0 })
    }

    fn commit(&mut self, slot: u16, entry: &Entry) -> Result<(), HwError> {
        let words = &mut self.words[usize::from(slot)];
        words[1..entry.words().len()].copy_from_slice(entry.body());
        if !self.ask()? {
            self.words[usize::from(slot)][0] = entry.word0();
        }
        self.ask().map(|_| ())
    }

    fn invalidate(&mut self, slot: u16) -> Result<(), HwError> {
        if !self.ask()? {
            self.words[usize::from(slot)][0] &= !(3 << 28);
        }
        Ok(())
    }

    fn clear_cache(&mut self, slot: u16) -> Result<(), HwError> {
        assert!(usize::from(slot) < SLOTS);
        self.ask().map(|_| ())
    }

    fn clear_caches(&mut self) -> Result<(), HwError> {
        self.ask().map(|_| ())
    }

    fn read_mib(&mut self, slot: u16) -> Result<Count, HwError> {
        if self.ask()? {
            return Ok(Count {
                packets: self.bytes.u64(),
                bytes: self.bytes.u64(),
            });
        }
        Ok(core::mem::take(&mut self.mib[usize::from(slot)]))
    }

    fn timestamp(&mut self) -> u16 {
        self.clock
    }

    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn event(&mut self, event: Event, slot: u16, record: &Record) {
        let id = (record.owner.0, record.cookie);
        match event {
            Event::Bound(replaced) => {
                assert!(record.bound && replaced != Replaced::Refreshed);
                assert_eq!(self.bound.insert(id, slot), None, "bound twice");
            }
            Event::Unbound(_) => {
                assert!(!record.bound);
                assert_eq!(self.bound.remove(&id), Some(slot), "was not bound");
            }
            Event::Evicted => assert!(!record.bound),
        }
    }
}

pub(crate) type FuzzTable = Table<Vec<Record>, Vec<u16>>;

pub(crate) fn new_table() -> FuzzTable {
    let records = vec![Record::EMPTY; SLOTS + SPARES];
    Table::with_spares(records, vec![0; index_len(SLOTS)], PART, 2).expect("lengths fit")
}

fn flow(bytes: &mut Bytes<'_>) -> Flow {
    let tuple = rules::tuple(bytes);
    let port = 1 + bytes.below(2);
    let mut encap = Encap::NONE;
    if bytes.mostly(false, Bytes::bool) {
        encap.push_vlan(7);
    }
    Flow {
        ingress: PsePort(port).into(),
        egress: PsePort(3 - port).into(),
        l4: rules::l4(bytes),
        tuple,
        new: bytes.mostly(tuple, rules::tuple),
        smac: rules::mac(bytes),
        dmac: rules::mac(bytes),
        in_encap: encap,
        out_encap: Encap::NONE,
        routed: bytes.mostly(true, Bytes::bool),
    }
}

/// What the table says of itself is true, whatever the engine said.
pub(crate) fn check(table: &FuzzTable, hw: &Engine<'_>) {
    let stats = table.table_stats();
    let (mut flows, mut bound, mut parked) = (0, 0, 0);
    let mut keys = Vec::new();
    for (slot, record) in table.iter() {
        flows += 1;
        let id = (record.owner.0, record.cookie);
        assert_eq!(table.find(record.owner, record.cookie), Some(slot));
        assert_eq!(hw.bound.get(&id), record.bound.then_some(&slot));
        assert!(record.total.packets >= record.unreported.packets);
        assert!(record.total.bytes >= record.unreported.bytes);
        assert!(record.last_used_ms <= hw.now_ms, "used in the future");
        bound += u32::from(record.bound);
        if usize::from(slot) >= SLOTS {
            assert!(!record.bound, "bound without a slot");
            parked += 1;
            continue;
        }
        let key = (
            rules::CAPS.part(record.flow.ingress.port),
            record.flow.key(),
        );
        assert!(!keys.contains(&key), "two flows with one key");
        keys.push(key);
    }
    assert_eq!(
        (stats.flows, stats.bound, stats.parked),
        (flows, bound, parked)
    );
    assert_eq!(hw.bound.len(), bound as usize);
    assert!(stats.high_water >= flows);
}

/// The target.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let chip: Chip<'_> = rules::chip(&mut bytes);
    let hw = &mut Engine::new(bytes);
    let mut table = new_table();
    let mut known: BTreeMap<(u32, u64), Flow> = BTreeMap::new();
    while !hw.bytes.is_empty() {
        let owner = u32::from(hw.bytes.below(3));
        let cookie = u64::from(hw.bytes.below(40));
        let id = (owner, cookie);
        match hw.bytes.below(12) {
            0..=3 => {
                let flow = flow(&mut hw.bytes);
                if table
                    .replace(hw, chip, Owner(owner), cookie, 0, &flow)
                    .is_ok()
                {
                    assert!(hw.bound.contains_key(&id), "taken and not bound");
                    known.insert(id, flow);
                }
            }
            4 => {
                let gone = table.destroy(hw, chip, Owner(owner), cookie).is_some();
                assert_eq!(gone, known.remove(&id).is_some());
            }
            5 => {
                let stats = table.stats(hw, chip, Owner(owner), cookie);
                assert_eq!(stats.is_some(), known.contains_key(&id));
            }
            6 => {
                let slot = hw.bytes.u8().into();
                let _ = table.harvest(hw, chip, slot);
            }
            7 => {
                let removal = [Removal::Flows, Removal::Connections, Removal::Moved]
                    [usize::from(hw.bytes.below(3))];
                let port = PsePort(1 + hw.bytes.below(2));
                let this =
                    |record: &Record| record.owner.0 == owner && record.flow.ingress.port == port;
                let mut gone = Vec::new();
                table.remove(hw, chip, removal, this, |record| gone.push(*record));
                for record in gone {
                    let id = (record.owner.0, record.cookie);
                    assert!(known.remove(&id).is_some(), "removed twice");
                    assert!(removal != Removal::Flows || this(&record));
                }
                assert!(!table.iter().any(|(_, record)| this(record)));
            }
            8 => {
                let key = flow(&mut hw.bytes).key();
                table.refuse(hw, chip, Owner(owner), &key);
            }
            9 => table.set_limit(hw.bytes.mostly(u32::MAX, |bytes| bytes.u8().into())),
            _ => hw.happen(),
        }
        for (id, flow) in &known {
            let slot = table.find(Owner(id.0), id.1).expect("no flow is lost");
            assert_eq!(table.get(slot).map(|record| &record.flow), Some(flow));
        }
        assert_eq!(table.table_stats().flows as usize, known.len());
        check(&table, hw);
    }
}
