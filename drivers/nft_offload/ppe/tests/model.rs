// SPDX-License-Identifier: GPL-2.0-only

//! The table against a model that knows flows by name only, over long runs of anything
//! that can happen.

use super::*;

/// Few slots, so that buckets get full, in two parts.
const SLOTS: usize = 16;
/// And few places for flows without slot.
const SPARES: usize = 4;

/// A flow by number, half of them with another neighbour, half of them the other way round
/// through the ports.
fn flow(n: u16) -> Flow {
    let mut flow = routed(n / 4);
    flow.dmac[5] ^= (n % 2) as u8;
    let port = 1 + (n / 2 % 2) as u8;
    flow.ingress = PsePort(port).into();
    flow.egress = PsePort(3 - port).into();
    flow
}

type Id = (u32, u64);

#[derive(Clone, Debug)]
enum Step {
    Replace(Id, u16),
    Destroy(Id),
    Stats(Id),
    Harvest(u16),
    Frames(u16, u8),
    AgeOut(u16),
    Learn(u16),
    Wait(u64),
    Flush(u32),
    Die(u32),
    Recover,
}

fn sound_step() -> impl Strategy<Value = Step> {
    let id = || (0..2_u32, 0..12_u64);
    let flow = || 0..40_u16;
    let slot = || 0..SLOTS as u16;
    prop_oneof![
        8 => (id(), flow()).prop_map(|(id, flow)| Step::Replace(id, flow)),
        3 => id().prop_map(Step::Destroy),
        6 => id().prop_map(Step::Stats),
        2 => slot().prop_map(Step::Harvest),
        12 => (flow(), 1..4_u8).prop_map(|(flow, n)| Step::Frames(flow, n)),
        2 => slot().prop_map(Step::AgeOut),
        2 => flow().prop_map(Step::Learn),
        4 => (0..20_000_u64).prop_map(Step::Wait),
        1 => (0..2_u32).prop_map(Step::Flush),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => sound_step(),
        1 => (0..12_u32).prop_map(Step::Die),
        2 => Just(Step::Recover),
    ]
}

/// What the model knows of a flow.
#[derive(Clone, Debug)]
struct Known {
    flow: Flow,
    /// Forwarded frames.
    frames: Count,
    /// Reported so far.
    reported: Count,
    /// Time of the last forwarded frame, or of the bind.
    used_ms: u64,
    /// Time of the last look.
    looked_ms: u64,
}

fn minus(a: Count, b: Count) -> Count {
    Count {
        packets: a.packets - b.packets,
        bytes: a.bytes - b.bytes,
    }
}

struct Run {
    table: TestTable,
    known: HashMap<Id, Known>,
    /// Flows that are bound by what the table said, with their slots.
    told: HashMap<Id, u16>,
    /// As many of each kind of event as it said.
    told_stats: TableStats,
    /// Whether the engine ever failed: counts may be lost then.
    exact: bool,
}

impl Run {
    fn slot(&self, id: Id) -> Option<u16> {
        self.table.find(BlockId(id.0), id.1)
    }

    /// Whether the engine has the flow of `id` bound.
    fn bound(&self, id: Id) -> bool {
        self.slot(id).is_some_and(|slot| {
            self.table.get(slot).unwrap().bound
                && usize::from(slot) < SLOTS
                && NETSYS_V2.is_bound(self.table.hw.words[usize::from(slot)][0])
        })
    }

    /// What the table should answer; and whether for a full bucket it may be the other
    /// answer as well, as the table knows the time of last use to the tick only.
    fn expected(&self, id: Id, new: &Flow) -> (Result<Replaced, Reject>, bool) {
        let replaced = match self.known.get(&id) {
            Some(known) if known.flow == *new && self.bound(id) => {
                return (Ok(Replaced::Refreshed), false);
            }
            Some(known) if known.flow == *new => Replaced::Rebound,
            Some(_) => Replaced::Updated,
            None => Replaced::Bound,
        };
        let bucket = |flow: &Flow| self.table.hw.bucket(flow);
        let others: Vec<_> = self
            .known
            .iter()
            .filter(|(other, known)| **other != id && bucket(&known.flow) == bucket(new))
            .filter(|(other, _)| self.has_slot(**other))
            .collect();
        let now_ms = self.table.hw.now_ms.get();
        let (mut can, mut may) = (false, false);
        for (other, known) in &others {
            // When the engine has let it go, or it is idle.
            let idle = now_ms - known.used_ms;
            can |= !self.bound(**other) || idle >= EVICT_IDLE_MS + 1000;
            may |= idle + 1000 >= EVICT_IDLE_MS;
        }
        let parked = self.known.keys().filter(|id| !self.has_slot(**id)).count();
        let comes_back = self.known.contains_key(&id) && !self.has_slot(id);
        let spare = SPARES - parked > usize::from(!comes_back);
        let same_key = others.iter().find(|(_, known)| known.flow.same_key(new));
        if let Some((other, _)) = same_key {
            // One of the same owner is parked.
            if other.0 == id.0 && spare {
                (Ok(replaced), false)
            } else {
                (Err(Reject::KeyInUse), false)
            }
        } else if others.len() < usize::from(NETSYS_V2.ways()) || (can && spare) {
            (Ok(replaced), false)
        } else if may && spare {
            (Ok(replaced), true)
        } else {
            (Err(Reject::BucketFull), false)
        }
    }

    fn has_slot(&self, id: Id) -> bool {
        self.slot(id).is_some_and(|slot| usize::from(slot) < SLOTS)
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now_ms = self.table.hw.now_ms.get();
        match *step {
            Step::Replace(id, n) => {
                let flow = flow(n);
                let expected = self.expected(id, &flow);
                let (owner, cookie) = (BlockId(id.0), id.1);
                let got = self.table.replace(owner, cookie, ConnectionId::NONE, &flow);
                if got == Err(Reject::EngineDead) {
                    prop_assert!(self.table.hw.dies_in == Some(0));
                    return Ok(());
                }
                let (expected, either) = expected;
                if !(either && got == Err(Reject::BucketFull)) {
                    prop_assert_eq!(got, expected);
                }
                if matches!(got, Ok(replaced) if replaced != Replaced::Refreshed) {
                    let known = self.known.entry(id).or_insert(Known {
                        flow,
                        frames: Count::ZERO,
                        reported: Count::ZERO,
                        used_ms: now_ms,
                        looked_ms: now_ms,
                    });
                    known.flow = flow;
                    known.used_ms = now_ms;
                    known.looked_ms = now_ms;
                }
                if got.is_ok() {
                    let slot = self.slot(id);
                    prop_assert_eq!(self.table.hw.look_up(&flow), slot.map(|slot| (slot, true)));
                }
            }
            Step::Destroy(id) => {
                let removed = self.table.destroy(BlockId(id.0), id.1);
                let known = self.known.remove(&id);
                prop_assert_eq!(removed.is_some(), known.is_some());
                if let Some((removed, known)) = removed.zip(known) {
                    prop_assert_eq!(removed.flow, known.flow);
                    if self.exact {
                        prop_assert_eq!(removed.total, known.frames);
                        prop_assert_eq!(removed.unreported, minus(known.frames, known.reported));
                        // Another flow may have got the key of one that was parked.
                        let left = self
                            .table
                            .hw
                            .look_up(&known.flow)
                            .filter(|(slot, bound)| *bound && self.table.get(*slot).is_none());
                        prop_assert_eq!(left, None);
                    }
                }
            }
            Step::Stats(id) => {
                let bound = self.bound(id);
                let stats = self.table.stats(BlockId(id.0), id.1);
                let exact = self.exact;
                prop_assert_eq!(stats.is_some(), self.known.contains_key(&id));
                if let Some((stats, known)) = stats.zip(self.known.get_mut(&id)) {
                    prop_assert!(stats.last_used_ms <= now_ms);
                    if exact {
                        prop_assert_eq!(stats.bound, bound);
                        prop_assert_eq!(stats.delta, minus(known.frames, known.reported));
                        known.reported = known.frames;
                        // To the tick, unless the timestamp is gone.
                        prop_assert!(stats.last_used_ms < known.used_ms + 1000);
                        let sure = if bound {
                            known.used_ms
                        } else {
                            known.used_ms.min(known.looked_ms)
                        };
                        prop_assert!(stats.last_used_ms + 1000 > sure);
                        if bound {
                            known.looked_ms = now_ms;
                        }
                    }
                }
            }
            Step::Harvest(slot) => {
                let total = self
                    .table
                    .refresh(slot)
                    .map(|record| ((record.owner.0, record.cookie), record.total));
                if let (true, Some((id, total))) = (self.exact, total) {
                    prop_assert_eq!(total, self.known[&id].frames);
                }
            }
            Step::Frames(n, frames) => {
                for _ in 0..frames {
                    let Some(slot) = self.table.hw.frame(&flow(n), 114) else {
                        break;
                    };
                    let owner = self
                        .table
                        .get(slot)
                        .map(|record| (record.owner.0, record.cookie));
                    prop_assert!(owner.is_some() || !self.exact);
                    if let Some(known) = owner.and_then(|id| self.known.get_mut(&id)) {
                        known.frames = known.frames.plus(Count {
                            packets: 1,
                            bytes: 100,
                        });
                        known.used_ms = now_ms;
                    }
                }
            }
            Step::AgeOut(slot) => self.table.hw.age_out(slot),
            Step::Learn(n) => {
                self.table.hw.learn(&flow(n));
            }
            Step::Wait(ms) => self.table.host.wait(ms),
            Step::Flush(owner) => self.flush(owner)?,
            Step::Die(after) => {
                self.table.hw.dies_in = Some(after);
                self.exact = false;
            }
            Step::Recover => self.table.hw.dies_in = None,
        }
        Ok(())
    }

    fn flush(&mut self, owner: u32) -> Result<(), TestCaseError> {
        let mut removed = Vec::new();
        self.table
            .remove_where(|record| record.owner.0 == owner, |gone| removed.push(*gone));
        for gone in removed {
            let known = self.known.remove(&(gone.owner.0, gone.cookie)).unwrap();
            prop_assert_eq!(gone.owner.0, owner);
            if self.exact {
                prop_assert_eq!(gone.total, known.frames);
                prop_assert_eq!(gone.unreported, minus(known.frames, known.reported));
            }
        }
        prop_assert!(!self.known.keys().any(|id| id.0 == owner));
        Ok(())
    }

    /// What the table said fits what it did: a bind is followed by one unbind.
    fn listen(&mut self) -> Result<(), TestCaseError> {
        let stats = &mut self.told_stats;
        for (event, slot, record) in self.table.host.events.drain(..) {
            let id = (record.owner.0, record.cookie);
            prop_assert_eq!(record.bound, matches!(event, Event::Bound(_)));
            match event {
                Event::Bound(replaced) => {
                    prop_assert_eq!(self.told.insert(id, slot), None);
                    *match replaced {
                        Replaced::Bound => &mut stats.inserted,
                        Replaced::Updated => &mut stats.updated,
                        Replaced::Rebound => &mut stats.rebinds,
                        Replaced::Refreshed => &mut stats.refreshed,
                    } += 1;
                }
                Event::Unbound(_) => prop_assert_eq!(self.told.remove(&id), Some(slot)),
                Event::Evicted => {
                    let idle = self.table.hw.now_ms.get() - record.last_used_ms;
                    prop_assert!(idle >= EVICT_IDLE_MS || !self.exact);
                    stats.evictions += 1;
                }
            }
        }
        let real = self.table.table_stats();
        prop_assert_eq!(stats.inserted, real.inserted);
        prop_assert_eq!(stats.updated, real.updated);
        prop_assert_eq!(stats.rebinds, real.rebinds);
        prop_assert_eq!(stats.refreshed, 0);
        prop_assert_eq!(stats.evictions, real.evictions);
        let bound = self.table.iter().filter(|(_, record)| record.bound);
        let bound = bound.map(|(slot, record)| ((record.owner.0, record.cookie), slot));
        prop_assert_eq!(&self.told, &bound.collect());
        Ok(())
    }

    /// What holds at any time.
    fn check(&self) -> Result<(), TestCaseError> {
        let stats = self.table.table_stats();
        let mut keys = Vec::new();
        let (mut bound, mut parked) = (0, 0);
        for (slot, record) in self.table.iter() {
            let id = (record.owner.0, record.cookie);
            prop_assert_eq!(self.slot(id), Some(slot));
            prop_assert_eq!(&self.known[&id].flow, &record.flow);
            bound += u32::from(record.bound);
            if usize::from(slot) >= SLOTS {
                prop_assert!(!record.bound);
                parked += 1;
                continue;
            }
            let key = (record.flow.ingress, record.flow.l4, record.flow.tuple);
            prop_assert!(!keys.contains(&key));
            keys.push(key);
            let words = &self.table.hw.words[usize::from(slot)];
            if record.bound && NETSYS_V2.is_bound(words[0]) {
                prop_assert!(NETSYS_V2.same_key(words, &record.flow));
            }
        }
        prop_assert_eq!(keys.len() + parked, self.known.len());
        prop_assert_eq!(keys.len() + parked, stats.flows as usize);
        prop_assert_eq!(parked, stats.parked as usize);
        prop_assert_eq!(bound, stats.bound);
        if self.exact {
            for slot in self.table.hw.forwarding() {
                prop_assert!(self.table.get(slot).is_some_and(|record| record.bound));
            }
            prop_assert_eq!(stats.stray_mib, 0);
            prop_assert_eq!(stats.hw_errors, 0);
        }
        Ok(())
    }
}

fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut run = Run {
        table: new_table(SLOTS / 2, &TWO_PPES, SPARES),
        known: HashMap::new(),
        told: HashMap::new(),
        told_stats: TableStats::default(),
        exact: true,
    };
    for step in steps {
        run.step(step)?;
        run.listen()?;
        run.check()?;
    }
    run.table.hw.dies_in = None;
    run.flush(0)?;
    run.flush(1)?;
    run.listen()?;
    run.check()?;
    prop_assert!(run.told.is_empty());
    prop_assert!(run.known.is_empty());
    if run.exact {
        prop_assert!(run.table.hw.forwarding().is_empty());
        prop_assert!(run.table.hw.mib.iter().all(|count| *count == Count::ZERO));
    }
    let left = run
        .table
        .hw
        .words
        .iter()
        .filter(|words| NETSYS_V2.state(words[0]) == State::Bound);
    prop_assert!(left.count() == 0 || !run.exact);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn sound_engine(steps in proptest::collection::vec(sound_step(), 1..150)) {
        run(&steps)?;
    }

    #[test]
    fn failing_engine(steps in proptest::collection::vec(any_step(), 1..150)) {
        run(&steps)?;
    }
}
