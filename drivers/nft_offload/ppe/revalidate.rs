// SPDX-License-Identifier: GPL-2.0-only

//! Which flows may have a wrong path after a neighbour, an FDB entry, a route or a device has
//! changed, and which of them may be offered all the same.
//!
//! nf_flowtable looks a path up once and keeps it. Whoever hears an event adds its keys to a
//! [`ChangeSet`](pending::ChangeSet), whose size does not depend on the number of events. One walk
//! over the flows then finds those that have such a key, and asks the kernel whether their path is
//! the same now.

use core::net::Ipv6Addr;

pub mod cancelled;
mod hash;
pub mod neigh;
pub mod pending;

/// What the kernel says of the paths of packets. Addresses of IPv4 are mapped to IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FwdEvent {
    /// The neighbour `addr` at the device `ifindex` has the Ethernet address `mac`.
    Neighbour {
        /// The device that has the neighbour, a VLAN device if it is one.
        ifindex: i32,
        /// The IP address.
        addr: Ipv6Addr,
        /// The Ethernet address.
        mac: [u8; 6],
    },
    /// A bridge has another FDB entry for `mac`.
    FdbEntry {
        /// The Ethernet address.
        mac: [u8; 6],
    },
    /// Packets to the prefix may take another path.
    Route {
        /// First address of the prefix.
        addr: Ipv6Addr,
        /// Length in bits, 96 at least for IPv4.
        len: u8,
    },
    /// Routes of which nothing is known may lead elsewhere.
    NextHopObject,
    /// The device went down, or has another Ethernet address.
    Device {
        /// The lowest device below it.
        ifindex: i32,
    },
    /// A device above this one no longer takes frames that were for its Ethernet address, and a
    /// flow does not say for which address its frames came. Or the MTU of a device changed, and
    /// nf_flowtable keeps the one that it found when the flow came.
    AllFlows {
        /// The lowest device below it.
        ifindex: i32,
    },
    /// A bridge no longer takes a VLAN at this port, or changes its tag.
    Vlan {
        /// The lowest device below the port.
        ifindex: i32,
        /// The VLAN.
        vid: u16,
    },
}

/// The path of one direction of a connection that is routed, as its flowtable has it. Addresses of
/// IPv4 are mapped to IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowPath {
    /// Destination address of packets that arrive.
    pub dst: Ipv6Addr,
    /// The source address they leave with.
    pub new_src: Ipv6Addr,
    /// The destination address they leave with.
    pub new_dst: Ipv6Addr,
    /// Ethernet address they are sent to.
    pub dmac: [u8; 6],
    /// The lowest device they leave by.
    pub ifindex: i32,
    /// The outermost VLAN they leave in.
    pub vlan: Option<u16>,
}
