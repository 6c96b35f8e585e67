// SPDX-License-Identifier: GPL-2.0-only

//! nf_flowtable's tables and their flows.
//!
//! C header: [`include/net/netfilter/nf_flow_table.h`](srctree/include/net/netfilter/nf_flow_table.h)

use super::{
    bindings,
    conntrack::DirectionRef,
    netdev::Net, //
};
use core::{
    net::Ipv6Addr,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// The kernel's number of one rule: a direction of a connection, or a filter of tc.
///
/// After the DESTROY of the rule, or after the last device of its flowtable was unbound, another
/// rule may have the number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cookie(pub u64);

/// One direction of a connection that a flowtable has.
#[repr(transparent)]
pub struct Direction(bindings::nft_offload_direction);

/// The path that a flowtable has found for one direction of a connection. Addresses of IPv4 are
/// mapped to IPv6.
pub struct Path {
    /// Destination address of packets that arrive.
    pub dst: Ipv6Addr,
    /// The source address they leave with.
    pub new_src: Ipv6Addr,
    /// The destination address they leave with.
    pub new_dst: Ipv6Addr,
    /// Ethernet address they are sent to.
    pub dmac: [u8; 6],
    /// The lowest device they leave by.
    pub ifindex: i32,
    /// The outermost VLAN they leave in.
    pub vlan: Option<u16>,
}

impl Direction {
    /// The name of its rule.
    pub fn cookie(&self) -> Cookie {
        // CAST: `c_ulong` is at most 64 bits wide.
        Cookie(self.0.cookie as u64)
    }

    /// Interface index of the device at which its packets arrive, the lowest one.
    pub fn ingress_ifindex(&self) -> i32 {
        self.0.iif
    }

    /// Whether a command for its flow, in this direction or the other, waits for the drivers.
    pub fn is_pending(&self) -> bool {
        self.0.pending
    }

    /// Its path, where the flowtable keeps one. Where it keeps a route, it asks the neighbour
    /// table for each packet.
    pub fn path(&self) -> Option<Path> {
        let Self(raw) = self;
        if !raw.has_path {
            return None;
        }
        let [outermost, ..] = &raw.encap;
        let is_pppoe = u32::from(u16::from_be(outermost.proto)) == bindings::ETH_P_PPP_SES;
        Some(Path {
            dst: raw.dst.into(),
            new_src: raw.new_src.into(),
            new_dst: raw.new_dst.into(),
            dmac: raw.dmac,
            ifindex: raw.ifindex,
            vlan: (raw.encaps > 0 && !is_pppoe).then_some(outermost.id),
        })
    }

    /// Whether the kernel would choose the same path in `net` now, as far as it can say without a
    /// packet. Where routing rules may look at more than addresses it says no.
    pub fn is_current(&self, net: &Net) -> bool {
        // SAFETY: Both live for the call. Only the predicate of [`FlowTable::end_flows`] gets
        // directions, which is called within an RCU read-side critical section.
        unsafe { bindings::nft_offload_helper_path_is_current(net.as_raw(), &self.0) }
    }
}

/// A flowtable (`struct nf_flowtable`) that a device is being bound to.
///
/// # Invariants
///
/// The flowtable lives as long as the reference.
#[repr(transparent)]
pub struct FlowTable(Opaque<bindings::nf_flowtable>);

/// Tells flowtables apart while they exist. Not a reference: it keeps nothing alive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FlowTableId(usize);

impl FlowTableId {
    /// The id as a number, to be stored where this type is not known.
    pub fn to_usize(self) -> usize {
        self.0
    }
}

/// A walk over the flows of a flowtable, which ends some of them.
pub trait Walk {
    /// Whether a flow is to end, which has these directions. Must not sleep.
    fn ends(&mut self, original: &Direction, reply: &Direction) -> bool;

    /// Called after each step. May sleep. Returns whether to go on.
    fn step(&mut self) -> bool {
        true
    }
}

impl<F: FnMut(&Direction, &Direction) -> bool> Walk for F {
    fn ends(&mut self, original: &Direction, reply: &Direction) -> bool {
        self(original, reply)
    }
}

impl FlowTable {
    /// # Safety
    ///
    /// `ptr` must point to a flowtable that lives for `'a`.
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::nf_flowtable) -> &'a Self {
        // SAFETY: By the requirement of this function; `Self` is transparent over the C type.
        unsafe { &*ptr.cast::<Self>() }
    }

    /// The flowtable's identity. All devices of a flowtable share it.
    pub fn id(&self) -> FlowTableId {
        FlowTableId(self.0.get() as usize)
    }

    /// Whether the ruleset asks for counters now (`counter`, `NF_FLOWTABLE_COUNTER`). A later
    /// ruleset may change that.
    pub fn has_counter(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::nft_offload_helper_flowtable_counter(self.0.get()) }
    }

    /// Ends the flows that `walk` says, in steps of at most `most`. It gets flows that end already,
    /// too, as the driver may still have them. Returns whether it got all flows.
    ///
    /// The next packets of these flows pass the ruleset. The drivers get DESTROY within a second or
    /// two, as when a flow ends by itself.
    pub fn end_flows(&self, most: u32, mut walk: &mut dyn Walk) -> bool {
        /// # Safety
        ///
        /// `arg` must point to a `&mut dyn Walk` that nobody else uses, `original` and `reply` to
        /// what their type says.
        unsafe extern "C" fn ends(
            arg: *mut c_void,
            original: *const bindings::nft_offload_direction,
            reply: *const bindings::nft_offload_direction,
        ) -> bool {
            // SAFETY: By the requirement of this function; `Direction` is transparent.
            let (walk, original, reply) = unsafe {
                (
                    &mut *arg.cast::<&mut dyn Walk>(),
                    &*original.cast::<Direction>(),
                    &*reply.cast::<Direction>(),
                )
            };
            walk.ends(original, reply)
        }

        /// # Safety
        ///
        /// `arg` must point to a `&mut dyn Walk` that nobody else uses.
        unsafe extern "C" fn step(arg: *mut c_void) -> bool {
            // SAFETY: By the requirement of this function.
            unsafe { (*arg.cast::<&mut dyn Walk>()).step() }
        }

        let arg = core::ptr::from_mut(&mut walk).cast();
        // SAFETY: The flowtable lives by the type invariant, and the functions are called back
        // with this very `arg`, one at a time, before the call returns.
        unsafe {
            bindings::nft_offload_helper_flowtable_end(
                self.0.get(),
                most,
                Some(ends),
                Some(step),
                arg,
            )
        }
    }

    /// The namespace the flowtable is in, which outlives it.
    pub fn net(&self) -> &Net {
        // SAFETY: By the type invariant, and a flowtable is gone before its namespace is.
        unsafe { Net::from_raw(bindings::nft_offload_helper_flowtable_net(self.0.get())) }
    }
}

/// Has nf_flowtable end all flows of all flowtables whose lowest device on either side is `ifindex`
/// of `net`. nf_flowtable does this itself when that device goes down.
///
/// Returns when the drivers have got DESTROY for them. A flow that is offered meanwhile ends within
/// a second. The caller must hold no lock that a driver's functions take; it may hold `RTNL`.
pub fn end_flows(net: &Net, ifindex: i32) {
    // SAFETY: `net` lives for the call.
    unsafe { bindings::nft_offload_helper_flowtable_cleanup(net.as_raw(), ifindex) };
}

/// One direction of a flow that a flowtable has, while a command for it runs.
///
/// # Invariants
///
/// It is the tuple of a flow that lives as long as the reference.
#[repr(transparent)]
pub struct LiveFlow(Opaque<bindings::flow_offload_tuple>);

impl LiveFlow {
    /// # Safety
    ///
    /// `cookie` must be the cookie of a command of nf_flowtable, which is the address of one of
    /// the tuples of a flow, and the command must run for `'a`: the core does not end a flow with
    /// a command that is pending.
    pub(super) unsafe fn from_cookie<'a>(cookie: c_ulong) -> &'a Self {
        // CAST: It is an address.
        // SAFETY: By the requirement of this function; `Self` is transparent over the C type.
        unsafe { &*(cookie as *const Self) }
    }

    /// The name of its rule.
    pub fn cookie(&self) -> Cookie {
        Cookie(self.0.get() as u64)
    }

    /// The direction of a connection that it is.
    #[inline]
    pub fn connection(&self) -> Option<DirectionRef<'_>> {
        let mut direction = 0u8;
        // SAFETY: By the type invariant.
        let ct = unsafe { bindings::nft_offload_helper_flow_ct(self.0.get(), &mut direction) };
        // SAFETY: A flow has a reference to its connection.
        Some(unsafe { DirectionRef::from_raw(NonNull::new(ct)?, direction) })
    }

    /// The largest packet that its route takes, in bytes from the IP header on; 0 if that is not
    /// known.
    #[inline]
    pub fn mtu(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::nft_offload_helper_flow_mtu(self.0.get()) }
    }

    /// Says that hardware has sent packets of it: the kernel then keeps the neighbour to which
    /// they go, and asks whether it is still there, as if software had sent them.
    #[inline]
    pub fn use_neighbour(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::nft_offload_helper_flow_use_neigh(self.0.get()) };
    }
}
