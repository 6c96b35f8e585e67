// SPDX-License-Identifier: GPL-2.0-only

//! Offload of nf_flowtable's flows, and of tc's rules for bridged frames, to the packet processing
//! engines of router chips.
//!
//! ```text
//! rust/        abstractions over the C interfaces, the only home of `unsafe`
//! ppe/         everything that decides; does not know the kernel
//! platform     what ppe/ asks of the kernel
//! pci          the emulated board             -> registers, ports, chip
//! probe        puts an engine together, and takes it apart in order
//! device       the lock around an engine
//! offload      what nf_flowtable and tc ask of an engine
//! translate    a flow rule in the terms of ppe/
//! events       devices, neighbours and routes in the terms of ppe/
//! works        what is done later
//! revalidate   walks over the flows after a change of paths
//! l2_tap       frames at ports with rules of tc
//! path_scan    what stands in the way of paths
//! control      what users write
//! debugfs      the files
//! trace        what happens, as tracepoints
//! ```

use kernel::{
    driver,
    prelude::*,
    InPlaceModule, //
};

mod control;
mod debugfs;
mod device;
mod events;
mod l2_tap;
mod offload;
mod path_scan;
mod pci;
mod platform;
mod ppe;
mod probe;
mod revalidate;
#[path = "../../rust/lib.rs"]
mod rust;
mod sysfs;
mod trace;
mod translate;
mod works;

/// The field `version` of the module's file, for which the macro `module!` has no key.
#[link_section = ".modinfo"]
#[used]
static MODINFO_VERSION: [u8; MODINFO_VERSION_LEN] = modinfo_version();

const MODINFO_VERSION_KEY: &str = "version=";
const MODINFO_VERSION_LEN: usize = MODINFO_VERSION_KEY.len() + debugfs::VERSION.len() + 1;

/// "version=", [`debugfs::VERSION`] and a zero.
const fn modinfo_version() -> [u8; MODINFO_VERSION_LEN] {
    let (key, value) = (MODINFO_VERSION_KEY.as_bytes(), debugfs::VERSION.as_bytes());
    let mut text = [0; MODINFO_VERSION_LEN];
    let mut i = 0;
    while i < MODINFO_VERSION_LEN - 1 {
        text[i] = if i < key.len() {
            key[i]
        } else {
            value[i - key.len()]
        };
        i += 1;
    }
    text
}

#[pin_data]
struct NftOffload {
    // Dropped in this order: no engine is left when their directory goes and nobody tells of
    // changes any more.
    #[pin]
    pci: driver::Registration<pci::Adapter>,
    sources: rust::fwd_events::Sources,
    root: rust::debugfs::Root,
}

impl InPlaceModule for NftOffload {
    fn init(module: &'static kernel::ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            root: rust::debugfs::Root::new(<LocalModule as kernel::ModuleMetadata>::NAME)?,
            sources: rust::fwd_events::Sources::new()?,
            pci <- driver::Registration::new(
                <LocalModule as kernel::ModuleMetadata>::NAME,
                module,
            ),
        })
    }
}

module! {
    type: NftOffload,
    name: "nft_offload",
    authors: ["The nft_offload developers"],
    description: "nf_flowtable hardware offload to packet processing engines",
    license: "GPL v2",
    params: {
        // No booleans: the macro of 7.2 has none.
        refuse_shaped: u8 {
            default: 1,
            description: "Leave flows to software that leave by a device with a shaping qdisc (default: 1)",
        },
        refuse_tc_filters: u8 {
            default: 1,
            description: "Leave flows to software that pass a device with filters of tc (default: 1)",
        },
        refuse_netdev_chains: u8 {
            default: 1,
            description: "Leave flows to software that pass a device with rules of nft at ingress or egress (default: 1)",
        },
        refuse_xdp: u8 {
            default: 1,
            description: "Leave flows to software that arrive by a device with an XDP program (default: 1)",
        },
        refuse_multi_vlan: u8 {
            default: 0,
            description: "Leave flows to software that arrive at a port with several VLANs (default: 0)",
        },
        ipv4: u8 {
            default: 1,
            description: "Offload IPv4 (default: 1)",
        },
        ipv6: u8 {
            default: 1,
            description: "Offload IPv6 (default: 1)",
        },
        reserve: u32 {
            default: 0,
            description: "Entries of each engine that stay free (default: 0)",
        },
    },
}
