// SPDX-License-Identifier: GPL-2.0-only

//! Changes by which packets find another way than before: of neighbours, of where a bridge has
//! seen a station, and of routes.
//!
//! C headers: [`include/net/netevent.h`](srctree/include/net/netevent.h),
//! [`include/net/switchdev.h`](srctree/include/net/switchdev.h),
//! [`include/net/fib_notifier.h`](srctree/include/net/fib_notifier.h)

use super::{
    bindings,
    netdev::NetId, //
};
use core::net::IpAddr;
use kernel::{
    error::to_result,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// What has changed.
#[derive(Clone, Copy)]
pub enum Change {
    /// The address is reached by the Ethernet address `mac` at the device `ifindex`.
    Neighbour {
        /// The interface; the real one below, if it is a VLAN device.
        ifindex: i32,
        /// The IP address.
        addr: IpAddr,
        /// The Ethernet address.
        mac: [u8; 6],
    },
    /// A bridge saw frames from `mac` come by its port `ifindex`.
    FdbEntry {
        /// The interface; the real one below, if it is a VLAN device.
        ifindex: i32,
        /// The Ethernet address.
        mac: [u8; 6],
    },
    /// Packets to the prefix may go another way. All packets of the family do if `len` is 0.
    Route {
        /// First address of the prefix.
        addr: IpAddr,
        /// Length in bits.
        len: u8,
    },
    /// A nexthop object is about to lead elsewhere, with routes of which nothing is known.
    NextHop,
}

/// A change in a namespace.
#[derive(Clone, Copy)]
pub struct Move {
    /// The namespace.
    pub net: NetId,
    /// What has changed there.
    pub change: Change,
}

/// An address as the helpers have it: of IPv4 the first four bytes.
pub(super) fn ip_addr(v6: bool, bytes: &[u8; 16]) -> Option<IpAddr> {
    Some(if v6 {
        IpAddr::from(*bytes)
    } else {
        IpAddr::from(*bytes.first_chunk::<4>()?)
    })
}

impl Move {
    fn from_raw(raw: &bindings::nft_offload_fwd_event) -> Option<Self> {
        let addr = ip_addr(raw.v6, &raw.addr)?;
        let change = match raw.kind {
            bindings::NFT_OFFLOAD_FWD_NEIGHBOUR => Change::Neighbour {
                ifindex: raw.ifindex,
                addr,
                mac: raw.mac,
            },
            bindings::NFT_OFFLOAD_FWD_FDB => Change::FdbEntry {
                ifindex: raw.ifindex,
                mac: raw.mac,
            },
            bindings::NFT_OFFLOAD_FWD_ROUTE => Change::Route { addr, len: raw.len },
            bindings::NFT_OFFLOAD_FWD_NEXTHOP => Change::NextHop,
            _ => return None,
        };
        Some(Self {
            net: NetId::of(raw.net),
            change,
        })
    }
}

/// The kernel's notifiers, for all [`Registration`]s there are.
///
/// # Invariants
///
/// They are registered as long as this exists.
pub struct Sources(());

impl Sources {
    /// Registers them. There must be one of these at a time.
    pub fn new() -> Result<Self> {
        // SAFETY: No requirements but to undo it once, which the drop does.
        to_result(unsafe { bindings::nft_offload_helper_fwd_events_start() })?;
        // INVARIANT: They are registered now.
        Ok(Self(()))
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::nft_offload_helper_fwd_events_stop() };
    }
}

/// Waits until all changes that were told of are in place, and no packet is under way any more
/// that looked for its way before. The kernel tells of new routes, rules and nexthops first, and
/// puts them in place then.
///
/// Sleeps, and takes `RTNL`: nobody who holds that may wait for the caller.
pub fn synchronize() {
    // SAFETY: No requirements but a context that may sleep without `RTNL`, as documented; at worst
    // the call does not return.
    unsafe { bindings::nft_offload_helper_fwd_events_synchronize() };
}

/// Someone who wants to know of changes.
pub trait Watch: Send + Sync + 'static {
    /// Called for each change in any namespace, in atomic context (process or softirq), on all
    /// processors at once. Must not sleep.
    fn moved(&self, what: &Move);
}

/// A registered watch. Registering tells it of every neighbour there is.
///
/// # Invariants
///
/// `nb` is registered from the end of initialisation to the drop, and does not move.
#[pin_data(PinnedDrop)]
pub struct Registration<T: Watch> {
    #[pin]
    nb: Opaque<bindings::notifier_block>,
    watch: Arc<T>,
}

// SAFETY: The chain synchronises registration and calls; `T` is `Send + Sync`.
unsafe impl<T: Watch> Send for Registration<T> {}
// SAFETY: As above; there is nothing to be done with a shared reference.
unsafe impl<T: Watch> Sync for Registration<T> {}

impl<T: Watch> Registration<T> {
    /// Registers `watch`.
    pub fn new(watch: Arc<T>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            watch,
            nb <- Opaque::try_ffi_init(move |nb: *mut bindings::notifier_block| {
                let value = bindings::notifier_block {
                    notifier_call: Some(Self::notifier_call),
                    next: core::ptr::null_mut(),
                    priority: 0,
                };
                // SAFETY: `nb` is valid for writing, and pinned, so the chain may link it.
                // `watch` was initialised before, so the calls made from within find it.
                unsafe {
                    nb.write(value);
                    to_result(bindings::nft_offload_helper_fwd_events_register(nb))
                }
            }),
        })
    }

    /// # Safety
    ///
    /// Called by the chain of changes only, or as it is by the registration.
    unsafe extern "C" fn notifier_call(
        nb: *mut bindings::notifier_block,
        _action: usize,
        data: *mut c_void,
    ) -> c_int {
        // SAFETY: What the chain tells is one change, which lives for the call.
        let raw = unsafe { &*data.cast::<bindings::nft_offload_fwd_event>() };
        if let Some(what) = Move::from_raw(raw) {
            // SAFETY: `nb` is the field of a `Self` by the type invariant.
            let this = unsafe { kernel::container_of!(Opaque::cast_from(nb), Self, nb) };
            // SAFETY: `this` is registered, hence alive; only `watch` is looked at, which was
            // initialised before `nb`.
            let watch = unsafe { &*core::ptr::addr_of!((*this).watch) };
            watch.moved(&what);
        }
        // NOTIFY_DONE.
        0
    }
}

#[pinned_drop]
impl<T: Watch> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: `nb` is registered by the type invariant. The call waits for those who are
        // being told.
        unsafe { bindings::nft_offload_helper_fwd_events_unregister(self.nb.get()) };
    }
}
