// SPDX-License-Identifier: GPL-2.0-only

//! Whether the hardware's table, the flows of the module, and the connections of the kernel
//! agree. What is compared with the hardware, and how, is in `ppe/table/audit.rs`.
//!
//! The engine's lock is held for a range of flows at a time, save for the sums.

use crate::{
    debugfs::{
        ago,
        OrNone, //
    },
    engine::{
        conntrack_tuple,
        Engine,
        State, //
    },
    ppe::{
        flow::L4,
        refusals::{
            self,
            Last, //
        },
        reject::Reject,
        table::{
            audit::{
                Finding,
                Opposite, //
            },
            Record, //
        }, //
    },
    rust::{
        conntrack::Connection,
        netdev::{
            Name,
            Net, //
        },
        time, //
    }, //
};
use core::{
    fmt::{
        Formatter,
        Result, //
    },
    writeln, //
};
use kernel::prelude::VVec;

/// The last flows that were refused.
type Refusals = refusals::Refusals<VVec<Option<Last<Name>>>>;

/// Flows that are looked at before the lock is given back.
const CHUNK: u16 = 256;

/// Lines that are shown of each kind.
const SHOWN: u32 = 16;

/// A direction may be refused this long before the other one is bound, in milliseconds.
const TOGETHER_MS: u64 = 1_000;

/// How many of a kind were found.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    count: u32,
}

impl Kind {
    const fn new(name: &'static str) -> Self {
        Self { name, count: 0 }
    }

    /// Counts one. Returns whether it is to be shown.
    fn add(&mut self) -> bool {
        self.count = self.count.saturating_add(1);
        self.count <= SHOWN
    }

    /// Counts one, and shows it unless there were enough.
    fn show(&mut self, at: u16, record: Option<&Record>, f: &mut Formatter<'_>) -> Result {
        if self.add() {
            self.line(at, record, f)?;
            writeln!(f)?;
        }
        Ok(())
    }

    /// Begins a line for what was found at `at`.
    fn line(&self, at: u16, record: Option<&Record>, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} slot={at:05x}", self.name)?;
        if let Some(record) = record {
            let flow = &record.flow;
            write!(f, " proto={} orig={}", flow.l4, flow.tuple)?;
        }
        Ok(())
    }
}

/// What a run came to.
#[derive(Clone, Copy)]
struct Run {
    ended_ms: u64,
    faults: u32,
}

/// The runs that there were.
#[derive(Clone, Copy, Default)]
pub(crate) struct Runs {
    count: u64,
    last: Option<Run>,
    /// Made for a reader who may not have got it yet.
    made: Option<Run>,
}

/// All that is counted.
struct Audit {
    flows: u32,
    bound: u32,
    orphans: Kind,
    mismatches: Kind,
    stale: Kind,
    ownerless: Kind,
    index: Kind,
    half_bound: Kind,
    let_go: u32,
    unread: u32,
}

impl Audit {
    const fn new() -> Self {
        Self {
            flows: 0,
            bound: 0,
            orphans: Kind::new("orphan"),
            mismatches: Kind::new("mismatch"),
            stale: Kind::new("stale"),
            ownerless: Kind::new("ownerless"),
            index: Kind::new("index"),
            half_bound: Kind::new("half_bound"),
            let_go: 0,
            unread: 0,
        }
    }

    /// Looks at the flows and slots `from` to `to`, `to` excluded.
    fn look(&mut self, state: &mut State, from: u16, to: u16, f: &mut Formatter<'_>) -> Result {
        let mut unread = false;
        let table = &mut state.table;
        let (blocks, refusals) = (&state.blocks, &state.refusals);
        for at in from..to {
            let found = table.audit(at);
            let record = table.get(at);
            for finding in found.into_iter().flatten() {
                match (finding, record) {
                    (Finding::Orphan, _) => self.orphans.show(at, record, f)?,
                    (Finding::Differs | Finding::Lost, _) => self.mismatches.show(at, record, f)?,
                    (Finding::Index, _) => self.index.show(at, record, f)?,
                    (Finding::LetGo, _) => self.let_go = self.let_go.saturating_add(1),
                    (Finding::Half, Some(record)) if self.half_bound.add() => {
                        let known = refused_with(refusals, record);
                        self.half_bound.line(at, Some(record), f)?;
                        show_half(record, table.opposite(record), known, f)?;
                    }
                    (Finding::Half, _) => {}
                    (Finding::Unread, _) => unread = true,
                }
            }
            if unread {
                break;
            }
        }
        if unread {
            self.unread = self.unread.saturating_add(1);
            writeln!(f, "unread slots={from:05x}-{to:05x}")?;
        }
        for at in from..to {
            let Some(record) = table.get(at) else {
                continue;
            };
            self.flows = self.flows.saturating_add(1);
            self.bound = self.bound.saturating_add(record.bound.into());
            let mut rules = state.bridge.rules.iter();
            let owner = record.owner;
            if !blocks.iter().any(|block| block.owner == owner)
                && !rules.any(|rule| rule.flows == owner)
            {
                self.ownerless.show(at, Some(record), f)?;
            }
        }
        Ok(())
    }

    /// Looks for flows of connections that the kernel does not have any more, among those for
    /// which `is_of` holds, in `net`.
    fn look_for_stale(
        &mut self,
        state: &State,
        net: &Net,
        is_of: impl Fn(&Record) -> bool,
        [from, to]: [u16; 2],
        f: &mut Formatter<'_>,
    ) -> Result {
        for at in from..to {
            let record = state.table.get(at);
            let Some(record) = record.filter(|record| record.tag != 0 && is_of(record)) else {
                continue;
            };
            let found = Connection::find(net, conntrack_tuple(&record.flow));
            if found.is_none_or(|ct| ct.id().to_u64() != record.tag) {
                self.stale.show(at, Some(record), f)?;
            }
        }
        Ok(())
    }
}

/// Why the opposite direction of a flow was refused when that was offered, or later.
fn refused_with(refusals: &Refusals, record: &Record) -> Option<Reject> {
    let key = record.flow.opposite();
    let mut last = refusals.last().iter().flatten();
    let found = last.find(|last| {
        last.refused.tuple == Some(key.tuple)
            && L4::from_ip_proto(last.refused.ip_proto) == Some(key.l4)
            && last.last_ms.saturating_add(TOGETHER_MS) >= record.since_ms
    });
    Some(found?.refused.reject)
}

/// Ends the line of a flow whose opposite direction is not bound.
fn show_half(
    record: &Record,
    opposite: Opposite,
    refused: Option<Reject>,
    f: &mut Formatter<'_>,
) -> Result {
    write!(f, " age={} opposite=", ago(record.since_ms))?;
    match (opposite, refused) {
        (Opposite::Bound, _) => writeln!(f, "bound"),
        (Opposite::Parked, _) => writeln!(f, "parked"),
        (_, Some(reject)) => writeln!(f, "refused:{}", reject.name()),
        (Opposite::Aged, None) => writeln!(f, "aged"),
        (Opposite::Unknown, None) => writeln!(f, "unknown"),
    }
}

/// The ranges of `count` numbers.
fn ranges(count: u16) -> impl Iterator<Item = [u16; 2]> {
    (0..count)
        .step_by(CHUNK.into())
        .map(move |from| [from, from.saturating_add(CHUNK).min(count)])
}

impl Engine {
    /// For `Read::next`, of a file in one piece. A run that did not fit into the reader's buffer is
    /// made anew, so that one counts only when the reader is behind it.
    pub(crate) fn next_audit(&self, from: u64) -> Option<u64> {
        if from == 0 {
            return Some(0);
        }
        self.with(|state| {
            let runs = &mut state.audits;
            if let Some(run) = runs.made.take() {
                runs.count += 1;
                runs.last = Some(run);
            }
        });
        None
    }

    /// Compares, and writes what was found.
    pub(crate) fn audit(&self, f: &mut Formatter<'_>) -> Result {
        let begun = time::now_ms();
        let mut audit = Audit::new();
        let numbers = self.with(|state| state.table.numbers());
        let numbers = u16::try_from(numbers).unwrap_or(u16::MAX);
        for [from, to] in ranges(numbers) {
            self.with(|state| audit.look(state, from, to, f))?;
        }
        let mut shown = Ok(());
        self.devices.for_each_flowtable(|flowtable| {
            let Some(owner) = self.with(|state| state.owner_of(flowtable.id())) else {
                return;
            };
            let is_of = |record: &Record| record.owner == owner;
            for range in ranges(numbers) {
                shown = shown.and_then(|()| {
                    self.with(|state| audit.look_for_stale(state, flowtable.net(), is_of, range, f))
                });
            }
        });
        shown?;
        let sums = self.with(|state| state.table.audit_sums());
        let index = audit.index.count.saturating_add(sums);
        for (name, value) in [
            ("flows", audit.flows),
            ("bound", audit.bound),
            ("orphans", audit.orphans.count),
            ("mismatches", audit.mismatches.count),
            ("stale", audit.stale.count),
            ("ownerless", audit.ownerless.count),
            ("index", index),
            ("half_bound", audit.half_bound.count),
            ("let_go", audit.let_go),
        ] {
            writeln!(f, "{name} {value}")?;
        }
        writeln!(f, "took {}", ago(begun))?;
        let kinds = [
            audit.orphans.count,
            audit.mismatches.count,
            audit.stale.count,
            audit.ownerless.count,
            index,
            audit.unread,
        ];
        let faults = kinds.into_iter().fold(0_u32, u32::saturating_add);
        let Runs { count, last, .. } = self.with(|state| {
            let ended_ms = time::now_ms();
            state.audits.made = Some(Run { ended_ms, faults });
            state.audits
        });
        writeln!(f, "faults {faults}")?;
        writeln!(f, "runs {}", count + 1)?;
        writeln!(f, "last_run {}", OrNone(last.map(|run| ago(run.ended_ms))))?;
        writeln!(f, "last_faults {}", OrNone(last.map(|run| run.faults)))
    }
}
