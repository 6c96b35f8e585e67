// SPDX-License-Identifier: GPL-2.0-only

//! What happens in an engine, for the tracepoints.

use crate::{
    ppe::{
        flow::Tuple,
        reject_log::RejectedRule,
        table::{
            BlockId,
            Event,
            Record,
            Replaced,
            Unbound, //
        }, //
    },
    rust::{
        time,
        trace::{
            Describe,
            Flow,
            Pair,
            Rejected,
            Source, //
        }, //
    }, //
};
use kernel::prelude::*;

/// The tracepoints of one engine.
pub(crate) struct Trace(Source);

impl Trace {
    /// The tracepoints of the engine on `device`.
    pub(crate) fn new(device: &CStr) -> Self {
        Self(Source::new(device))
    }

    /// The table bound or unbound a flow, see [`Host::event`](crate::ppe::table::Host::event).
    #[inline(always)]
    pub(crate) fn table(&self, event: Event, slot: u16, record: &Record) {
        let flow = What {
            event,
            slot,
            record,
        };
        match event {
            Event::Bound(_) => self.0.bind(&flow),
            Event::Unbound(_) => self.0.unbind(&flow),
            Event::Evicted => self.0.evict(&flow),
        }
    }

    /// Something got no entry: of `owner`, if that is known.
    #[inline(always)]
    pub(crate) fn reject(&self, owner: Option<BlockId>, rule: &RejectedRule) {
        self.0.reject(|| Rejected {
            reason: rule.reject.name(),
            owner: owner.map_or(0, |owner| owner.0),
            protocol: rule.ip_proto,
            orig: rule.tuple.map(pair),
            ingress: rule.ingress,
            egress: rule.egress,
        });
    }

    /// The engine does not answer any more.
    pub(crate) fn quarantine(&self, chip: &str) {
        self.0.quarantine(chip);
    }
}

fn bound(how: Replaced) -> &'static str {
    match how {
        Replaced::Bound => "new",
        Replaced::Refreshed => "refreshed",
        Replaced::Updated => "updated",
        Replaced::Rebound => "rebound",
    }
}

fn unbound(why: Unbound) -> &'static str {
    match why {
        Unbound::Ended => "ended",
        Unbound::Flushed => "flushed",
        Unbound::Revalidated => "moved",
        Unbound::Aged => "aged",
        Unbound::Changed => "changed",
        Unbound::Evicted => "evicted",
        Unbound::Refused => "refused",
    }
}

/// What happened to a flow.
struct What<'a> {
    event: Event,
    slot: u16,
    record: &'a Record,
}

impl Describe for What<'_> {
    #[cold]
    fn describe(&self) -> Flow {
        let record = self.record;
        let flow = &record.flow;
        Flow {
            slot: self.slot.into(),
            owner: record.owner.0,
            protocol: flow.l4.ip_proto(),
            orig: pair(flow.tuple),
            new: pair(flow.new),
            in_port: flow.ingress.port.0,
            out_port: flow.egress.port.0,
            packets: record.total.packets,
            bytes: record.total.bytes,
            idle_ms: time::now_ms().saturating_sub(record.last_used_ms),
            why: match self.event {
                Event::Bound(how) => bound(how),
                Event::Unbound(why) => unbound(why),
                Event::Evicted => "bucket-full",
            },
        }
    }
}

fn pair(tuple: Tuple) -> Pair {
    match tuple {
        Tuple::V4 {
            src,
            dst,
            sport,
            dport,
        } => ((src, sport).into(), (dst, dport).into()),
        Tuple::V6 {
            src,
            dst,
            sport,
            dport,
        } => ((src, sport).into(), (dst, dport).into()),
    }
}
