// SPDX-License-Identifier: GPL-2.0-only

//! Bridged flows: frames that a rule names by their Ethernet addresses.
//!
//! An engine finds its entries by addresses and ports of IP, so such a rule has no entry
//! of its own. What it has is subflows: as soon as enough frames of one connection came
//! to the CPU that the rule is for, the connection gets an entry, which leaves everything
//! in the packet as it is.
//!
//! ```text
//! rule --RuleParser--> Filter --Filters::insert--> Detect
//! frame --frame::parse--> Detect::seen --> Sighting --Filters::bind--> Flow --> Table
//! ```
//!
//! [`Detect`](detect::Detect) is for the path of packets and has a lock of its own;
//! [`Filters`](filters::Filters) lives beside the [`Table`](super::table::Table), under its lock.

use super::flow::{
    PsePort,
    Tuple,
    L4, //
};

pub mod detect;
pub mod filter;
pub mod filters;
pub mod frame;

/// Which frames a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Port at which they arrive.
    pub ingress: PsePort,
    /// Source Ethernet address.
    pub smac: [u8; 6],
    /// Destination Ethernet address.
    pub dmac: [u8; 6],
    /// VLAN ID of the only 802.1Q tag; `None` for frames without tag.
    pub vlan: Option<u16>,
}

impl Key {
    /// Placeholder for storage that holds no key.
    pub const NONE: Self = Self {
        ingress: PsePort(0),
        smac: [0; 6],
        dmac: [0; 6],
        vlan: None,
    };
}

/// A connection of which frames were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sighting {
    /// Whose frames they are.
    pub key: Key,
    /// Transport protocol.
    pub l4: L4,
    /// Addresses and ports.
    pub tuple: Tuple,
}

impl Sighting {
    /// Placeholder for storage that holds none.
    pub const NONE: Self = Self {
        key: Key::NONE,
        l4: L4::Tcp,
        tuple: Tuple::ZERO,
    };
}
