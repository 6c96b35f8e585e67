// SPDX-License-Identifier: GPL-2.0-only
//! The table with an engine that answers what it likes: which flows there are has to be
//! what was asked for all the same, and what the table says of itself has to be true.

use std::{cell::Cell, collections::BTreeMap, marker::PhantomData, rc::Rc};

use nft_offload_ppe::{
    count::Count,
    flow::{Encap, Flow, PsePort},
    format::{Entry, MAX_WORDS},
    hw::Hw,
    platform::{Clock, ConnectionId, HwError, Storage},
    table::{index_len, BlockId, Event, Host, Record, Replaced, Scope, Table},
};

use crate::{bytes::Bytes, rules};

/// Few slots, so that buckets get full, in two parts.
pub(crate) const PART: u16 = 16;
pub(crate) const SLOTS: usize = 2 * PART as usize;
const SPARES: usize = 3;

/// An engine that keeps what it is told, until it does not.
pub(crate) struct Engine<'a> {
    pub(crate) bytes: Bytes<'a>,
    words: [[u32; MAX_WORDS]; SLOTS],
    mib: [Count; SLOTS],
    pub(crate) now_ms: Rc<Cell<u64>>,
    clock: u16,
    /// So many of the next answers are any, and so many are missing after that.
    noise: u8,
    silence: u8,
}

impl<'a> Engine<'a> {
    pub(crate) fn new(bytes: Bytes<'a>) -> Self {
        Self {
            bytes,
            words: [[0; MAX_WORDS]; SLOTS],
            mib: [Count::ZERO; SLOTS],
            now_ms: Rc::new(Cell::new(1_000_000)),
            clock: 0,
            noise: 0,
            silence: 0,
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
                self.now_ms.set(self.now_ms.get() + u64::from(bytes.u16()));
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
}

/// Whoever watches the table.
pub(crate) struct Watcher<'a> {
    now_ms: Rc<Cell<u64>>,
    /// Flows that the table calls bound, by what it said.
    pub(crate) bound: BTreeMap<(u32, u64), u16>,
    engine: PhantomData<Engine<'a>>,
}

impl Clock for Watcher<'_> {
    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }
}

impl Storage for Watcher<'_> {
    type Vec<T> = Vec<T>;

    fn filled<T: Clone>(item: T, len: usize) -> Option<Vec<T>> {
        Some(vec![item; len])
    }
}

impl<'a> Host for Watcher<'a> {
    type Hw = Engine<'a>;

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

pub(crate) type FuzzTable<'a> = Table<Watcher<'a>>;

/// A table of any chip, with an engine that answers what the rest of `bytes` says.
pub(crate) fn new_table(mut bytes: Bytes<'_>) -> FuzzTable<'_> {
    let spec = rules::chip(&mut bytes);
    let hw = Engine::new(bytes);
    let host = Watcher {
        now_ms: hw.now_ms.clone(),
        bound: BTreeMap::new(),
        engine: PhantomData,
    };
    let records = vec![Record::EMPTY; SLOTS + SPARES];
    Table::new(host, hw, spec, records, vec![0; index_len(SLOTS)]).expect("lengths fit")
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
pub(crate) fn check(table: &FuzzTable<'_>) {
    let bound_now = &table.host.bound;
    let stats = table.table_stats();
    let (mut flows, mut bound, mut parked) = (0, 0, 0);
    let mut keys = Vec::new();
    for (slot, record) in table.iter() {
        flows += 1;
        let id = (record.owner.0, record.cookie);
        assert_eq!(table.find(record.owner, record.cookie), Some(slot));
        assert_eq!(bound_now.get(&id), record.bound.then_some(&slot));
        assert!(record.total.packets >= record.unreported.packets);
        assert!(record.total.bytes >= record.unreported.bytes);
        assert!(
            record.last_used_ms <= table.hw.now_ms.get(),
            "used in the future"
        );
        bound += u32::from(record.bound);
        if usize::from(slot) >= SLOTS {
            assert!(!record.bound, "bound without a slot");
            parked += 1;
            continue;
        }
        let key = (
            rules::CAPS.ppe_of(record.flow.ingress.port),
            record.flow.key(),
        );
        assert!(!keys.contains(&key), "two flows with one key");
        keys.push(key);
    }
    assert_eq!(
        (stats.flows, stats.bound, stats.parked),
        (flows, bound, parked)
    );
    assert_eq!(bound_now.len(), bound as usize);
    assert!(stats.high_water >= flows);
}

/// The target.
pub fn run(data: &[u8]) {
    let mut table = new_table(Bytes(data));
    let mut known: BTreeMap<(u32, u64), Flow> = BTreeMap::new();
    while !table.hw.bytes.is_empty() {
        let owner = u32::from(table.hw.bytes.below(3));
        let cookie = u64::from(table.hw.bytes.below(40));
        let id = (owner, cookie);
        match table.hw.bytes.below(12) {
            0..=3 => {
                let flow = flow(&mut table.hw.bytes);
                if table
                    .replace(BlockId(owner), cookie, ConnectionId::NONE, &flow)
                    .is_ok()
                {
                    assert!(table.host.bound.contains_key(&id), "taken and not bound");
                    known.insert(id, flow);
                }
            }
            4 => {
                let gone = table.destroy(BlockId(owner), cookie).is_some();
                assert_eq!(gone, known.remove(&id).is_some());
            }
            5 => {
                let stats = table.stats(BlockId(owner), cookie);
                assert_eq!(stats.is_some(), known.contains_key(&id));
            }
            6 => {
                let slot = table.hw.bytes.u8().into();
                let _ = table.refresh(slot);
            }
            7 => {
                let scope =
                    [Scope::Direction, Scope::Connection][usize::from(table.hw.bytes.below(2))];
                let port = PsePort(1 + table.hw.bytes.below(2));
                let this =
                    |record: &Record| record.owner.0 == owner && record.flow.ingress.port == port;
                let mut gone = Vec::new();
                table.remove(scope, this, |record| gone.push(*record));
                for record in gone {
                    let id = (record.owner.0, record.cookie);
                    assert!(known.remove(&id).is_some(), "removed twice");
                    assert!(scope != Scope::Direction || this(&record));
                }
                assert!(!table.iter().any(|(_, record)| this(record)));
            }
            8 => {
                let key = flow(&mut table.hw.bytes).key();
                table.refuse(BlockId(owner), &key);
            }
            9 => {
                let limit = table.hw.bytes.mostly(u32::MAX, |bytes| bytes.u8().into());
                table.set_limit(limit);
            }
            _ => table.hw.happen(),
        }
        for (id, flow) in &known {
            let slot = table.find(BlockId(id.0), id.1).expect("no flow is lost");
            assert_eq!(table.get(slot).map(|record| &record.flow), Some(flow));
        }
        assert_eq!(table.table_stats().flows as usize, known.len());
        check(&table);
    }
}
