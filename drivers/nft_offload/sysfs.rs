// SPDX-License-Identifier: GPL-2.0-only

//! `nft_offload/` in the directory of an engine's device in sysfs: the files that control the
//! engine, one value each. A locked-down kernel leaves them writable for root.

use crate::{
    device::Device,
    rust::sysfs::Attr, //
};

/// A file for the value of a policy's key.
macro_rules! policy {
    ($name:literal, $key:literal) => {
        Attr {
            name: $name,
            show: Some(|device, f| device.show_policy_value($key, f)),
            store: Some(|device, text| device.set_policy_value($key, text)),
        }
    };
}

/// The files of an engine.
pub(crate) const ATTRS: &[Attr<Device>] = &[
    Attr {
        name: c"engine",
        show: Some(|device, f| device.lock().engine.show_health(f)),
        store: None,
    },
    Attr {
        name: c"flush",
        show: None,
        store: Some(Device::flush),
    },
    Attr {
        name: c"pause",
        show: Some(|device, f| device.lock().engine.show_pause(f)),
        store: Some(Device::pause),
    },
    policy!(c"refuse_shaped", "refuse_shaped"),
    policy!(c"refuse_tc_filters", "refuse_tc_filters"),
    policy!(c"refuse_netdev_chains", "refuse_netdev_chains"),
    policy!(c"refuse_xdp", "refuse_xdp"),
    policy!(c"refuse_multi_vlan", "refuse_multi_vlan"),
    policy!(c"ipv4", "ipv4"),
    policy!(c"ipv6", "ipv6"),
    policy!(c"reserve", "reserve"),
];
