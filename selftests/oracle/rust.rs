// SPDX-License-Identifier: GPL-2.0-only

//! As much of the module's abstractions as its parser and chips need.

// The module uses more of them than is needed here.
#![allow(dead_code, unreachable_pub)]

#[path = "../../rust/bindings.rs"]
mod bindings;
#[path = "../../rust/flow_rule.rs"]
pub(crate) mod flow_rule;
#[path = "../../rust/netdev.rs"]
pub(crate) mod netdev;
#[path = "../../rust/time.rs"]
pub(crate) mod time;
#[path = "../../rust/trace.rs"]
pub(crate) mod trace;
