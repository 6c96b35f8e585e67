// SPDX-License-Identifier: GPL-2.0-only
//! A port of the board and its counters.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// A counter with one writer, the thread of the datapath.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
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
            /// Returns the values now.
            pub fn values(&self) -> PortValues {
                PortValues { $($name: self.$name.get(),)* }
            }
        }

        impl PortValues {
            /// Returns the difference to `start`.
            pub fn since(&self, start: &PortValues) -> PortValues {
                PortValues { $($name: self.$name.wrapping_sub(start.$name),)* }
            }
        }
    };
}

port_counters! {
    /// Frames from the wire.
    wire_rx_frames,
    /// Bytes of `wire_rx_frames`.
    wire_rx_bytes,
    /// Frames to the wire, from the engine or the guest.
    wire_tx_frames,
    /// Bytes of `wire_tx_frames`.
    wire_tx_bytes,
    /// Frames that the TAP interface refused.
    wire_tx_drops,
    /// Frames that the port queued for the guest's NIC.
    to_cpu_frames,
    /// Bytes of `to_cpu_frames`.
    to_cpu_bytes,
    /// Frames that the port dropped because the guest's NIC was absent or its queue full.
    to_cpu_drops,
    /// Frames from the guest's NIC.
    from_cpu_frames,
    /// Bytes of `from_cpu_frames`.
    from_cpu_bytes,
    /// Frames to the wire from the engine alone.
    hw_tx_frames,
    /// Bytes of `hw_tx_frames`.
    hw_tx_bytes,
}

/// A port of the board.
#[derive(Debug)]
pub struct PortInfo {
    /// Name in statistics and messages.
    pub name: String,
    /// Number on the packet switch engine.
    pub pse: u8,
    /// MAC address.
    pub mac: [u8; 6],
    /// Frames and bytes that passed the port.
    pub counters: PortCounters,
}

/// Returns a MAC address as text.
pub fn mac(mac: &[u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
