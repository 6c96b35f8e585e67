// SPDX-License-Identifier: GPL-2.0-only

//! The rules for bridged flows, and the subflows that each of them has in the table.

use super::{
    super::{
        count::{
            inc,
            Count, //
        },
        flow::Flow,
        platform::ConnectionId,
        reject::Reject,
        table::{
            BlockId,
            Host,
            Record as TableRecord,
            Replaced,
            Stats,
            Table, //
        }, //
    },
    filter::Filter,
    Key,
    Sighting, //
};

/// Filters that an engine takes, at most.
pub const FILTERS: usize = 256;

/// Subflows that all rules together have, at most: a quarter of the smallest table, so that
/// routed flows keep their room.
pub const SUBFLOWS: usize = 4096;

/// Time without packets after which a subflow ends, in milliseconds: that after which
/// nf_flowtable ends its flows.
pub const IDLE_MS: u64 = 30_000;

/// Neither rule nor subflow.
const NIL: u16 = u16::MAX;

/// What is known of a rule.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Name of the rule, unique per owner.
    pub cookie: u64,
    /// Who brought it.
    pub owner: BlockId,
    /// Who its subflows belong to in the table: nobody else.
    pub flows: BlockId,
    /// Of two rules for the same frames the one with the lower number counts, and the newer
    /// one if they are equal.
    pub prio: u32,
    /// The rule.
    pub rule: Filter,
    /// Number of subflows.
    pub subflows: u32,
    /// Counted by its subflows, those that have ended included, layer-3 bytes.
    pub total: Count,
    /// Of this, what was not yet reported.
    unreported: Count,
    /// When a subflow was last used, or when the rule came.
    last_used_ms: u64,
    /// First of its subflows.
    first: u16,
    used: bool,
}

impl Record {
    /// No rule.
    pub const EMPTY: Self = Self {
        cookie: 0,
        owner: BlockId(0),
        flows: BlockId(0),
        prio: 0,
        rule: Filter::NONE,
        subflows: 0,
        total: Count::ZERO,
        unreported: Count::ZERO,
        last_used_ms: 0,
        first: NIL,
        used: false,
    };

    fn add(&mut self, count: Count) {
        self.unreported = self.unreported.plus(count);
        self.total = self.total.plus(count);
    }
}

/// A subflow. Its number is its cookie in the table.
#[derive(Clone, Copy, Debug)]
pub struct Subflow {
    /// Number of its rule.
    rule: u16,
    /// Neighbours among the subflows of its rule, or the next of the free ones.
    previous: u16,
    next: u16,
}

impl Subflow {
    /// No subflow.
    pub const EMPTY: Self = Self {
        rule: NIL,
        previous: NIL,
        next: NIL,
    };
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RulesStats {
    /// Filters now.
    pub rules: u32,
    /// Subflows now.
    pub subflows: u32,
    /// Subflows that got an entry.
    pub bound: u64,
    /// Connections that got none.
    pub refused: u64,
    /// Subflows that have ended.
    pub ended: u64,
}

/// Filters and subflows, over storage of the caller's, beside the table that holds the
/// subflows' entries.
///
/// The kernel knows nothing of subflows. So it is here that they end: when their rule does,
/// when they were idle for [`IDLE_MS`], or when the engine has let them go
/// ([`Filters::age`]); and their counts go to their rule.
pub struct Filters<P: Host> {
    rules: P::Vec<Record>,
    subflows: P::Vec<Subflow>,
    free: u16,
    stats: RulesStats,
}

impl<P: Host> Filters<P> {
    /// No rules, over storage for as many rules and subflows as there may be, 65535 of each
    /// at most. What it holds is overwritten.
    pub fn new(mut rules: P::Vec<Record>, mut subflows: P::Vec<Subflow>) -> Option<Self> {
        if rules.len() > usize::from(NIL) || subflows.len() > usize::from(NIL) {
            return None;
        }
        rules.fill(Record::EMPTY);
        let mut free = NIL;
        for (at, subflow) in (0..NIL).zip(subflows.iter_mut()) {
            *subflow = Subflow {
                next: free,
                ..Subflow::EMPTY
            };
            free = at;
        }
        Some(Self {
            rules,
            subflows,
            free,
            stats: RulesStats::default(),
        })
    }

    /// The counters.
    pub fn rules_stats(&self) -> &RulesStats {
        &self.stats
    }

    /// All rules.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.rules.iter().filter(|record| record.used)
    }

    /// The numbers of a rule's subflows, each its cookie in the table, where it belongs to
    /// [`Record::flows`].
    pub fn subflows(&self, record: &Record) -> impl Iterator<Item = u16> + '_ {
        let place = |at: u16| self.subflows.get(usize::from(at));
        core::iter::successors(Some(record.first), move |at| Some(place(*at)?.next))
            .take_while(|at| *at != NIL)
    }

    /// The keys of all rules.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.iter().map(|record| record.rule.key)
    }

    fn find(&self, owner: BlockId, cookie: u64) -> Option<u16> {
        self.position(|record| record.owner == owner && record.cookie == cookie)
    }

    fn position(&self, pred: impl Fn(&Record) -> bool) -> Option<u16> {
        let at = self
            .rules
            .iter()
            .position(|record| record.used && pred(record))?;
        u16::try_from(at).ok()
    }

    fn rule(&self, at: u16) -> Option<&Record> {
        self.rules.get(usize::from(at)).filter(|record| record.used)
    }

    fn rule_mut(&mut self, at: u16) -> Option<&mut Record> {
        self.rules
            .get_mut(usize::from(at))
            .filter(|record| record.used)
    }

    /// Takes a rule, whose subflows will belong to `flows`; that has to be greater than
    /// those of all rules before. To offer a rule again under the same owner and cookie is
    /// harmless.
    ///
    /// Subflows of other rules for the same frames that count less end. Returns what was
    /// counted for them and not known before.
    #[allow(clippy::too_many_arguments)]
    pub fn insert(
        &mut self,
        table: &mut Table<P>,
        owner: BlockId,
        cookie: u64,
        flows: BlockId,
        prio: u32,
        rule: &Filter,
    ) -> Result<Count, Reject> {
        rule.admit(&table.spec().caps)?;
        let mut counted = Count::ZERO;
        let same = self.find(owner, cookie);
        if let Some(at) = same {
            let unchanged = self
                .rule(at)
                .is_some_and(|record| record.rule == *rule && record.prio == prio);
            if unchanged {
                return Ok(counted);
            }
            counted = self.end_all(table, at);
        } else if usize::try_from(self.stats.rules).unwrap_or(usize::MAX) >= self.rules.len() {
            return Err(Reject::TableFull);
        }
        for at in (0..NIL).take(self.rules.len()) {
            let weaker = self
                .rule(at)
                .is_some_and(|record| record.rule.key == rule.key && prio <= record.prio);
            if weaker {
                counted = counted.plus(self.end_all(table, at));
            }
        }
        let now_ms = table.host.now_ms();
        let new = Record {
            cookie,
            owner,
            flows,
            prio,
            rule: *rule,
            last_used_ms: now_ms,
            used: true,
            ..Record::EMPTY
        };
        match same.and_then(|at| self.rule_mut(at)) {
            Some(record) => {
                *record = Record {
                    total: record.total,
                    unreported: record.unreported,
                    ..new
                };
            }
            None => {
                let free = self.rules.iter_mut().find(|record| !record.used);
                *free.ok_or(Reject::TableFull)? = new;
                self.stats.rules = self.stats.rules.saturating_add(1);
            }
        }
        Ok(counted)
    }

    /// Ends a rule and all of its subflows: when this returns, the engine forwards nothing
    /// for it. Returns what was counted for it and not known before.
    pub fn remove(&mut self, table: &mut Table<P>, owner: BlockId, cookie: u64) -> Option<Count> {
        let at = self.find(owner, cookie)?;
        Some(self.drop_rule(table, at))
    }

    /// [`Filters::remove`] for all rules of an owner.
    pub fn remove_owner(&mut self, table: &mut Table<P>, owner: BlockId) -> Count {
        let mut counted = Count::ZERO;
        while let Some(at) = self.position(|record| record.owner == owner) {
            counted = counted.plus(self.drop_rule(table, at));
        }
        counted
    }

    fn drop_rule(&mut self, table: &mut Table<P>, at: u16) -> Count {
        let counted = self.end_all(table, at);
        if let Some(record) = self.rule_mut(at) {
            record.used = false;
            self.stats.rules = self.stats.rules.saturating_sub(1);
        }
        counted
    }

    /// Gives the connection that was seen an entry, if there is still a rule for it, and unless
    /// `check` has a reason against the flow.
    pub fn bind(
        &mut self,
        table: &mut Table<P>,
        seen: &Sighting,
        check: impl Fn(&Flow) -> Result<(), Reject>,
    ) -> Result<Option<Replaced>, Reject> {
        let Some(at) = self.best_match(seen) else {
            return Ok(None);
        };
        let bound = self.bind_to(table, at, seen, check);
        if bound.is_err() {
            inc(&mut self.stats.refused);
        }
        bound.map(Some)
    }

    /// The rule that counts for a connection.
    fn best_match(&self, seen: &Sighting) -> Option<u16> {
        let rules = (0..NIL).zip(self.rules.iter());
        rules
            .filter(|(_, record)| {
                record.used
                    && record.rule.key == seen.key
                    && record.rule.takes(seen.l4, &seen.tuple)
            })
            .min_by_key(|(_, record)| (record.prio, core::cmp::Reverse(record.flows.0)))
            .map(|(at, _)| at)
    }

    fn bind_to(
        &mut self,
        table: &mut Table<P>,
        at: u16,
        seen: &Sighting,
        check: impl Fn(&Flow) -> Result<(), Reject>,
    ) -> Result<Replaced, Reject> {
        let record = self.rule(at).ok_or(Reject::NotBridged)?;
        let (flows, flow) = (record.flows, record.rule.flow(seen.l4, &seen.tuple));
        check(&flow)?;
        // The engine may have let it go, and nobody noticed yet.
        let known = table
            .slot_of_key(&flow)
            .and_then(|slot| table.get(slot))
            .filter(|record| record.owner == flows)
            .map(|record| record.cookie);
        if let Some(cookie) = known {
            return table.replace(flows, cookie, ConnectionId::NONE, &flow);
        }
        let subflow = self.free;
        let next = self
            .subflows
            .get(usize::from(subflow))
            .ok_or(Reject::TableFull)?
            .next;
        let replaced = table.replace(flows, subflow.into(), ConnectionId::NONE, &flow)?;
        self.free = next;
        self.link(at, subflow);
        inc(&mut self.stats.bound);
        Ok(replaced)
    }

    fn link(&mut self, at: u16, subflow: u16) {
        let Some(record) = self.rule_mut(at) else {
            return;
        };
        let first = core::mem::replace(&mut record.first, subflow);
        record.subflows = record.subflows.saturating_add(1);
        if let Some(there) = self.subflows.get_mut(usize::from(first)) {
            there.previous = subflow;
        }
        if let Some(new) = self.subflows.get_mut(usize::from(subflow)) {
            *new = Subflow {
                rule: at,
                previous: NIL,
                next: first,
            };
        }
        self.stats.subflows = self.stats.subflows.saturating_add(1);
    }

    fn unlink(&mut self, subflow: u16) -> Option<()> {
        let free = self.free;
        let place = self.subflows.get_mut(usize::from(subflow))?;
        let old = core::mem::replace(
            place,
            Subflow {
                next: free,
                ..Subflow::EMPTY
            },
        );
        if old.rule == NIL {
            *place = old;
            return None;
        }
        self.free = subflow;
        if let Some(next) = self.subflows.get_mut(usize::from(old.next)) {
            next.previous = old.previous;
        }
        match self.subflows.get_mut(usize::from(old.previous)) {
            Some(previous) => previous.next = old.next,
            None => self.rule_mut(old.rule)?.first = old.next,
        }
        let record = self.rule_mut(old.rule)?;
        record.subflows = record.subflows.saturating_sub(1);
        self.stats.subflows = self.stats.subflows.saturating_sub(1);
        inc(&mut self.stats.ended);
        Some(())
    }

    /// What the table took out, for whatever reason, was no subflow, or its rule keeps what
    /// it counted. To be called for whatever is taken out of the table by others than this.
    pub fn forget(&mut self, removed: &TableRecord) {
        let Some(at) = self.position(|record| record.flows == removed.owner) else {
            return;
        };
        if let Some(record) = self.rule_mut(at) {
            record.add(removed.unreported);
            record.last_used_ms = record.last_used_ms.max(removed.last_used_ms);
        }
        if let Ok(subflow) = u16::try_from(removed.cookie) {
            let _ = self.unlink(subflow);
        }
    }

    /// Ends a subflow. Returns what was counted and not known before.
    fn end(&mut self, table: &mut Table<P>, flows: BlockId, subflow: u16) -> Count {
        match table.destroy(flows, subflow.into()) {
            Some(removed) => {
                self.forget(removed);
                removed.unreported
            }
            None => {
                let _ = self.unlink(subflow);
                Count::ZERO
            }
        }
    }

    fn end_all(&mut self, table: &mut Table<P>, at: u16) -> Count {
        let mut counted = Count::ZERO;
        while let Some((flows, first)) = self
            .rule(at)
            .map(|record| (record.flows, record.first))
            .filter(|(_, first)| *first != NIL)
        {
            counted = counted.plus(self.end(table, flows, first));
        }
        counted
    }

    /// Looks at one subflow. Returns what was counted and not known before, and the time of
    /// its last use if the engine still forwards it.
    fn look(&mut self, table: &mut Table<P>, at: u16, subflow: u16) -> (Count, Option<u64>) {
        let Some(record) = self.rule_mut(at) else {
            return (Count::ZERO, None);
        };
        match table.stats(record.flows, subflow.into()) {
            Some(stats) => {
                record.add(stats.delta);
                record.last_used_ms = record.last_used_ms.max(stats.last_used_ms);
                (stats.delta, stats.bound.then_some(stats.last_used_ms))
            }
            None => (Count::ZERO, None),
        }
    }

    /// What the subflows of a rule have counted since last reported, those that have ended
    /// included, and when one was last used. Returns too what of it was not known before.
    pub fn stats(
        &mut self,
        table: &mut Table<P>,
        owner: BlockId,
        cookie: u64,
    ) -> Option<(Stats, Count)> {
        let at = self.find(owner, cookie)?;
        let mut counted = Count::ZERO;
        let mut subflow = self.rule(at)?.first;
        while let Some(next) = self
            .subflows
            .get(usize::from(subflow))
            .map(|place| place.next)
        {
            counted = counted.plus(self.look(table, at, subflow).0);
            subflow = next;
        }
        let record = self.rule_mut(at)?;
        let stats = Stats {
            delta: core::mem::take(&mut record.unreported),
            hit: false,
            neighbour: false,
            last_used_ms: record.last_used_ms,
            bound: record.first != NIL,
        };
        Some((stats, counted))
    }

    /// Ends the subflows that were idle for [`IDLE_MS`] or that the engine has let go.
    /// Returns what was counted and not known before. Looks at every subflow.
    pub fn age(&mut self, table: &mut Table<P>) -> Count {
        let mut counted = Count::ZERO;
        if self.stats.subflows == 0 {
            return counted;
        }
        for subflow in (0..NIL).take(self.subflows.len()) {
            let at = self
                .subflows
                .get(usize::from(subflow))
                .map_or(NIL, |place| place.rule);
            let Some(flows) = self.rule(at).map(|record| record.flows) else {
                continue;
            };
            let (delta, last_used_ms) = self.look(table, at, subflow);
            counted = counted.plus(delta);
            let now_ms = table.host.now_ms();
            if last_used_ms.is_none_or(|used| now_ms.saturating_sub(used) >= IDLE_MS) {
                counted = counted.plus(self.end(table, flows, subflow));
            }
        }
        counted
    }
}
