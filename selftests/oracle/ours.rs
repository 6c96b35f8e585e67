// SPDX-License-Identifier: GPL-2.0-only

//! The parser, the encoder and the table of nft_offload, compiled from the very sources of the
//! module, for C to call. `ours.h` says what each function is for.

use core::ffi::c_void;
use kernel::{
    ffi::c_int,
    prelude::*, //
};

mod rust;

/// The module's own folder.
#[path = "../../drivers/nft_offload"]
mod nft_offload {
    // What runs an engine is not used here.
    #[allow(dead_code)]
    pub(crate) mod chip;
    pub(crate) mod parse;
    pub(crate) mod ppe;
}

// Its sources call each other by these names.
use nft_offload::{
    chip,
    parse,
    ppe, //
};

use ppe::{
    caps,
    flow::{
        Flow,
        PsePort,
        L4, //
    },
    reject::Reject, //
};
use rust::{
    flow_rule::FlowRule,
    netdev::NetDevice, //
};

const MAX_WORDS: usize = 32;
const MAX_PORTS: usize = 3;
const NAME_LEN: usize = 24;

/// `struct oracle_ports`.
#[repr(C)]
struct Ports {
    ifindex: [c_int; MAX_PORTS],
    pse: [u8; MAX_PORTS],
    count: u8,
}

/// `struct oracle_entry`.
#[repr(C)]
struct Entry {
    reject: [u8; NAME_LEN],
    bucket: u16,
    ways: u16,
    count: u32,
    words: [u32; MAX_WORDS],
    v6: bool,
    udp: bool,
}

impl parse::Ports for Ports {
    fn by_ifindex(&self, ifindex: i32) -> Option<PsePort> {
        let ports = self.ifindex.iter().zip(self.pse);
        ports
            .take(self.count.into())
            .find(|(port, _)| **port == ifindex)
            .map(|(_, pse)| PsePort(pse))
    }

    fn by_device(&self, dev: &NetDevice) -> Option<PsePort> {
        self.by_ifindex(dev.ifindex())
    }
}

impl Entry {
    fn refuse(&mut self, reject: Reject) {
        for (to, from) in self.reject.iter_mut().zip(reject.name().bytes()) {
            *to = from;
        }
        // C wants an end.
        self.reject[NAME_LEN - 1] = 0;
    }
}

fn flow_of(chip: &dyn chip::Chip, rule: &FlowRule, ports: &Ports) -> Result<Flow, Reject> {
    let flow = parse::parse(rule, ports)?;
    caps::admit(&flow, chip.caps())?;
    Ok(flow)
}

fn encode(
    chip: &dyn chip::Chip,
    rule: &FlowRule,
    ports: &Ports,
    clock: u32,
    out: &mut Entry,
) -> Result<(), Reject> {
    let flow = flow_of(chip, rule, ports)?;
    let format = chip.format();
    // CAST: As the module has it, the table holds as many bits as it has room for.
    let entry = format.encode(&flow, clock as u16)?;
    for (to, from) in out.words.iter_mut().zip(entry.words()) {
        *to = *from;
    }
    out.count = entry.words().len() as u32;
    out.bucket = format.bucket(&flow, chip.entries() as u32);
    out.ways = format.ways();
    out.v6 = flow.tuple.is_v6();
    out.udp = flow.l4 == L4::Udp;
    Ok(())
}

#[no_mangle]
extern "C" fn nft_oracle_has_chip(chip: u32) -> bool {
    chip::by_id(chip).is_some()
}

/// # Safety
///
/// `rule` and `ports` must point to what their types say, and `out` to room for an entry.
#[no_mangle]
unsafe extern "C" fn nft_oracle_encode(
    chip: u32,
    rule: *const c_void,
    ports: *const Ports,
    clock: u32,
    out: *mut Entry,
) {
    // SAFETY: By the requirements of this function; `FlowRule` is transparent over the C type.
    let (rule, ports) = unsafe { (&*rule.cast::<FlowRule>(), &*ports) };
    // SAFETY: As above; all zero is a valid entry.
    let out = unsafe {
        out.write_bytes(0, 1);
        &mut *out
    };
    let result = match chip::by_id(chip) {
        Some(chip) => encode(chip, rule, ports, clock, out),
        None => Err(Reject::EngineDead),
    };
    if let Err(reject) = result {
        out.refuse(reject);
    }
}
