// SPDX-License-Identifier: GPL-2.0-only

//! Whether the hardware's table, the flows of the module, and the connections of the kernel
//! agree. What is compared with the hardware, and how, is in `ppe/table/audit.rs`.
//!
//! A run looks at a range of flows at a time, so that the engine's lock can be given back in
//! between, save for the sums.

use core::{
    fmt::{
        Formatter,
        Result, //
    },
    writeln, //
};

use super::{
    account::{
        AuditRun,
        AuditRuns, //
    },
    count::inc,
    engine::{
        teardown::FlowTable,
        Engine,
        Net,
        Platform, //
    },
    flow::L4,
    platform::{
        ConnectionId,
        Conntrack,
        Storage, //
    },
    reject::Reject,
    reject_log::RejectLog,
    show::{
        Age,
        OrDash, //
    },
    table::{
        audit::{
            Finding,
            Reverse, //
        },
        Record, //
    }, //
};

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
    #[inline(never)]
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

/// A run, and all that it counts.
pub struct Audit {
    begun_ms: u64,
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
    /// Nothing was looked at yet.
    pub fn new<P: Platform>(engine: &Engine<P>) -> Self {
        Self {
            begun_ms: engine.table.host.now_ms(),
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

    /// Looks at the flows and slots of a range.
    pub fn look<P: Platform>(
        &mut self,
        engine: &mut Engine<P>,
        [from, to]: [u16; 2],
        f: &mut Formatter<'_>,
    ) -> Result {
        for at in from..to {
            let found = engine.table.audit(at);
            let unread = found.contains(&Some(Finding::Unread));
            for finding in found.into_iter().flatten() {
                if finding != Finding::Unread {
                    self.found(engine, at, finding, f)?;
                }
            }
            if unread {
                self.unread = self.unread.saturating_add(1);
                writeln!(f, "unread slots={from:05x}-{to:05x}")?;
                break;
            }
        }
        for at in from..to {
            let Some(record) = engine.table.get(at) else {
                continue;
            };
            self.flows = self.flows.saturating_add(1);
            self.bound = self.bound.saturating_add(record.bound.into());
            let owner = record.owner;
            let mut filters = engine.filters.iter();
            if !engine.blocks.has(owner) && !filters.any(|filter| filter.flows == owner) {
                self.ownerless.show(at, Some(record), f)?;
            }
        }
        Ok(())
    }

    fn found<P: Platform>(
        &mut self,
        engine: &Engine<P>,
        at: u16,
        finding: Finding,
        f: &mut Formatter<'_>,
    ) -> Result {
        let record = engine.table.get(at);
        match (finding, record) {
            (Finding::Orphan, _) => self.orphans.show(at, record, f),
            (Finding::Differs | Finding::Lost, _) => self.mismatches.show(at, record, f),
            (Finding::Index, _) => self.index.show(at, record, f),
            (Finding::AgedOut, _) => {
                self.let_go = self.let_go.saturating_add(1);
                Ok(())
            }
            (Finding::OneDirection, Some(record)) if self.half_bound.add() => {
                let known = refused_with(&engine.rejects, record);
                self.half_bound.line(at, Some(record), f)?;
                let age = Age::of(engine.table.host.now_ms(), record.since_ms);
                show_half(age, engine.table.reverse(record), known, f)
            }
            (Finding::OneDirection | Finding::Unread, _) => Ok(()),
        }
    }

    /// Looks in a range for flows of connections that the kernel does not have any more, among
    /// those of a flowtable.
    pub fn look_for_stale<P: Platform, F: FlowTable<Net = Net<P>>>(
        &mut self,
        engine: &Engine<P>,
        flowtable: &F,
        [from, to]: [u16; 2],
        f: &mut Formatter<'_>,
    ) -> Result {
        let Some(owner) = engine.owner_of(flowtable.id()) else {
            return Ok(());
        };
        let (net, _) = flowtable.net();
        for at in from..to {
            let record = engine.table.get(at);
            let Some(record) = record.filter(|record| record.owner == owner) else {
                continue;
            };
            let ConnectionId { id, zone } = record.connection;
            if id != 0 && engine.conntrack.find(net, zone, &record.flow) != Some(id) {
                self.stale.show(at, Some(record), f)?;
            }
        }
        Ok(())
    }

    /// Looks at the sums, and writes what all came to.
    pub fn finish<P: Platform>(&self, engine: &mut Engine<P>, f: &mut Formatter<'_>) -> Result {
        let index = self.index.count.saturating_add(engine.table.audit_sums());
        for (name, value) in [
            ("flows", self.flows),
            ("bound", self.bound),
            ("orphans", self.orphans.count),
            ("mismatches", self.mismatches.count),
            ("stale", self.stale.count),
            ("ownerless", self.ownerless.count),
            ("index", index),
            ("half_bound", self.half_bound.count),
            ("let_go", self.let_go),
        ] {
            writeln!(f, "{name} {value}")?;
        }
        let now_ms = engine.table.host.now_ms();
        writeln!(f, "took {}", Age::of(now_ms, self.begun_ms))?;
        let kinds = [
            self.orphans.count,
            self.mismatches.count,
            self.stale.count,
            self.ownerless.count,
            index,
            self.unread,
        ];
        let faults = kinds.into_iter().fold(0_u32, u32::saturating_add);
        let AuditRuns { count, last, .. } = engine.audits;
        engine.audits.made = Some(AuditRun {
            ended_ms: now_ms,
            faults,
        });
        writeln!(f, "faults {faults}")?;
        writeln!(f, "runs {}", count.saturating_add(1))?;
        let age = last.map(|run| Age::of(now_ms, run.ended_ms));
        writeln!(f, "last_run {}", OrDash(age))?;
        writeln!(f, "last_faults {}", OrDash(last.map(|run| run.faults)))
    }
}

/// Why the reverse direction of a flow was refused when that was offered, or later.
fn refused_with<S: Storage>(rejects: &RejectLog<S>, record: &Record) -> Option<Reject> {
    let key = record.flow.reverse();
    let mut last = rejects.last().iter().flatten();
    let found = last.find(|last| {
        last.rule.tuple == Some(key.tuple)
            && L4::from_ip_proto(last.rule.ip_proto) == Some(key.l4)
            && last.last_ms.saturating_add(TOGETHER_MS) >= record.since_ms
    });
    Some(found?.rule.reject)
}

/// Ends the line of a flow whose reverse direction is not bound.
fn show_half(age: Age, reverse: Reverse, refused: Option<Reject>, f: &mut Formatter<'_>) -> Result {
    let (refused, what) = match (reverse, refused) {
        (Reverse::Bound, _) => ("", "bound"),
        (Reverse::Parked, _) => ("", "parked"),
        (_, Some(reject)) => ("refused:", reject.name()),
        (Reverse::Aged, None) => ("", "aged"),
        (Reverse::Unknown, None) => ("", "unknown"),
    };
    writeln!(f, " age={age} opposite={refused}{what}")
}

impl<P: Platform> Engine<P> {
    /// The ranges in which a run looks at all flows and slots.
    pub fn audit_ranges(&self) -> impl Iterator<Item = [u16; 2]> + Clone {
        let count = u16::try_from(self.table.numbers()).unwrap_or(u16::MAX);
        (0..count)
            .step_by(CHUNK.into())
            .map(move |from| [from, from.saturating_add(CHUNK).min(count)])
    }

    /// The reader is behind the run that was made last. One that did not fit into the reader's
    /// buffer is made anew, so that it counts only now.
    pub fn count_audit(&mut self) {
        if let Some(run) = self.audits.made.take() {
            inc(&mut self.audits.count);
            self.audits.last = Some(run);
        }
    }
}
