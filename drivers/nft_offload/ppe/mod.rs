// SPDX-License-Identifier: GPL-2.0-only

//! The pure core of nft_offload: what a flow is, which flows a packet processing
//! engine (PPE) takes, how an entry of its table looks, and which flow has which
//! slot.
//!
//! ```text
//! Match, Action --RuleParser--> Flow --admit--> Flow or Reject --Format--> Entry --Table--> Hw
//! ```
//!
//! Nothing here knows the kernel: slices and plain values go in, values come out.
//! Only `core` is used, nothing is allocated, nothing panics, nothing is `unsafe`.
//! So the same sources compile as `mod ppe;` of the kernel module and, by cargo, as
//! a library whose tests run on the host.
//!
//! Refer to siblings by `super::`: `crate::` is another crate in each of the two
//! builds.

#![cfg_attr(not(MODULE), no_std)]
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]
// In the kernel's build this is a private module of the root crate, so that no `pub`
// is reachable and what only the host uses is dead there. In the host's build it is
// the crate itself.
#![allow(unreachable_pub)]
#![cfg_attr(MODULE, allow(dead_code))]

pub mod account;
pub mod audit;
pub mod bits;
pub mod block;
pub mod caps;
pub mod chip;
pub mod control;
pub mod count;
pub mod engine;
pub mod flow;
pub mod flow_rule;
pub mod format;
pub mod hash;
pub mod health;
pub mod hw;
pub mod l2;
pub mod list;
pub mod mapped;
pub mod netdev;
pub mod obstacle;
pub mod platform;
pub mod policy;
pub mod ports;
pub mod reject;
pub mod reject_log;
pub mod revalidate;
pub mod show;
pub mod spec;
pub mod table;

#[cfg(any(test, feature = "testing"))]
#[macro_use]
extern crate std;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[cfg(test)]
mod tests;
