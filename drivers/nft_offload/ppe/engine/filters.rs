// SPDX-License-Identifier: GPL-2.0-only

//! Filters of tc, for bridged frames.

use super::{
    super::{
        block::Binding,
        count::inc,
        flow::Flow,
        hw::Lifecycle,
        l2::{
            filter::FilterParser,
            filters::Filters,
            Sighting, //
        },
        list::Full,
        netdev::{
            Name,
            NetId, //
        },
        reject::Reject,
        reject_log::RejectedRule, //
    },
    Admission,
    Engine,
    Platform,
    AGE_EVERY_MS, //
};

/// What tc says of a rule besides keys and actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterRule {
    /// Its name.
    pub cookie: u64,
    /// Of rules for the same frames the one with the lowest number counts.
    pub prio: u32,
    /// The chain it is in; packets begin in chain 0.
    pub chain: u32,
    /// Its frames have to be counted.
    pub demands_counters: bool,
}

/// Filters of tc, for bridged frames.
impl<P: Platform> Engine<P> {
    /// A rule of tc is offered, which `feed` gives to the parser. `name_of` says how a device is
    /// called that a refused rule is about.
    pub fn replace_filter(
        &mut self,
        binding: &Binding,
        filter: &FilterRule,
        feed: impl FnOnce(&mut FilterParser),
        name_of: &dyn Fn(i32, NetId) -> Option<Name>,
    ) -> Result<(), Reject> {
        inc(&mut self.counters.offered);
        // A filter that is refused needs no frames.
        self.wakes.filters = true;
        let mut parser = FilterParser::new();
        feed(&mut parser);
        let rule = if !self.table.hw.is_alive() {
            Err(Reject::EngineDead)
        } else if filter.chain != 0 {
            Err(Reject::Chain)
        } else {
            parser.finish(binding.port, |ifindex, net| self.ports.find(ifindex, net))
        };
        let inserted = rule.and_then(|rule| {
            if filter.demands_counters && self.spec().caps.mib.is_none() {
                return Err(Reject::NoCounters);
            }
            let flows = self.blocks.new_owner().map_err(|Full| Reject::TableFull)?;
            let (table, owner) = (&mut self.table, binding.owner);
            self.filters
                .insert(table, owner, filter.cookie, flows, filter.prio, &rule)
        });
        match inserted {
            Ok(counted) => {
                self.wakes.scan = true;
                self.counters.forward(counted);
                Ok(())
            }
            Err(reject) => {
                self.rejects.count(reject, self.table.host.now_ms());
                let rule = RejectedRule::new(reject, parser.outline(), name_of);
                self.count_rejected(Some(binding.owner), &rule);
                Err(reject)
            }
        }
    }

    pub(super) fn remove_filter(&mut self, binding: &Binding, cookie: u64) -> Option<()> {
        let counted = self
            .filters
            .remove(&mut self.table, binding.owner, cookie)?;
        self.wakes.filters = true;
        inc(&mut self.counters.destroyed);
        self.counters.forward(counted);
        Some(())
    }

    /// The rules.
    pub fn filters(&self) -> &Filters<P> {
        &self.filters
    }

    /// Gives a connection of which enough frames were seen its entry.
    pub fn bind_seen(&mut self, seen: &Sighting) {
        let admission = Admission {
            ports: &self.ports,
            policy: &self.policy,
            obstacles: &self.obstacles,
            paused: self.paused,
        };
        let check = |flow: &Flow| admission.admit(flow);
        let Err(reject) = self.filters.bind(&mut self.table, seen, check) else {
            return;
        };
        self.rejects.count(reject, self.table.host.now_ms());
        let rule = RejectedRule {
            reject,
            ip_proto: seen.l4.ip_proto(),
            tuple: Some(seen.tuple),
            ingress: None,
            egress: None,
        };
        self.table.host.rejected(None, &rule);
    }

    /// Ends subflows that are idle, now and then. Returns whether there are any left.
    pub fn age_subflows(&mut self) -> bool {
        let now_ms = self.table.host.now_ms();
        if now_ms.saturating_sub(self.aged_ms) >= AGE_EVERY_MS {
            self.aged_ms = now_ms;
            let counted = self.filters.age(&mut self.table);
            self.counters.forward(counted);
        }
        self.filters.rules_stats().subflows > 0
    }
}
