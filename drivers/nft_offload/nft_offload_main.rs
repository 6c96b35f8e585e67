// SPDX-License-Identifier: GPL-2.0-only

//! Offload of nf_flowtable's flows, and of tc's rules for bridged frames, to the packet processing
//! engines of router chips.
//!
//! ```text
//! rust/       abstractions over the C interfaces, the only home of `unsafe`
//! bus/        how an engine is found                       -> registers, ports, chip
//! ppe/        chips, flows, refusals, table formats and policy; does not know the kernel
//! platform    what ppe/ asks of the kernel
//! engine      one engine: its ports, its flows, the flowtables that brought them
//! bridge      rules for bridged frames, and the connections they are for
//! shaped      flows that have to stay in software, as hardware bypasses queueing disciplines
//! parse       a flow rule in the terms of ppe/
//! refused     what a rule that was refused is about
//! policy      what is kept in software though the hardware could do it
//! steer       what a user has an engine do
//! debugfs     what is going on
//! trace       what happens, as tracepoints
//! ```

use kernel::{
    driver,
    prelude::*,
    InPlaceModule, //
};

mod audit;
mod bridge;
mod bus;
mod debugfs;
mod engine;
mod guard;
mod moved;
mod parse;
mod platform;
mod policy;
mod ppe;
mod refused;
#[path = "../../rust/lib.rs"]
mod rust;
mod shaped;
mod steer;
mod trace;

/// The module's version, as `modinfo` and debugfs show it.
const VERSION: &str = "0.1.0";

#[pin_data]
struct NftOffload {
    // Dropped in this order: no engine is left when their directory goes and nobody tells of
    // changes any more.
    #[pin]
    pci: driver::Registration<bus::pci::Adapter>,
    sources: rust::moves::Sources,
    root: rust::debugfs::Root,
}

impl InPlaceModule for NftOffload {
    fn init(module: &'static kernel::ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            root: rust::debugfs::Root::new(<LocalModule as kernel::ModuleMetadata>::NAME)?,
            sources: rust::moves::Sources::new()?,
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
