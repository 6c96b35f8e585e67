// SPDX-License-Identifier: GPL-2.0-only

//! Safe abstractions over the C interfaces that a flow offload driver needs and the `kernel`
//! crate does not have.
//!
//! This is the only place of the module with `unsafe` code, and the only one that knows which
//! kernel series it is built for. It knows nothing of any chip.
//!
//! Locks that the core holds around the calls made from here, outermost first:
//! `RTNL`, `tcf_block::cb_lock`, `flow_indr_block_lock`, `nf_flowtable::flow_block_lock`. A
//! driver's own locks nest inside all of them.

// Items of this tree are `pub` as they would be in the `kernel` crate, but the crate they are
// part of is the module.
#![allow(unreachable_pub)]

pub mod bh_lock;
mod bindings;
pub mod conntrack;
pub mod debugfs;
pub mod delayed_work;
pub mod dma;
pub mod dsa;
pub mod flow_block;
pub mod flow_offload;
pub mod flow_rule;
pub mod flowtable;
pub mod fwd_events;
pub mod mmio;
pub mod netdev;
pub mod netdev_walk;
pub mod packet_type;
pub mod params;
pub mod pci;
pub mod sysfs;
pub mod time;
pub mod trace;
