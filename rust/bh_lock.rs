// SPDX-License-Identifier: GPL-2.0-only

//! Data that is shared with the path of packets.

use super::bindings;
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    sync::{
        LockClassKey,
        SpinLock, //
    }, //
};

/// No softirq runs on this processor while this exists.
struct Disabled(PhantomData<*mut ()>);

impl Disabled {
    fn new() -> Self {
        // SAFETY: May be nested, and is undone by the drop.
        unsafe { bindings::nft_offload_helper_bh_disable() };
        Self(PhantomData)
    }
}

impl Drop for Disabled {
    fn drop(&mut self) {
        // SAFETY: Undoes what `new()` did, on the same processor: this is not `Send`, and a task
        // does not migrate meanwhile.
        unsafe { bindings::nft_offload_helper_bh_enable() };
    }
}

/// A value behind a spin lock that softirqs may take.
#[pin_data]
pub struct BhLock<T> {
    #[pin]
    lock: SpinLock<T>,
}

impl<T: Unpin> BhLock<T> {
    /// A lock around `value`. [`new_bh_lock!`] gives the rest.
    pub fn new(
        value: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            lock <- SpinLock::new(value, name, key),
        })
    }

    /// Runs `f`, which must not sleep, with the value. From any context but hard interrupts.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let _disabled = Disabled::new();
        // A variable, since a temporary would be dropped after `_disabled`.
        let mut value = self.lock.lock();
        f(&mut value)
    }
}

/// A [`BhLock`] around a value, with a lock class of its own.
macro_rules! new_bh_lock {
    ($value:expr, $name:expr) => {
        $crate::rust::bh_lock::BhLock::new($value, $name, kernel::static_lock_class!())
    };
}

pub(crate) use new_bh_lock;
