// SPDX-License-Identifier: GPL-2.0-only

//! How often flows were refused for each reason, and which ones last.

use core::hash::{
    Hash,
    Hasher, //
};

use super::{
    flow::Tuple,
    flow_rule::Outline,
    hash::Fnv,
    netdev::{
        Name,
        NetId, //
    },
    platform::Storage,
    reject::Reject, //
};

/// A rule that was refused, as far as it says what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RejectedRule {
    /// Why.
    pub reject: Reject,
    /// IP protocol number; 0 if the rule does not match one.
    pub ip_proto: u8,
    /// Addresses and ports as frames arrive, ports of 0 if the rule has none; `None` if it does
    /// not match addresses.
    pub tuple: Option<Tuple>,
    /// Where they arrive; `None` if the rule does not say.
    pub ingress: Option<Name>,
    /// Where they leave; `None` if the rule does not say.
    pub egress: Option<Name>,
}

impl RejectedRule {
    /// The rule of which `outline` is what it says, refused for `reject`. `name_of` says how a
    /// device is called now.
    pub fn new(
        reject: Reject,
        outline: &Outline,
        name_of: &dyn Fn(i32, NetId) -> Option<Name>,
    ) -> Self {
        let name = |(ifindex, net)| name_of(ifindex, net).unwrap_or(Name::UNKNOWN);
        Self {
            reject,
            ip_proto: outline.ip_proto,
            tuple: outline.tuple,
            ingress: outline.ingress.map(name),
            egress: outline.egress.map(name),
        }
    }
}

/// One of the last flows that were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The rule.
    pub rule: RejectedRule,
    /// How often it was, for this reason. What does not fit stays at the greatest number.
    pub times: u64,
    /// When it was last, in milliseconds of the caller's clock.
    pub last_ms: u64,
    /// A hash of the flow, by which it is looked for.
    hash: u64,
}

/// What is counted for a reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How often.
    pub count: u64,
    /// When it was last, in milliseconds of the caller's clock.
    pub last_ms: u64,
}

/// Places for the last flows.
const PLACES: usize = 256;

/// Why flows were refused, and which ones last.
///
/// A flow that is refused again for the same reason has one place, as the kernel offers it again
/// and again. If all places are taken, a new flow gets that of the one whose last time is
/// longest ago.
pub struct RejectLog<S: Storage> {
    reasons: [Count; Reject::COUNT],
    last: S::Vec<Option<Entry>>,
}

impl<S: Storage> RejectLog<S> {
    /// Nothing was refused yet. `None` if there is no memory.
    pub fn new() -> Option<Self> {
        Self::with_places(PLACES)
    }

    pub(super) fn with_places(places: usize) -> Option<Self> {
        Some(Self {
            reasons: [Count::default(); Reject::COUNT],
            last: S::filled(None, places)?,
        })
    }

    /// Counts a refusal of something that is no flow.
    pub fn count(&mut self, reject: Reject, now_ms: u64) {
        if let Some(reason) = self.reasons.get_mut(reject.index()) {
            reason.count = reason.count.saturating_add(1);
            reason.last_ms = now_ms;
        }
    }

    /// Counts and remembers the refusal of a flow.
    pub fn add(&mut self, rule: &RejectedRule, now_ms: u64) {
        self.count(rule.reject, now_ms);
        let mut hasher = Fnv::default();
        rule.hash(&mut hasher);
        let hash = hasher.finish();

        let mut oldest = 0;
        let mut oldest_ms = None;
        for (at, place) in self.last.iter_mut().enumerate() {
            let last_ms = match place {
                Some(last) if last.hash == hash && last.rule == *rule => {
                    last.times = last.times.saturating_add(1);
                    last.last_ms = now_ms;
                    return;
                }
                // `None`, for a free place, is before all times.
                place => place.as_ref().map(|last| last.last_ms),
            };
            if at == 0 || last_ms < oldest_ms {
                (oldest, oldest_ms) = (at, last_ms);
            }
        }
        if let Some(place) = self.last.get_mut(oldest) {
            *place = Some(Entry {
                rule: *rule,
                times: 1,
                last_ms: now_ms,
                hash,
            });
        }
    }

    /// What was counted for a reason.
    pub fn of(&self, reject: Reject) -> Count {
        self.reasons
            .get(reject.index())
            .copied()
            .unwrap_or_default()
    }

    /// The places for the last flows, in no order.
    pub fn last(&self) -> &[Option<Entry>] {
        &self.last
    }
}
