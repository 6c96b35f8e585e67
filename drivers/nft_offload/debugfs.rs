// SPDX-License-Identifier: GPL-2.0-only

//! `/sys/kernel/debug/nft_offload/<device>/`: what an engine does, why it refuses, and the files by
//! which it is steered. `Documentation/ABI/testing/debugfs-nft_offload` is what they are to say.
//!
//! Reading a file changes no count. The engine's lock is held for a line at a time, or for a look
//! at a few slots.

use crate::{
    engine::Engine,
    ppe::{
        flow::{
            Encap,
            Mac,
            L4, //
        },
        format::{
            State,
            MAX_WORDS, //
        },
        reject::Reject,
        table::{
            self,
            Record, //
        }, //
    },
    rust::{
        conntrack::{
            Direction,
            DirectionId, //
        },
        debugfs::{
            File,
            Read, //
        },
        netdev::Name,
        time, //
    }, //
};
use core::{
    fmt::{
        self,
        Formatter,
        Result, //
    },
    writeln, //
};

/// The files of an engine.
pub(crate) const FILES: &[File<Engine>] = &[
    once(c"status", status),
    once(c"stats", stats),
    lines(c"bind", bound, |engine, at, f| {
        slot(engine, at, f, |state| state == State::Bound)
    }),
    lines(c"entries", valid, |engine, at, f| {
        slot(engine, at, f, |state| state != State::Invalid)
    }),
    lines(c"flows", next_flow, flow),
    lines(c"rejects", next_reject, reject),
    lines(c"bridge", next_rule, rule),
    lines(c"audit", Engine::next_audit, |engine, _, f| engine.audit(f)),
    File {
        name: c"flush",
        read: None,
        write: Some(Engine::flush),
    },
    File {
        write: Some(Engine::pause),
        ..once(c"pause", |engine, _, f| {
            engine.with(|state| writeln!(f, "{}", u8::from(state.paused)))
        })
    },
    File {
        write: Some(Engine::set_policy),
        ..once(c"policy", |engine, _, f| {
            let policy = engine.with(|state| state.policy);
            write!(f, "{policy}")
        })
    },
];

type Show = fn(&Engine, u64, &mut Formatter<'_>) -> Result;

/// A file that is read at once.
const fn once(name: &'static core::ffi::CStr, show: Show) -> File<Engine> {
    lines(name, Read::once, show)
}

/// A file of many lines.
const fn lines(
    name: &'static core::ffi::CStr,
    next: fn(&Engine, u64) -> Option<u64>,
    show: Show,
) -> File<Engine> {
    File {
        name,
        read: Some(Read { next, show }),
        write: None,
    }
}

/// Milliseconds, as seconds with three decimals.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// How long ago that was.
pub(crate) fn ago(then_ms: u64) -> impl fmt::Display {
    Seconds(time::now_ms().saturating_sub(then_ms))
}

/// Something, or `-`.
pub(crate) struct OrNone<T>(pub(crate) Option<T>);

impl<T: fmt::Display> fmt::Display for OrNone<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}

fn status(engine: &Engine, _: u64, f: &mut Formatter<'_>) -> Result {
    let caps = &engine.spec.caps;
    writeln!(f, "version: {}", crate::VERSION)?;
    writeln!(f, "chip: {}", engine.spec.name)?;
    writeln!(f, "bus: {}", engine.bus)?;
    writeln!(f, "ppes: {}", caps.parts())?;
    writeln!(f, "entries: {}", engine.spec.slots())?;
    writeln!(f, "ways: {}", engine.spec.format.ways())?;
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
    engine.with(|state| {
        let health = if state.alive() {
            "running"
        } else {
            "quarantined"
        };
        writeln!(f, "engine: {health}")?;
        writeln!(f, "paused: {}", u8::from(state.paused))?;
        writeln!(f, "flowtables: {}", state.flowtables())?;
        writeln!(
            f,
            "bridge rules: {}",
            state.bridge.rules.rules_stats().rules
        )?;
        writeln!(f, "bound: {}", state.table_stats().bound)?;
        for port in &state.ports {
            write!(f, "port {}: {}", port.pse, Mac(port.mac))?;
            match port.dev {
                Some(dev) => {
                    let link = if dev.up { "up" } else { "down" };
                    let flowtables = state.flowtables_of(port.pse);
                    writeln!(f, " {} {link} flowtables={flowtables}", dev.name)?;
                }
                None => writeln!(f, " no device")?,
            }
        }
        for port in &state.switch_ports {
            let Some((at, dsa)) = port
                .endpoint(&state.ports)
                .and_then(|at| Some((at, at.dsa?)))
            else {
                continue;
            };
            let link = if port.dev.up { "up" } else { "down" };
            writeln!(
                f,
                "port {at}: {} {link} dsa-tag={}",
                port.dev.name, dsa.tag.0
            )?;
        }
        Ok(())
    })
}

fn stats(engine: &Engine, _: u64, f: &mut Formatter<'_>) -> Result {
    let (counters, table, bridge, lost) = engine.with(|state| {
        let bridge = &state.bridge;
        (
            state.counters,
            *state.table_stats(),
            *bridge.rules.rules_stats(),
            bridge.lost(),
        )
    });
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
        ("moves_lost", counters.moves_lost),
        ("packets", counters.forwarded.packets),
        ("bytes", counters.forwarded.bytes),
        ("acct_tail_packets", counters.tail.packets),
        ("acct_tail_bytes", counters.tail.bytes),
        ("acct_unmatched", counters.tail_lost),
        ("bucket_full", table.bucket_full),
        ("key_in_use", table.key_in_use),
        ("stray_counts", table.stray_mib),
        ("rules_now", bridge.rules.into()),
        ("subflows_now", bridge.subflows.into()),
        ("subflows_bound", bridge.bound),
        ("subflows_refused", bridge.refused),
        ("subflows_ended", bridge.ended),
        ("sightings_lost", lost),
        ("foreign_devices", counters.foreign_devices),
        ("quarantined", counters.quarantined),
        ("restarted", counters.restarted),
    ];
    for (name, value) in lines {
        writeln!(f, "{name} {value}")?;
    }
    Ok(())
}

/// The first number from `from` on, of `count`, for which `find` finds something in a range of
/// them. The engine's lock is held for a range.
fn scan(
    engine: &Engine,
    from: u64,
    count: usize,
    find: impl Fn(&mut crate::engine::State, u16, u16) -> Option<u16>,
) -> Option<u64> {
    /// Numbers looked at before the lock is given back.
    const CHUNK: u16 = 256;

    let count = u16::try_from(count).unwrap_or(u16::MAX);
    let mut from = u16::try_from(from).ok()?;
    while from < count {
        let to = from.saturating_add(CHUNK).min(count);
        if let Some(found) = engine.with(|state| find(state, from, to)) {
            return Some(found.into());
        }
        from = to;
    }
    None
}

/// The next slot of the hardware in a state for which `shown` holds.
fn next_slot(engine: &Engine, from: u64, shown: fn(State) -> bool) -> Option<u64> {
    let format = engine.spec.format;
    scan(engine, from, engine.spec.slots(), |state, from, to| {
        (from..to).find(|slot| shown(format.state(state.read_word0(*slot))))
    })
}

fn bound(engine: &Engine, from: u64) -> Option<u64> {
    next_slot(engine, from, |state| state == State::Bound)
}

fn valid(engine: &Engine, from: u64) -> Option<u64> {
    next_slot(engine, from, |state| state != State::Invalid)
}

/// Writes a line for an entry of the hardware, if its state is one for which `shown` holds.
fn slot(engine: &Engine, at: u64, f: &mut Formatter<'_>, shown: fn(State) -> bool) -> Result {
    let format = engine.spec.format;
    let mut words = [0; MAX_WORDS];
    let (Ok(slot), Some(words)) = (u16::try_from(at), words.get_mut(..format.entry_words())) else {
        return Ok(());
    };
    let count = engine.with(|state| state.read_slot(slot, words));
    let entry = format.decode(words);
    if !shown(entry.state) {
        return Ok(());
    }
    writeln!(f, "{}", entry.line(slot, count.packets, count.bytes))
}

fn next_flow(engine: &Engine, from: u64) -> Option<u64> {
    let numbers = engine.with(|state| state.table.numbers());
    scan(engine, from, numbers, |state, from, to| {
        state.table.first_of(from, to)
    })
}

fn flow(engine: &Engine, at: u64, f: &mut Formatter<'_>) -> Result {
    let Ok(at) = u16::try_from(at) else {
        return Ok(());
    };
    let found = engine.with(|state| {
        let record = state.look_at(at)?;
        let devices = [record.flow.ingress, record.flow.egress].map(|at| state.device_at(at));
        Some((record, devices))
    });
    let Some((record, [ingress, egress])) = found else {
        return Ok(());
    };
    let parked = usize::from(at) >= engine.spec.slots();
    show_flow(&record, at, parked, [OrNone(ingress), OrNone(egress)], f)
}

fn show_flow(
    record: &Record,
    at: u16,
    parked: bool,
    [ingress, egress]: [OrNone<Name>; 2],
    f: &mut Formatter<'_>,
) -> Result {
    let flow = &record.flow;
    if parked {
        write!(f, "slot=- state=parked")?;
    } else {
        let state = if record.bound { "bound" } else { "aged" };
        write!(f, "slot={at:05x} state={state}")?;
    }
    let dir = match record.tag {
        0 => "-",
        id => match DirectionId::direction_of(id) {
            Direction::Original => "original",
            Direction::Reply => "reply",
        },
    };
    write!(
        f,
        " dir={dir} proto={} orig={} new={} in={ingress} out={egress} age={} idle={} packets={} bytes={} owner={}",
        flow.l4,
        flow.tuple,
        flow.new,
        ago(record.since_ms),
        ago(record.last_used_ms),
        record.total.packets,
        record.total.bytes,
        record.owner.0,
    )?;
    for (key, encap) in [("vlan-in", &flow.in_encap), ("vlan-out", &flow.out_encap)] {
        show_tags(key, encap, f)?;
    }
    if let Some(session) = flow.out_encap.pppoe {
        write!(f, " pppoe={session}")?;
    }
    writeln!(f)
}

fn show_tags(key: &str, encap: &Encap, f: &mut Formatter<'_>) -> Result {
    match encap.vlan {
        [None, _] => Ok(()),
        [Some(vid), None] => write!(f, " {key}={vid}"),
        [Some(outer), Some(inner)] => write!(f, " {key}={outer},{inner}"),
    }
}

/// Positions of `rejects`: a line for each reason, and then the places for the last flows.
fn next_reject(engine: &Engine, from: u64) -> Option<u64> {
    let at = usize::try_from(from).ok()?;
    let Some(place) = at.checked_sub(Reject::COUNT) else {
        return Some(from);
    };
    let place = engine.with(|state| {
        let last = state.refusals.last();
        let some = last.get(place..)?.iter().position(Option::is_some)?;
        place.checked_add(some)
    })?;
    u64::try_from(place.checked_add(Reject::COUNT)?).ok()
}

fn reject(engine: &Engine, at: u64, f: &mut Formatter<'_>) -> Result {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    if let Some(reject) = Reject::ALL.get(at) {
        let reason = engine.with(|state| state.refusals.of(*reject));
        let last = (reason.count > 0).then(|| ago(reason.last_ms));
        // What tc is told begins with the name.
        let message = reject.message().to_str().unwrap_or("");
        let sentence = message.split_once(' ').map_or("", |(_, sentence)| sentence);
        return writeln!(
            f,
            "{} {} {} {sentence}",
            reject.name(),
            reason.count,
            OrNone(last)
        );
    }
    let place = at.saturating_sub(Reject::COUNT);
    let last = engine.with(|state| state.refusals.last().get(place).copied().flatten());
    let Some(last) = last else {
        return Ok(());
    };
    let refused = &last.refused;
    write!(
        f,
        "flow reason={} times={} age={} proto=",
        refused.reject.name(),
        last.times,
        ago(last.last_ms)
    )?;
    match L4::from_ip_proto(refused.ip_proto) {
        Some(l4) => write!(f, "{l4}")?,
        None => write!(f, "{}", refused.ip_proto)?,
    }
    writeln!(
        f,
        " orig={} in={} out={}",
        OrNone(refused.tuple),
        OrNone(refused.ingress),
        OrNone(refused.egress)
    )
}

/// Positions of `bridge`: owners of subflows, in ascending order.
fn next_rule(engine: &Engine, from: u64) -> Option<u64> {
    engine.with(|state| {
        let rules = state
            .bridge
            .rules
            .iter()
            .map(|rule| u64::from(rule.flows.0));
        rules.filter(|flows| *flows >= from).min()
    })
}

/// Writes a line for a rule of a bridged flow, and one for each of its subflows behind it.
fn rule(engine: &Engine, at: u64, f: &mut Formatter<'_>) -> Result {
    let Ok(owner) = u32::try_from(at) else {
        return Ok(());
    };
    engine.with(|state| state.show_rule(table::Owner(owner), f))
}
