// SPDX-License-Identifier: GPL-2.0-only

//! The two clocks of flow offload: a monotonic one, and jiffies, in which the core wants the time
//! a flow was last used.

use super::bindings;

/// Monotonic time in milliseconds, as fine as jiffies are.
pub fn now_ms() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::nft_offload_helper_now_ms() }
}

/// The value that the 64-bit jiffies counter had `ms` milliseconds ago.
pub fn jiffies_ago(ms: u64) -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::nft_offload_helper_jiffies_ago(ms) }
}
