// SPDX-License-Identifier: GPL-2.0-only
//! Statistics and entries as JSON.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{json, Map, Value};
use vppe_model::chip::Chip;
use vppe_model::entry::{Key, IB1_STATIC};
use vppe_model::{CpuReason, Dma, EntryView, Ppe};

use crate::core::{Core, Shared};
use crate::port::{mac, PortInfo, PortValues};

/// Returns the statistics. `start` has the ports' counters at the last reset.
pub fn stats(shared: &Shared, ports: &[PortInfo], start: &[PortValues]) -> Value {
    let ports = ports.iter().zip(start);
    let ports: Vec<Value> = ports.map(|(info, start)| port(info, start)).collect();
    let core = shared.lock();
    let Core {
        engine,
        memory,
        masters_running,
    } = &*core;
    let ppes: Vec<Value> = engine.ppes().iter().map(|it| ppe(it, memory)).collect();
    json!({
        "chip": engine.chip().name,
        "uptime_s": shared.start().elapsed().as_secs(),
        "timestamp": engine.now(),
        "vfio_connected": shared.connected(),
        "dma_maps": memory.maps(),
        "masters_running": masters_running,
        "faults": {
            "stuck_busy": engine.faults.stuck_busy,
            "mib_stuck": engine.faults.mib_stuck,
            "dead": engine.faults.dead,
            "lost_writes": engine.faults.lost_writes,
        },
        "ports": ports,
        "ppe": ppes,
    })
}

fn port(info: &PortInfo, start: &PortValues) -> Value {
    let mut value = json!(info.counters.values().since(start));
    value["name"] = json!(info.name);
    value["pse_port"] = json!(info.pse);
    value["mac"] = json!(mac(&info.mac));
    value
}

fn ppe(ppe: &Ppe, memory: &impl Dma) -> Value {
    let stats = ppe.stats();
    let count = ppe.count(memory);
    let reasons: Map<String, Value> = CpuReason::ALL
        .iter()
        .map(|&reason| (reason, stats.reasons[reason as usize]))
        .filter(|(_, n)| *n > 0)
        .map(|(reason, n)| (reason.name().to_owned(), json!(n)))
        .collect();
    json!({
        "enabled": ppe.enabled(),
        "lookups": stats.lookups,
        "hits": stats.hits,
        "misses": stats.misses,
        "forwarded": stats.forwarded,
        "dropped": stats.dropped,
        "bound": count.bound,
        "unbound": count.unbound,
        "built": stats.built,
        "aged": stats.aged,
        "cache_fills": stats.cache_fills,
        "cache_clears": stats.cache_clears,
        "mib_reads": stats.mib_reads,
        "dma_errors": stats.dma_errors,
        "bad_ports": stats.bad_ports,
        "unusable": stats.unusable,
        "cpu_reasons": reasons,
    })
}

/// Returns the bound entries of all PPEs.
pub fn entries(core: &Core) -> Value {
    let Core { engine, memory, .. } = core;
    let chip = engine.chip();
    let mut entries = Vec::new();
    for (i, ppe) in engine.ppes().iter().enumerate() {
        entries.extend(ppe.entries(memory).iter().map(|view| entry(chip, i, view)));
    }
    json!({"entries": entries})
}

fn tuple(src: String, dst: String, ports: u32) -> Value {
    json!({"src": src, "dst": dst, "sport": ports >> 16, "dport": ports & 0xffff})
}

fn original(key: &Key) -> Value {
    let address = |words: &[u32; 4]| {
        if key.v6 {
            let bits = words.iter().fold(0, |bits, &w| bits << 32 | u128::from(w));
            Ipv6Addr::from_bits(bits).to_string()
        } else {
            Ipv4Addr::from(words[0]).to_string()
        }
    };
    tuple(address(&key.src), address(&key.dst), key.ports)
}

fn entry(chip: &Chip, ppe: usize, view: &EntryView) -> Value {
    let entry = &view.entry;
    let Some(key) = &entry.key else {
        return json!({
            "ppe": ppe, "index": view.index, "type": "other",
            "ib1": format!("{:#010x}", entry.ib1),
        });
    };
    let kind = match (key.v6, entry.new) {
        (true, _) => "ipv6-5t",
        (false, Some(_)) => "ipv4-hnapt",
        (false, None) => "ipv4-route",
    };
    let new = entry.new.map(|(src, dst, ports)| {
        tuple(
            Ipv4Addr::from(src).to_string(),
            Ipv4Addr::from(dst).to_string(),
            ports,
        )
    });
    let (head, len) = entry.head(0);
    let head: Vec<String> = head[..len].iter().map(|b| format!("{b:02x}")).collect();
    json!({
        "ppe": ppe,
        "index": view.index,
        "type": kind,
        "proto": if key.udp { "udp" } else { "tcp" },
        "orig": original(key),
        "new": new,
        "dmac": mac(&entry.l2.dmac),
        "smac": mac(&entry.l2.smac),
        "etype": entry.l2.etype,
        "tags": entry.tags,
        "vlan1": entry.l2.vlan1,
        "vlan2": entry.l2.vlan2,
        "pppoe": entry.pppoe.then_some(entry.l2.pppoe_id),
        "header": head.concat(),
        "dest_port": entry.dest_port,
        "ttl": entry.decrement,
        "static": IB1_STATIC.get(entry.ib1) != 0,
        "counted": entry.counted,
        "timestamp": chip.layout.ib1_timestamp.get(entry.ib1),
        "ib1": format!("{:#010x}", entry.ib1),
        "ib2": format!("{:#010x}", entry.ib2),
        "cached": view.cached,
        "stale": view.stale,
        "usable": view.usable,
        "packets": view.packets,
        "bytes": view.bytes,
    })
}
