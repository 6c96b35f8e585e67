// SPDX-License-Identifier: GPL-2.0-only

//! Events by which packets may take another path than before: of neighbours, FDB entries, routes
//! and devices.
//!
//! C headers: [`include/net/netevent.h`](srctree/include/net/netevent.h),
//! [`include/net/switchdev.h`](srctree/include/net/switchdev.h),
//! [`include/net/fib_notifier.h`](srctree/include/net/fib_notifier.h)

use super::{
    bindings,
    netdev::{
        Net,
        NetId, //
    }, //
};
use core::net::Ipv6Addr;
use kernel::{
    error::to_result,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// An event in a namespace. Addresses of IPv4 are mapped to IPv6.
#[derive(Clone, Copy)]
pub enum FwdEvent {
    /// The neighbour `addr` at the device `ifindex` has the Ethernet address `mac`.
    Neighbour {
        /// The device that has the neighbour.
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
    /// A nexthop object is about to lead elsewhere. Which routes use it is not known.
    NextHopObject,
    /// The device, or one above it, went down or has another Ethernet address. There is an event
    /// for each device below.
    Device {
        /// The interface.
        ifindex: i32,
    },
    /// All flows that come or leave by the device are wrong: a device above it no longer takes
    /// frames for an Ethernet address of its own, or its MTU, or that of one above, changed.
    AllFlows {
        /// The interface.
        ifindex: i32,
    },
    /// A bridge removes a VLAN from its port at this device, or changes its tag.
    Vlan {
        /// The interface.
        ifindex: i32,
        /// The VLAN.
        vid: u16,
    },
}

impl FwdEvent {
    fn from_raw(raw: &bindings::nft_offload_fwd_event) -> Option<Self> {
        let (ifindex, mac, addr) = (raw.ifindex, raw.mac, raw.addr.into());
        Some(match raw.kind {
            bindings::NFT_OFFLOAD_FWD_NEIGHBOUR => Self::Neighbour { ifindex, addr, mac },
            bindings::NFT_OFFLOAD_FWD_FDB => Self::FdbEntry { mac },
            bindings::NFT_OFFLOAD_FWD_ROUTE => Self::Route { addr, len: raw.len },
            bindings::NFT_OFFLOAD_FWD_NEXTHOP => Self::NextHopObject,
            bindings::NFT_OFFLOAD_FWD_DEVICE => Self::Device { ifindex },
            bindings::NFT_OFFLOAD_FWD_ALL => Self::AllFlows { ifindex },
            bindings::NFT_OFFLOAD_FWD_VLAN => Self::Vlan {
                ifindex,
                vid: raw.vid,
            },
            _ => return None,
        })
    }
}

/// Has the events of a namespace told, and at once those of each neighbour that is there. To be
/// undone by [`unwatch()`], once for each call and before the namespace goes. [`Sources`] must
/// exist; the events of other namespaces cost nearly nothing.
pub fn watch(net: &Net) {
    // SAFETY: The namespace lives for the call, and the notifiers are registered: whoever calls
    // this is part of the module, whose registrations all end before `Sources` does.
    unsafe { bindings::nft_offload_helper_fwd_events_watch(net.as_raw()) };
}

/// Undoes one [`watch()`].
pub fn unwatch(net: &Net) {
    // SAFETY: As above.
    unsafe { bindings::nft_offload_helper_fwd_events_unwatch(net.as_raw()) };
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

/// Waits until the kernel has made all changes of which events were told, and no packet is under
/// way any more that looked its path up before. The kernel tells of new routes, rules and nexthops
/// first, and makes the change then.
///
/// Sleeps, and takes `RTNL`: nobody who holds that may wait for the caller.
pub fn synchronize() {
    // SAFETY: No requirements but a context that may sleep without `RTNL`, as documented; at worst
    // the call does not return.
    unsafe { bindings::nft_offload_helper_fwd_events_synchronize() };
}

/// Someone who hears events.
pub trait FwdListener: Send + Sync + 'static {
    /// Called for each event of a watched namespace, in atomic context (process or softirq), on
    /// all processors at once. Must not sleep.
    fn on_event(&self, net: NetId, event: &FwdEvent);
}

/// A registered listener.
///
/// # Invariants
///
/// `nb` is registered from the end of initialisation to the drop, and does not move.
#[pin_data(PinnedDrop)]
pub struct Registration<T: FwdListener> {
    #[pin]
    nb: Opaque<bindings::notifier_block>,
    listener: Arc<T>,
}

// SAFETY: The chain synchronises registration and calls; `T` is `Send + Sync`.
unsafe impl<T: FwdListener> Send for Registration<T> {}
// SAFETY: As above; there is nothing to be done with a shared reference.
unsafe impl<T: FwdListener> Sync for Registration<T> {}

impl<T: FwdListener> Registration<T> {
    /// Registers `listener`.
    pub fn new(listener: Arc<T>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            listener,
            nb <- Opaque::try_ffi_init(move |nb: *mut bindings::notifier_block| {
                let value = bindings::notifier_block {
                    notifier_call: Some(Self::notifier_call),
                    next: core::ptr::null_mut(),
                    priority: 0,
                };
                // SAFETY: `nb` is valid for writing, and pinned, so the chain may link it.
                // `listener` was initialised before, so calls find it.
                unsafe {
                    nb.write(value);
                    to_result(bindings::nft_offload_helper_fwd_events_register(nb))
                }
            }),
        })
    }

    /// # Safety
    ///
    /// Called by the chain of events only, for the `nb` of a registered `Self`.
    unsafe extern "C" fn notifier_call(
        nb: *mut bindings::notifier_block,
        _action: usize,
        data: *mut c_void,
    ) -> c_int {
        // SAFETY: What the chain tells is one event, which lives for the call.
        let raw = unsafe { &*data.cast::<bindings::nft_offload_fwd_event>() };
        if let Some(event) = FwdEvent::from_raw(raw) {
            // SAFETY: `nb` is the field of a `Self` by the type invariant.
            let this = unsafe { kernel::container_of!(Opaque::cast_from(nb), Self, nb) };
            // SAFETY: `this` is registered, hence alive; only `listener` is looked at, which was
            // initialised before `nb`.
            let listener = unsafe { &*core::ptr::addr_of!((*this).listener) };
            listener.on_event(NetId::of(raw.net), &event);
        }
        // NOTIFY_DONE.
        0
    }
}

#[pinned_drop]
impl<T: FwdListener> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: `nb` is registered by the type invariant. The call waits for those who are
        // being told.
        unsafe { bindings::nft_offload_helper_fwd_events_unregister(self.nb.get()) };
    }
}
