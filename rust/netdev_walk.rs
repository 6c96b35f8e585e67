// SPDX-License-Identifier: GPL-2.0-only

//! Devices on top of others, and what they do to packets: queueing disciplines and filters.
//!
//! All of this is read under RCU, since nobody is told when a qdisc comes or goes. What is read
//! may have changed a moment later.
//!
//! C headers: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h),
//! [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h)

use super::{
    bindings,
    netdev::{
        Name,
        Net,
        NetDevice, //
    }, //
};
use core::{
    marker::PhantomData,
    net::IpAddr,
    ptr, //
};
use kernel::{
    prelude::*,
    str::CStr,
    sync::rcu::Guard, //
};

impl Net {
    /// The devices of the namespace.
    pub fn devices<'a>(&'a self, _rcu: &'a Guard) -> Devices<'a> {
        Devices {
            net: self,
            // INVARIANT: There was none yet.
            last: ptr::null_mut(),
        }
    }
}

impl Net {
    /// Whether routes depend on rules (`ip rule`) besides the kernel's own.
    #[inline]
    pub fn has_routing_rules(&self) -> bool {
        // SAFETY: The namespace lives.
        unsafe { bindings::nft_offload_helper_has_routing_rules(self.as_raw()) }
    }

    /// Whether `addr` is a neighbour at the device `ifindex`, or at one above it, with another
    /// Ethernet address than `mac`.
    pub fn is_other_neighbour(&self, ifindex: i32, addr: IpAddr, mac: &[u8; 6]) -> bool {
        let mut bytes = [0; 16];
        let octets: &[u8] = match &addr {
            IpAddr::V4(addr) => &addr.octets(),
            IpAddr::V6(addr) => &addr.octets(),
        };
        for (to, from) in bytes.iter_mut().zip(octets) {
            *to = *from;
        }
        // SAFETY: The namespace lives; of `bytes` as much is read as an address of the family has,
        // and of `mac` what an Ethernet address has.
        unsafe {
            bindings::nft_offload_helper_other_neighbour(
                self.as_raw(),
                ifindex,
                addr.is_ipv6(),
                bytes.as_ptr().cast(),
                mac.as_ptr(),
            )
        }
    }
}

/// The devices of a namespace.
///
/// # Invariants
///
/// RCU is held for `'a`. `last` is null or a device of `net` that was listed meanwhile.
pub struct Devices<'a> {
    net: &'a Net,
    last: *mut bindings::net_device,
}

impl<'a> Iterator for Devices<'a> {
    type Item = &'a NetDevice;

    fn next(&mut self) -> Option<&'a NetDevice> {
        // SAFETY: `net` lives, RCU is held, and `last` is as it has to be by the type invariant.
        self.last = unsafe { bindings::nft_offload_helper_next_dev(self.net.as_raw(), self.last) };
        // SAFETY: A device that was listed lives as long as RCU is held, which is for `'a`.
        (!self.last.is_null()).then(|| unsafe { NetDevice::from_raw(self.last) })
    }
}

/// The devices on which another one is stacked, such as the ports of a bridge.
///
/// # Invariants
///
/// RCU is held for `'a`. `iter` is null or was left by the last call for `dev`.
pub struct Lower<'a> {
    dev: &'a NetDevice,
    iter: *mut bindings::list_head,
    rcu: PhantomData<&'a Guard>,
}

impl<'a> Iterator for Lower<'a> {
    type Item = &'a NetDevice;

    fn next(&mut self) -> Option<&'a NetDevice> {
        // SAFETY: `dev` lives, RCU is held, and `iter` is as it has to be by the type invariant.
        let lower =
            unsafe { bindings::nft_offload_helper_next_lower(self.dev.as_raw(), &mut self.iter) };
        // SAFETY: A device that was linked lives as long as RCU is held, which is for `'a`.
        (!lower.is_null()).then(|| unsafe { NetDevice::from_raw(lower) })
    }
}

impl NetDevice {
    /// The devices that this one is linked to as the upper one. A PPP device is linked to none.
    pub fn lower<'a>(&'a self, _rcu: &'a Guard) -> Lower<'a> {
        Lower {
            dev: self,
            // INVARIANT: There was no call yet.
            iter: ptr::null_mut(),
            rcu: PhantomData,
        }
    }

    /// The VLAN ID of a VLAN device, of whatever protocol.
    pub fn vlan_id(&self) -> Option<u16> {
        // SAFETY: By the type invariant.
        let id = unsafe { bindings::nft_offload_helper_dev_vlan(self.as_raw()) };
        u16::try_from(id).ok()
    }

    /// The session of a PPPoE device, and the device by which it goes.
    pub fn pppoe<'a>(&'a self, _rcu: &'a Guard) -> Option<(u16, &'a Self)> {
        let mut session = 0;
        // SAFETY: The device lives by the type invariant, and RCU is held.
        let lower = unsafe { bindings::nft_offload_helper_dev_pppoe(self.as_raw(), &mut session) };
        // SAFETY: The device of a session lives as long as RCU is held, which is for `'a`: the
        // session gives it back before it is taken off the list.
        (!lower.is_null()).then(|| (session, unsafe { Self::from_raw(lower) }))
    }

    /// Whether this is an intermediate functional block (IFB): what is redirected to it for the
    /// sake of its qdisc goes on where it came from.
    pub fn is_ifb(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::nft_offload_helper_dev_is_ifb(self.as_raw()) }
    }

    /// Whether tc has filters for what the device receives.
    pub fn has_ingress_filters(&self, _rcu: &Guard) -> bool {
        // SAFETY: The device lives by the type invariant, and RCU is held.
        unsafe { bindings::nft_offload_helper_dev_ingress_filters(self.as_raw()) }
    }

    /// Whether tc has filters or programs for what the device receives, or with `egress` for what
    /// it sends, that are not in hardware.
    pub fn has_tc_filters(&self, egress: bool, _rcu: &Guard) -> bool {
        // SAFETY: The device lives by the type invariant, and RCU is held.
        unsafe { bindings::nft_offload_helper_dev_tc_filters(self.as_raw(), egress) }
    }

    /// Whether nf_tables has chains with rules for what the device receives, or with `egress` for
    /// what it sends.
    pub fn has_nft_chains(&self, egress: bool, _rcu: &Guard) -> bool {
        // SAFETY: The device lives by the type invariant, and RCU is held.
        unsafe { bindings::nft_offload_helper_dev_nft_chains(self.as_raw(), egress) }
    }

    /// Whether an XDP program sees what the device receives.
    pub fn has_xdp(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::nft_offload_helper_dev_xdp(self.as_raw()) }
    }

    /// Whether the router has an address at the device other than a link-local one.
    pub fn has_address(&self, _rcu: &Guard) -> bool {
        // SAFETY: The device lives by the type invariant, and RCU is held.
        unsafe { bindings::nft_offload_helper_dev_has_address(self.as_raw()) }
    }

    /// Whether this is a VLAN device that sets the priority of some tags.
    pub fn has_egress_qos_map(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::nft_offload_helper_dev_egress_qos_map(self.as_raw()) }
    }

    /// The kind of a qdisc of this device that is one of those wanted, wherever in the tree.
    pub fn find_qdisc(&self, is_wanted: fn(&[u8]) -> bool, _rcu: &Guard) -> Option<Name> {
        /// # Safety
        ///
        /// `ctx` points to an `is_wanted`, and `kind` to a string.
        unsafe extern "C" fn call(ctx: *mut c_void, kind: *const c_char) -> bool {
            // SAFETY: By the requirements of this function.
            let (is_wanted, kind) =
                unsafe { (*ctx.cast::<fn(&[u8]) -> bool>(), CStr::from_char_ptr(kind)) };
            is_wanted(kind.to_bytes())
        }

        let ctx = ptr::from_ref(&is_wanted).cast_mut().cast::<c_void>();
        // SAFETY: The device lives by the type invariant, RCU is held, and `ctx` is what `call()`
        // wants as long as the call lasts.
        let kind =
            unsafe { bindings::nft_offload_helper_dev_find_qdisc(self.as_raw(), Some(call), ctx) };
        // SAFETY: The string is in the ops of a qdisc that was found under RCU, which is held;
        // they are not freed meanwhile.
        (!kind.is_null()).then(|| Name::new(unsafe { CStr::from_char_ptr(kind) }))
    }
}
