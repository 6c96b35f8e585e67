// SPDX-License-Identifier: GPL-2.0-only

//! The module's directory in debugfs, which outlives the devices that have one of their own in it.

use kernel::{
    debugfs::Dir,
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full,
        Release, //
    }, //
};

kernel::sync::global_lock! {
    // SAFETY: `Root::new()` initialises it, and `dir()` does not look at it before that.
    unsafe(uninit) static ROOT: Mutex<Option<Dir>> = None;
}

/// Whether `ROOT` is: not initialised (0), being initialised (1), usable (2).
static STATE: Atomic<u32> = Atomic::new(0);

/// Keeps the directory. Made once, when the module is loaded; dropping it removes the directory.
pub struct Root(());

impl Root {
    /// Makes the directory, or fails with [`EBUSY`] if that was done before.
    pub fn new(name: &CStr) -> Result<Self> {
        if STATE.cmpxchg(0, 1, Full).is_err() {
            return Err(EBUSY);
        }
        // SAFETY: Only the first caller comes here, and nobody uses `ROOT` until `STATE` says so.
        unsafe { ROOT.init() };
        *ROOT.lock() = Some(Dir::new(name));
        STATE.store(2, Release);
        Ok(Self(()))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        *ROOT.lock() = None;
    }
}

/// The directory, or `None` before it was made and after it was removed.
pub fn dir() -> Option<Dir> {
    if STATE.load(Acquire) != 2 {
        return None;
    }
    ROOT.lock().clone()
}
