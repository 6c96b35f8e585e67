// SPDX-License-Identifier: GPL-2.0-only

//! The module's way from a rule for bridged frames and a packet to an entry. `ours.h` says what
//! the function is for.

use crate::{
    entry::{
        spec,
        Entry,
        Ports,
        NET, //
    },
    nft_offload::{
        ppe::{
            flow::PsePort,
            l2::{
                filter::FilterParser,
                frame, //
            },
            reject::Reject,
            spec::Spec, //
        },
        translate, //
    },
    rust::flow_rule::FlowRule, //
};
use core::ffi::c_void;

/// `struct oracle_packet`.
#[repr(C)]
struct Packet {
    ethertype: u16,
    len: u8,
    bytes: [u8; frame::HEAD_LEN],
}

fn encode(
    spec: &Spec,
    rule: &FlowRule,
    ports: &Ports,
    ingress: PsePort,
    packet: &Packet,
    clock: u32,
    out: &mut Entry,
) -> Result<(), Reject> {
    let mut parser = FilterParser::new();
    translate::feed(&mut parser, rule, NET);
    let rule = parser.finish(ingress, |ifindex, _| ports.find(ifindex))?;
    rule.admit(&spec.caps)?;
    let bytes = packet.bytes.get(..packet.len.into()).unwrap_or(&[]);
    let (l4, tuple) = frame::parse(packet.ethertype, bytes).ok_or(Reject::Protocol)?;
    if !rule.takes(l4, &tuple) {
        return Err(Reject::Family);
    }
    out.bind(spec, &rule.flow(l4, &tuple), clock)
}

/// # Safety
///
/// `rule`, `ports` and `packet` must point to what their types say, and `out` to room for an entry.
#[no_mangle]
unsafe extern "C" fn nft_oracle_bridge(
    chip: u32,
    rule: *const c_void,
    ports: *const Ports,
    ingress: u8,
    packet: *const Packet,
    clock: u32,
    out: *mut Entry,
) {
    // SAFETY: By the requirements of this function; `FlowRule` is transparent over the C type.
    let (rule, ports, packet) = unsafe { (&*rule.cast::<FlowRule>(), &*ports, &*packet) };
    // SAFETY: As above; all zero is a valid entry.
    let out = unsafe {
        out.write_bytes(0, 1);
        &mut *out
    };
    let ingress = PsePort(ingress);
    let result = match spec(chip) {
        Some(spec) => encode(spec, rule, ports, ingress, packet, clock, out),
        None => Err(Reject::EngineDead),
    };
    if let Err(reject) = result {
        out.refuse(reject);
    }
}
