// SPDX-License-Identifier: GPL-2.0-only
//! What was counted, as JSON.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use vppe_model::{CpuReason, Dma, Ppe};

use crate::core::{Core, Shared};

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the datapath's thread does this.
    #[inline]
    pub fn add(&self, n: u64) {
        let value = self.0.load(Ordering::Relaxed).wrapping_add(n);
        self.0.store(value, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! port_counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one port.
        #[derive(Debug, Default)]
        pub struct PortCounters { $($(#[$doc])* pub $name: Counter,)* }

        /// The values of [`PortCounters`] at one moment.
        #[derive(Debug, Default, Clone, Serialize)]
        pub struct PortValues { $($(#[$doc])* pub $name: u64,)* }

        impl PortCounters {
            /// The values now.
            pub fn values(&self) -> PortValues {
                PortValues { $($name: self.$name.get(),)* }
            }
        }

        impl PortValues {
            /// What was counted since `start`.
            pub fn since(&self, start: &PortValues) -> PortValues {
                PortValues { $($name: self.$name.wrapping_sub(start.$name),)* }
            }
        }
    };
}

port_counters! {
    /// Frames from the wire.
    wire_rx_frames,
    /// Their bytes.
    wire_rx_bytes,
    /// Frames to the wire, from the engine or the guest.
    wire_tx_frames,
    /// Their bytes.
    wire_tx_bytes,
    /// Frames that the TAP interface did not take.
    wire_tx_drops,
    /// Frames queued to the guest's NIC.
    to_cpu_frames,
    /// Their bytes.
    to_cpu_bytes,
    /// Frames for the guest's NIC that found its queue full, or no NIC.
    to_cpu_drops,
    /// Frames from the guest's NIC.
    from_cpu_frames,
    /// Their bytes.
    from_cpu_bytes,
    /// Frames to the wire that the engine forwarded.
    hw_tx_frames,
    /// Their bytes.
    hw_tx_bytes,
}

/// A port as the statistics show it.
#[derive(Debug)]
pub struct PortInfo {
    /// Name.
    pub name: String,
    /// PSE port.
    pub pse: u8,
    /// MAC address.
    pub mac: [u8; 6],
    /// Counters.
    pub counters: PortCounters,
}

/// A MAC address for people.
pub fn mac(mac: &[u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[derive(Serialize)]
struct PortReport {
    name: String,
    pse_port: u8,
    mac: String,
    #[serde(flatten)]
    values: PortValues,
}

#[derive(Serialize)]
struct PpeReport {
    enabled: bool,
    lookups: u64,
    hits: u64,
    misses: u64,
    forwarded: u64,
    dropped: u64,
    bound: u32,
    unbound: u32,
    built: u64,
    aged: u64,
    cache_fills: u64,
    cache_clears: u64,
    mib_reads: u64,
    dma_errors: u64,
    bad_ports: u64,
    unusable: u64,
    cpu_reasons: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct FaultReport {
    stuck_busy: bool,
    mib_stuck: bool,
    dead: bool,
    lost_writes: u32,
}

/// The answer to `stats`.
#[derive(Serialize)]
pub struct Report {
    chip: &'static str,
    uptime_s: u64,
    timestamp: u32,
    vfio_connected: bool,
    dma_maps: usize,
    masters_running: u64,
    faults: FaultReport,
    ports: Vec<PortReport>,
    ppe: Vec<PpeReport>,
}

impl Report {
    /// Collects everything; `start` holds what the ports had counted at the last reset.
    pub fn new(shared: &Shared, ports: &[PortInfo], start: &[PortValues]) -> Self {
        let ports = ports.iter().zip(start).map(|(port, start)| PortReport {
            name: port.name.clone(),
            pse_port: port.pse,
            mac: mac(&port.mac),
            values: port.counters.values().since(start),
        });
        let core = shared.lock();
        let Core {
            engine,
            memory,
            masters_running,
        } = &*core;
        Self {
            chip: engine.chip().name,
            uptime_s: shared.start().elapsed().as_secs(),
            timestamp: engine.now(),
            vfio_connected: shared.connected(),
            dma_maps: memory.maps(),
            masters_running: *masters_running,
            faults: FaultReport {
                stuck_busy: engine.faults.stuck_busy,
                mib_stuck: engine.faults.mib_stuck,
                dead: engine.faults.dead,
                lost_writes: engine.faults.lost_writes,
            },
            ports: ports.collect(),
            ppe: engine
                .ppes()
                .iter()
                .map(|ppe| report(ppe, memory))
                .collect(),
        }
    }
}

fn report(ppe: &Ppe, memory: &impl Dma) -> PpeReport {
    let stats = ppe.stats();
    let count = ppe.count(memory);
    PpeReport {
        enabled: ppe.enabled(),
        lookups: stats.lookups,
        hits: stats.hits,
        misses: stats.misses,
        forwarded: stats.forwarded,
        dropped: stats.dropped,
        bound: count.bound,
        unbound: count.unbound,
        built: stats.built,
        aged: stats.aged,
        cache_fills: stats.cache_fills,
        cache_clears: stats.cache_clears,
        mib_reads: stats.mib_reads,
        dma_errors: stats.dma_errors,
        bad_ports: stats.bad_ports,
        unusable: stats.unusable,
        cpu_reasons: CpuReason::ALL
            .iter()
            .map(|&reason| (reason.name(), stats.reasons[reason as usize]))
            .filter(|(_, n)| *n > 0)
            .collect(),
    }
}
