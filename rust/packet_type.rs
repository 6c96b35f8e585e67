// SPDX-License-Identifier: GPL-2.0-only

//! Looking at the frames that a device receives.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)
//!
//! A packet handler (`struct packet_type`) sees a frame before tc's ingress hook does. The
//! ingress hook of netfilter would be too late: tc runs before it and keeps what it redirects.

use super::{
    bindings,
    netdev::NetDevice, //
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// A frame that was received.
pub struct Frame(bindings::nft_offload_frame);

impl Frame {
    /// Source Ethernet address.
    pub fn source(&self) -> [u8; 6] {
        self.0.smac
    }

    /// Destination Ethernet address.
    pub fn destination(&self) -> [u8; 6] {
        self.0.dmac
    }

    /// The outer VLAN tag: its protocol (`ETH_P_8021Q`, …) and its control field, with the ID in
    /// bits 11:0.
    pub fn tag(&self) -> Option<(u16, u16)> {
        (self.0.tpid != 0).then_some((self.0.tpid, self.0.tci))
    }

    /// What follows the tag (`ETH_P_*`).
    pub fn protocol(&self) -> u16 {
        self.0.protocol
    }

    /// The first bytes of what follows: 54, or all if there are fewer.
    pub fn head(&self) -> &[u8] {
        self.0
            .head
            .get(..self.0.head_len.into())
            .unwrap_or(&self.0.head)
    }

    /// Packets on the wire that this is made of.
    pub fn packets(&self) -> u32 {
        self.0.packets.into()
    }
}

/// Someone who wants to look at frames.
pub trait Look: Send + Sync + 'static {
    /// Called for each frame, in softirq context, on all processors at once. Must not sleep.
    fn frame(&self, frame: &Frame);
}

/// A device whose received frames are looked at, as long as this exists.
///
/// # Invariants
///
/// `handler` is registered for `dev`, and this does not move. `dev` is held.
#[pin_data(PinnedDrop)]
pub struct Tap<T: Look> {
    #[pin]
    handler: Opaque<bindings::packet_type>,
    look: T,
    dev: NonNull<bindings::net_device>,
}

// SAFETY: The handler is only touched by the core, which synchronises for itself, and the device
// is held; `T` is `Send + Sync`.
unsafe impl<T: Look> Send for Tap<T> {}
// SAFETY: As above; there is nothing to be done with a shared reference.
unsafe impl<T: Look> Sync for Tap<T> {}

impl<T: Look> Tap<T> {
    /// Shows the frames that `device` receives to `look`.
    ///
    /// The device cannot go while this exists: drop it when the device is unregistered.
    pub fn new(device: &NetDevice, look: T) -> impl PinInit<Self> + use<'_, T> {
        pin_init!(Self {
            look,
            dev: {
                // SAFETY: The reference to the device is valid.
                unsafe { bindings::nft_offload_helper_dev_hold(device.as_raw()) };
                NonNull::from(device).cast()
            },
            handler <- Opaque::ffi_init(move |handler: *mut bindings::packet_type| {
                // CAST: The number of the protocol has 16 bits.
                let value = bindings::packet_type {
                    type_: (bindings::ETH_P_ALL as u16).to_be(),
                    // Those that leave would be copied for it.
                    ignore_outgoing: true,
                    dev: device.as_raw(),
                    func: Some(Self::handler_callback),
                    ..Default::default()
                };
                // SAFETY: `handler` is valid for writing, and pinned, so the core may link it.
                // `look` was initialised before, so frames that come from here on find it.
                unsafe {
                    handler.write(value);
                    bindings::dev_add_pack(handler);
                }
            }),
        })
    }

    /// # Safety
    ///
    /// Called by the core only, in softirq context, with the RCU read lock held.
    unsafe extern "C" fn handler_callback(
        skb: *mut bindings::sk_buff,
        _dev: *mut bindings::net_device,
        handler: *mut bindings::packet_type,
        _orig_dev: *mut bindings::net_device,
    ) -> c_int {
        let mut frame = Frame(Default::default());
        // SAFETY: The skb is alive, as a reference to it was handed over, and `frame` is valid for
        // writing.
        if unsafe { bindings::nft_offload_helper_frame(skb, &mut frame.0) } {
            // SAFETY: `handler` is the field of a `Self` by the type invariant.
            let this = unsafe { kernel::container_of!(Opaque::cast_from(handler), Self, handler) };
            // SAFETY: It is not freed before the drop, which waits for this call; only `look` is
            // looked at, which was initialised before `handler`.
            let look = unsafe { &*core::ptr::addr_of!((*this).look) };
            look.frame(&frame);
        }
        // SAFETY: The reference is ours to give back.
        unsafe { bindings::consume_skb(skb) };
        0
    }
}

#[pinned_drop]
impl<T: Look> PinnedDrop for Tap<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: `handler` is registered by the type invariant. The call returns when nobody
        // looks at it any more.
        unsafe { bindings::dev_remove_pack(self.handler.get()) };
        // SAFETY: By the type invariant the reference is ours to give back.
        unsafe { bindings::nft_offload_helper_dev_put(self.dev.as_ptr()) };
    }
}
