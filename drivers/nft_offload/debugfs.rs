// SPDX-License-Identifier: GPL-2.0-only

//! `/sys/kernel/debug/nft_offload/<device>/`: what an engine does, and why it refuses.
//!
//! Reading a file changes no count. The engine's lock is held for a few entries at a time.

use crate::{
    engine::Engine,
    ppe::{
        flow::Mac,
        format::{
            State,
            MAX_WORDS, //
        },
        reject::Reject,
        table, //
    },
    rust, //
};
use core::{
    fmt::{
        Formatter,
        Result, //
    },
    writeln, //
};
use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    prelude::{
        pin_data,
        try_pin_init,
        CStr,
        Error,
        PinInit, //
    },
    sync::Arc, //
};

/// The files of an engine. Dropping them waits for those who read.
#[pin_data]
pub(crate) struct Files {
    #[pin]
    status: File<Arc<Engine>>,
    #[pin]
    stats: File<Arc<Engine>>,
    #[pin]
    rejects: File<Arc<Engine>>,
    #[pin]
    bind: File<Arc<Engine>>,
    #[pin]
    entries: File<Arc<Engine>>,
    #[pin]
    bridge: File<Arc<Engine>>,
    dir: Dir,
}

impl Files {
    pub(crate) fn new<'a>(name: &'a CStr, engine: Arc<Engine>) -> impl PinInit<Self, Error> + 'a {
        pin_init::pin_init_scope(move || {
            let dir = match rust::debugfs::dir() {
                Some(root) => root.subdir(name),
                None => Dir::new(name),
            };
            let d = dir.clone();
            Ok(try_pin_init!(Self {
                status <- d.read_callback_file(c"status", engine.clone(), &status),
                stats <- d.read_callback_file(c"stats", engine.clone(), &stats),
                rejects <- d.read_callback_file(c"rejects", engine.clone(), &rejects),
                bind <- d.read_callback_file(c"bind", engine.clone(), &bind),
                entries <- d.read_callback_file(c"entries", engine.clone(), &entries),
                bridge <- d.read_callback_file(c"bridge", engine, &bridge),
                dir,
            }))
        })
    }
}

fn status(engine: &Arc<Engine>, f: &mut Formatter<'_>) -> Result {
    let caps = engine.chip.caps();
    writeln!(f, "version: {}", crate::VERSION)?;
    writeln!(f, "chip: {}", engine.chip.name())?;
    writeln!(f, "bus: {}", engine.bus)?;
    writeln!(f, "ppes: {}", caps.parts())?;
    writeln!(f, "entries: {}", engine.chip.slots())?;
    writeln!(f, "ways: {}", engine.chip.format().ways())?;
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
                    writeln!(f, " {} {link}", dev.name)?;
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

fn stats(engine: &Arc<Engine>, f: &mut Formatter<'_>) -> Result {
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
    ];
    for (name, value) in lines {
        writeln!(f, "{name} {value}")?;
    }
    Ok(())
}

fn rejects(engine: &Arc<Engine>, f: &mut Formatter<'_>) -> Result {
    let counts = engine.with(|state| state.rejects);
    for (reject, count) in Reject::ALL.iter().zip(counts) {
        writeln!(f, "{} {count}", reject.name())?;
    }
    Ok(())
}

fn bind(engine: &Arc<Engine>, f: &mut Formatter<'_>) -> Result {
    slots(engine, f, |state| state == State::Bound)
}

fn entries(engine: &Arc<Engine>, f: &mut Formatter<'_>) -> Result {
    slots(engine, f, |state| state != State::Invalid)
}

/// Writes a line for each rule of a bridged flow, and one for each of its subflows behind it.
fn bridge(engine: &Arc<Engine>, f: &mut Formatter<'_>) -> Result {
    let mut after = 0;
    // One rule at a time, as there may be many subflows.
    while let Some(next) = engine.with(|state| {
        let rules = state.bridge.rules.iter().map(|rule| rule.flows.0);
        let next = rules.filter(|flows| *flows > after).min()?;
        Some(state.show_rule(table::Owner(next), f).map(|()| next))
    }) {
        after = next?;
    }
    Ok(())
}

/// Writes a line for each entry of the hardware in a state for which `show` holds.
fn slots(engine: &Engine, f: &mut Formatter<'_>, show: fn(State) -> bool) -> Result {
    /// Slots looked at before the lock is given back.
    const CHUNK: usize = 64;

    let format = engine.chip.format();
    let slots = engine.chip.slots();
    for first in (0..slots).step_by(CHUNK) {
        engine.with(|state| {
            for slot in first..slots.min(first.saturating_add(CHUNK)) {
                let Ok(slot) = u16::try_from(slot) else {
                    break;
                };
                if !show(format.state(state.read_word0(slot))) {
                    continue;
                }
                let mut words = [0; MAX_WORDS];
                let Some(words) = words.get_mut(..format.entry_words()) else {
                    break;
                };
                let count = state.read_slot(slot, words);
                writeln!(
                    f,
                    "{}",
                    format.decode(words).line(slot, count.packets, count.bytes)
                )?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
