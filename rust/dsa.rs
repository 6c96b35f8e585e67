// SPDX-License-Identifier: GPL-2.0-only

//! Ports of Ethernet switches as network devices of their own (DSA user ports).
//!
//! Nothing of `dsa_core` is called, so that a module which uses this does not load it.
//!
//! C header: [`include/net/dsa.h`](srctree/include/net/dsa.h)

use super::{
    bindings,
    netdev::{
        NetDevice,
        NetId,
        Rtnl, //
    }, //
};
use core::ptr;

/// The number of the protocol of MediaTek's switches (`DSA_TAG_PROTO_MTK`).
// CAST: Checked below.
pub const TAG_MTK: u8 = bindings::DSA_TAG_PROTO_MTK as u8;
const _: () = assert!(bindings::DSA_TAG_PROTO_MTK <= 0xff);

/// A user port: to which switch port its frames go, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UserPort {
    /// Interface index of the conduit, the device by which the CPU reaches the switch.
    pub conduit: i32,
    /// The namespace of the conduit.
    pub net: NetId,
    /// The switch's number of the port. [`u8::MAX`] if no tag on the conduit can name the port, as
    /// with a further switch in a cascade.
    pub number: u8,
    /// The protocol of the tags on the conduit (`DSA_TAG_PROTO_*`). [`u8::MAX`] if the number is
    /// larger than a `u8`.
    pub tag: u8,
}

impl UserPort {
    /// The user port that `dev` is: `None` if it is none, or is not linked to a conduit (yet).
    ///
    /// DSA registers and links user ports before it tells the conduit. So ask again when the port
    /// comes up.
    pub fn of(dev: &NetDevice, _rtnl: &Rtnl) -> Option<Self> {
        let mut raw = bindings::nft_offload_dsa_user_port {
            conduit: ptr::null_mut(),
            index: 0,
            tag: 0,
        };
        // SAFETY: `dev` lives by its type invariant, `RTNL` is held by that of `_rtnl`, and `raw`
        // can be written to.
        if !unsafe { bindings::nft_offload_helper_dsa_user_port(dev.as_raw(), &mut raw) } {
            return None;
        }
        // SAFETY: A user port is linked to its conduit, which thus lives as long as `RTNL` is held.
        let conduit = unsafe { NetDevice::from_raw(raw.conduit) };
        Some(Self {
            conduit: conduit.ifindex(),
            net: conduit.net().id(),
            number: u8::try_from(raw.index).unwrap_or(u8::MAX),
            tag: u8::try_from(raw.tag).unwrap_or(u8::MAX),
        })
    }
}

/// Whether `dev` is a user port, linked to a conduit or not.
pub fn is_user_port(dev: &NetDevice) -> bool {
    // SAFETY: `dev` lives by its type invariant.
    unsafe { bindings::nft_offload_helper_is_dsa_user(dev.as_raw()) }
}
