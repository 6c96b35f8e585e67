// SPDX-License-Identifier: GPL-2.0-only

//! What an engine does and why it refuses, as text, for the files of debugfs.
//! `Documentation/ABI/testing/debugfs-nft_offload` is what they are to say.
//!
//! Showing changes no count. A file of many lines has a line at each of some positions, in
//! ascending order.

use core::{
    fmt::{
        self,
        Formatter,
        Result, //
    },
    writeln, //
};

use super::{
    count::Count,
    engine::{
        Engine,
        Platform, //
    },
    flow::{
        Encap,
        Mac,
        L4, //
    },
    format::{
        State,
        MAX_WORDS, //
    },
    hw::{
        Hw,
        Lifecycle, //
    },
    netdev::Name,
    platform::Conntrack,
    reject::Reject,
    table::{
        BlockId,
        Record, //
    }, //
};

/// Numbers that are looked at before the lock is given back.
const CHUNK: u16 = 256;

/// The next position of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is something at this one.
    At(u64),
    /// It is to be looked for from this one on.
    From(u64),
    /// There is nothing any more.
    End,
}

impl From<Option<u64>> for Next {
    fn from(found: Option<u64>) -> Self {
        found.map_or(Self::End, Self::At)
    }
}

/// The first number from `from` on, of `count`, for which `find` finds something in a range.
fn scan(from: u64, count: usize, find: impl FnOnce(u16, u16) -> Option<u16>) -> Next {
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    let Some(from) = u16::try_from(from).ok().filter(|from| *from < count) else {
        return Next::End;
    };
    let to = from.saturating_add(CHUNK).min(count);
    find(from, to).map_or(Next::From(to.into()), |found| Next::At(found.into()))
}

/// How long ago something was, as seconds with three decimals.
pub(super) struct Age(u64);

impl Age {
    pub(super) fn of(now_ms: u64, then_ms: u64) -> Self {
        Self(now_ms.saturating_sub(then_ms))
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// Something, or `-`.
pub(super) struct OrDash<T>(pub(super) Option<T>);

impl<T: fmt::Display> fmt::Display for OrDash<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}

impl<P: Platform> Engine<P> {
    fn age(&self, then_ms: u64) -> Age {
        Age::of(self.table.host.now_ms(), then_ms)
    }

    /// Writes `status`.
    pub fn show_status(&self, version: &str, bus: &str, f: &mut Formatter<'_>) -> Result {
        let spec = self.spec();
        let caps = &spec.caps;
        writeln!(f, "version: {version}")?;
        writeln!(f, "chip: {}", spec.name)?;
        writeln!(f, "bus: {bus}")?;
        writeln!(f, "ppes: {}", caps.ppes())?;
        writeln!(f, "entries: {}", spec.slots())?;
        writeln!(f, "ways: {}", spec.format.ways())?;
        writeln!(
            f,
            "capabilities: ipv4={} ipv6={} nat44={} nat66={} bridge={} hairpin={} vlan-tags={} pppoe={} dsa={} accounting={}",
            u8::from(caps.ipv4),
            u8::from(caps.ipv6),
            u8::from(caps.nat44),
            u8::from(caps.nat66),
            u8::from(caps.bridge),
            u8::from(caps.hairpin),
            caps.vlan_tags,
            u8::from(caps.pppoe),
            u8::from(caps.dsa.is_some()),
            u8::from(caps.mib.is_some()),
        )?;
        writeln!(f, "engine: {}", self.health_text())?;
        writeln!(f, "paused: {}", u8::from(self.paused))?;
        writeln!(f, "flowtables: {}", self.blocks.count())?;
        writeln!(f, "bridge rules: {}", self.filters.rules_stats().rules)?;
        writeln!(f, "bound: {}", self.table.table_stats().bound)?;
        for port in self.ports.own() {
            write!(f, "port {}: {}", port.pse, Mac(port.mac))?;
            match port.dev {
                Some(dev) => {
                    let flowtables = self.blocks.count_of(port.pse);
                    writeln!(f, " {} {} flowtables={flowtables}", dev.name, link(dev.up))?;
                }
                None => writeln!(f, " no device")?,
            }
        }
        for (at, dev) in self.ports.of_switches() {
            let tag = OrDash(at.dsa.map(|dsa| dsa.tag.0));
            writeln!(f, "port {at}: {} {} dsa-tag={tag}", dev.name, link(dev.up))?;
        }
        Ok(())
    }

    /// Writes `stats`; `sightings_lost` is what the glue counts.
    pub fn show_stats(&self, sightings_lost: u64, f: &mut Formatter<'_>) -> Result {
        let (counters, table) = (&self.counters, self.table.table_stats());
        let bridge = self.filters.rules_stats();
        let lines = [
            ("offered", counters.offered),
            ("rejected", counters.rejected),
            ("bound_now", table.bound.into()),
            ("flows_now", table.flows.into()),
            ("flows_max", table.high_water.into()),
            ("parked_now", table.parked.into()),
            ("bound_total", table.inserted),
            ("refreshed", table.refreshed),
            ("updated", table.updated),
            ("rebound", table.rebinds),
            ("aged_out", table.aged_out),
            ("collisions", table.collisions),
            ("evicted", table.evictions),
            ("destroyed", counters.destroyed),
            ("flushed", counters.flushed),
            ("moved", counters.moved),
            ("moves", counters.moves),
            ("walks", counters.walks),
            ("walk_hold_us", counters.walk_hold_us),
            ("packets", counters.forwarded.packets),
            ("bytes", counters.forwarded.bytes),
            ("acct_tail_packets", counters.residual.packets),
            ("acct_tail_bytes", counters.residual.bytes),
            ("acct_unmatched", counters.residual_lost),
            ("bucket_full", table.bucket_full),
            ("key_in_use", table.key_in_use),
            ("stray_counts", table.stray_mib),
            ("rules_now", bridge.rules.into()),
            ("subflows_now", bridge.subflows.into()),
            ("subflows_bound", bridge.bound),
            ("subflows_refused", bridge.refused),
            ("subflows_ended", bridge.ended),
            ("sightings_lost", sightings_lost),
            ("foreign_devices", counters.foreign_devices),
            ("quarantined", counters.quarantined),
            ("restarted", counters.restarted),
        ];
        for (name, value) in lines {
            writeln!(f, "{name} {value}")?;
        }
        Ok(())
    }

    /// Writes `pause`.
    pub fn show_pause(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "{}", u8::from(self.paused))
    }

    /// Writes the value of one key of `policy`.
    pub fn show_policy_value(&self, key: &str, f: &mut Formatter<'_>) -> Result {
        self.policy
            .value(key)
            .map_or(Ok(()), |value| writeln!(f, "{value}"))
    }

    fn health_text(&self) -> &'static str {
        if self.table.hw.is_alive() {
            "running"
        } else {
            "quarantined"
        }
    }

    /// Writes whether the engine answers.
    pub fn show_health(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "{}", self.health_text())
    }

    /// Writes `policy`.
    pub fn show_policy(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.policy)
    }

    /// The next slot of the hardware in a state for which `shown` holds, for `bind` and `entries`.
    pub fn next_slot(&mut self, from: u64, shown: fn(State) -> bool) -> Next {
        let (format, slots) = (self.spec().format, self.table.capacity());
        let hw = &mut self.table.hw;
        scan(from, slots, |from, to| {
            (from..to).find(|slot| shown(format.state(hw.read_word0(*slot).unwrap_or(0))))
        })
    }

    /// Writes a line for an entry of the hardware, if its state is one for which `shown` holds.
    pub fn show_slot(
        &mut self,
        at: u64,
        shown: fn(State) -> bool,
        f: &mut Formatter<'_>,
    ) -> Result {
        let format = self.spec().format;
        let mut words = [0; MAX_WORDS];
        let words = words.get_mut(..format.entry_words());
        let (Ok(slot), Some(words)) = (u16::try_from(at), words) else {
            return Ok(());
        };
        let _ = self.table.hw.read_entry(slot, words);
        let record = self.look_at(slot);
        let Count { packets, bytes } = record.map_or(Count::ZERO, |record| record.total);
        let entry = format.decode(words);
        if !shown(entry.state) {
            return Ok(());
        }
        writeln!(f, "{}", entry.line(slot, packets, bytes))
    }

    /// The flow that has the slot or place `at`, with the counters of the hardware. Reporting
    /// nothing, this takes no count from conntrack.
    fn look_at(&mut self, at: u16) -> Option<Record> {
        if self.table.hw.is_alive() && self.table.get(at).is_some() {
            self.table.refresh(at);
        }
        self.table.get(at).copied()
    }

    /// The next line of `flows`.
    pub fn next_flow(&self, from: u64) -> Next {
        scan(from, self.table.numbers(), |from, to| {
            self.table.first_of(from, to)
        })
    }

    /// Writes a line of `flows`.
    pub fn show_flow(&mut self, at: u64, f: &mut Formatter<'_>) -> Result {
        let Ok(at) = u16::try_from(at) else {
            return Ok(());
        };
        let Some(record) = self.look_at(at) else {
            return Ok(());
        };
        let flow = &record.flow;
        if usize::from(at) >= self.table.capacity() {
            write!(f, "slot=- state=parked")?;
        } else {
            let state = if record.bound { "bound" } else { "aged" };
            write!(f, "slot={at:05x} state={state}")?;
        }
        let dir = match record.connection.id {
            0 => "-",
            id if P::Conntrack::is_reply(id) => "reply",
            _ => "original",
        };
        let name = |at| OrDash(self.ports.name_of(at));
        let (ingress, egress): (OrDash<Name>, _) = (name(flow.ingress), name(flow.egress));
        write!(
            f,
            " dir={dir} proto={} orig={} new={} in={ingress} out={egress} age={} idle={} packets={} bytes={} owner={}",
            flow.l4,
            flow.tuple,
            flow.new,
            self.age(record.since_ms),
            self.age(record.last_used_ms),
            record.total.packets,
            record.total.bytes,
            record.owner.0,
        )?;
        show_tags("vlan-in", &flow.in_encap, f)?;
        show_tags("vlan-out", &flow.out_encap, f)?;
        if let Some(session) = flow.out_encap.pppoe {
            write!(f, " pppoe={session}")?;
        }
        writeln!(f)
    }

    /// The next line of `rejects`: one for each reason, and then one for each of the last rules.
    pub fn next_reject(&self, from: u64) -> Next {
        let at = usize::try_from(from).unwrap_or(usize::MAX);
        let Some(place) = at.checked_sub(Reject::COUNT) else {
            return Next::At(from);
        };
        let rest = self.rejects.last().get(place..).unwrap_or_default();
        let skipped = rest.iter().position(Option::is_some);
        let next = skipped.and_then(|skipped| at.checked_add(skipped));
        next.and_then(|next| u64::try_from(next).ok()).into()
    }

    /// Writes a line of `rejects`.
    pub fn show_reject(&self, at: u64, f: &mut Formatter<'_>) -> Result {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        if let Some(reject) = Reject::ALL.get(at) {
            let reason = self.rejects.of(*reject);
            let last = (reason.count > 0).then(|| self.age(reason.last_ms));
            // What tc is told begins with the name.
            let message = reject.message().to_str().unwrap_or("");
            let sentence = message.split_once(' ').map_or("", |(_, sentence)| sentence);
            let (name, count) = (reject.name(), reason.count);
            return writeln!(f, "{name} {count} {} {sentence}", OrDash(last));
        }
        let place = at.saturating_sub(Reject::COUNT);
        let Some(last) = self.rejects.last().get(place).copied().flatten() else {
            return Ok(());
        };
        let rule = &last.rule;
        write!(
            f,
            "flow reason={} times={} age={} proto=",
            rule.reject.name(),
            last.times,
            self.age(last.last_ms)
        )?;
        match L4::from_ip_proto(rule.ip_proto) {
            Some(l4) => write!(f, "{l4}")?,
            None => write!(f, "{}", rule.ip_proto)?,
        }
        writeln!(
            f,
            " orig={} in={} out={}",
            OrDash(rule.tuple),
            OrDash(rule.ingress),
            OrDash(rule.egress)
        )
    }

    /// The next rule of `bridge`. Positions are the owners of subflows.
    pub fn next_filter(&self, from: u64) -> Next {
        let owners = self.filters.iter().map(|filter| u64::from(filter.flows.0));
        owners.filter(|owner| *owner >= from).min().into()
    }

    /// Writes a line for a rule of `bridge`, and one for each of its subflows behind it.
    pub fn show_filter(&mut self, at: u64, f: &mut Formatter<'_>) -> Result {
        let flows = u32::try_from(at).map(BlockId);
        let filters = &self.filters;
        let of = |flows| filters.iter().find(|record| record.flows == flows);
        let Some(record) = flows.ok().and_then(of) else {
            return Ok(());
        };
        let flows = record.flows;
        let mut count = record.total;
        for subflow in filters.subflows(record) {
            let slot = self.table.find(flows, subflow.into());
            let subflow = slot.and_then(|slot| self.table.refresh(slot));
            count = count.plus(subflow.map_or(Count::ZERO, |subflow| subflow.unreported));
        }
        let rule = &record.rule;
        let [outer, inner] = rule.out_encap.vlan.map(|vid| vid.unwrap_or(0));
        writeln!(
            f,
            "port {}->{} eth={}->{} vlan={} out={outer},{inner} prio={} subflows={} packets={} bytes={}",
            rule.key.ingress,
            rule.egress,
            Mac(rule.key.smac),
            Mac(rule.key.dmac),
            rule.key.vlan.unwrap_or(0),
            record.prio,
            record.subflows,
            count.packets,
            count.bytes,
        )?;
        for subflow in filters.subflows(record) {
            let Some(slot) = self.table.find(flows, subflow.into()) else {
                continue;
            };
            if let Some(subflow) = self.table.get(slot) {
                let (l4, tuple) = (subflow.flow.l4, subflow.flow.tuple);
                let Count { packets, bytes } = subflow.total;
                writeln!(
                    f,
                    "  {slot:05x} {l4} {tuple} packets={packets} bytes={bytes}"
                )?;
            }
        }
        Ok(())
    }
}

const fn link(up: bool) -> &'static str {
    if up {
        "up"
    } else {
        "down"
    }
}

fn show_tags(key: &str, encap: &Encap, f: &mut Formatter<'_>) -> Result {
    match encap.vlan {
        [None, _] => Ok(()),
        [Some(vid), None] => write!(f, " {key}={vid}"),
        [Some(outer), Some(inner)] => write!(f, " {key}={outer},{inner}"),
    }
}
