// SPDX-License-Identifier: GPL-2.0-only

//! Packet handlers: functions that see the frames that a device receives.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)
//!
//! A packet handler (`struct packet_type`) sees a frame before tc's ingress hook does. The
//! ingress hook of netfilter would be too late: tc runs before it and keeps what it redirects.

use super::{
    bindings,
    netdev::{
        NetDevice,
        NetDeviceRef, //
    }, //
};
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

    /// The protocol of what follows the tag (`ETH_P_*`).
    pub fn protocol(&self) -> u16 {
        self.0.protocol
    }

    /// What follows the tag: the first 54 bytes, or all if there are fewer.
    pub fn head(&self) -> &[u8] {
        self.0
            .head
            .get(..self.0.head_len.into())
            .unwrap_or(&self.0.head)
    }

    /// How many packets on the wire were joined to this one; at least 1.
    pub fn packets(&self) -> u32 {
        self.0.packets.into()
    }
}

/// What is done with frames.
pub trait PacketHandler: Send + Sync + 'static {
    /// Called for each frame, in softirq context, on all processors at once. Must not sleep.
    fn frame(&self, frame: &Frame);
}

/// A [`PacketHandler`] that is registered (`dev_add_pack()`).
///
/// # Invariants
///
/// `packet_type` is registered for `_dev` from the end of initialisation to the drop, and does not
/// move.
#[pin_data(PinnedDrop)]
pub struct Registration<T: PacketHandler> {
    #[pin]
    packet_type: Opaque<bindings::packet_type>,
    handler: T,
    _dev: NetDeviceRef,
}

// SAFETY: `packet_type` is only touched by the core, which synchronises for itself; `T` is
// `Send + Sync`.
unsafe impl<T: PacketHandler> Send for Registration<T> {}
// SAFETY: As above; there is nothing to be done with a shared reference.
unsafe impl<T: PacketHandler> Sync for Registration<T> {}

impl<T: PacketHandler> Registration<T> {
    /// Gives `handler` the frames that `device` receives.
    ///
    /// The device cannot go while this exists: drop it when the device is unregistered.
    pub fn new(device: &NetDevice, handler: T) -> impl PinInit<Self> + use<'_, T> {
        pin_init!(Self {
            handler,
            _dev: NetDeviceRef::new(device),
            packet_type <- Opaque::ffi_init(move |packet_type: *mut bindings::packet_type| {
                // CAST: The number of the protocol has 16 bits.
                let value = bindings::packet_type {
                    type_: (bindings::ETH_P_ALL as u16).to_be(),
                    // Those that leave would be copied for it.
                    ignore_outgoing: true,
                    dev: device.as_raw(),
                    func: Some(Self::packet_callback),
                    ..Default::default()
                };
                // SAFETY: `packet_type` is valid for writing, and pinned, so the core may link it.
                // `handler` was initialised before, so frames that come from here on find it.
                unsafe {
                    packet_type.write(value);
                    bindings::dev_add_pack(packet_type);
                }
            }),
        })
    }

    /// # Safety
    ///
    /// Called by the core only, in softirq context, with the RCU read lock held.
    unsafe extern "C" fn packet_callback(
        skb: *mut bindings::sk_buff,
        _dev: *mut bindings::net_device,
        packet_type: *mut bindings::packet_type,
        _orig_dev: *mut bindings::net_device,
    ) -> c_int {
        let mut frame = Frame(Default::default());
        // SAFETY: The skb is alive, as a reference to it was handed over, and `frame` is valid for
        // writing.
        if unsafe { bindings::nft_offload_helper_frame(skb, &mut frame.0) } {
            let packet_type = Opaque::cast_from(packet_type);
            // SAFETY: `packet_type` is the field of a `Self` by the type invariant.
            let this = unsafe { kernel::container_of!(packet_type, Self, packet_type) };
            // SAFETY: It is not freed before the drop, which waits for this call; `handler` was
            // initialised before `packet_type`.
            let handler = unsafe { &*core::ptr::addr_of!((*this).handler) };
            handler.frame(&frame);
        }
        // SAFETY: The reference is ours to give back.
        unsafe { bindings::consume_skb(skb) };
        0
    }
}

#[pinned_drop]
impl<T: PacketHandler> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: `packet_type` is registered by the type invariant. The call returns when no
        // frame finds it any more.
        unsafe { bindings::dev_remove_pack(self.packet_type.get()) };
    }
}
