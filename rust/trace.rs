// SPDX-License-Identifier: GPL-2.0-only

//! The tracepoints of `tracepoints.h`.
//!
//! A tracepoint that is off is an instruction that does nothing. A closure, out of line, puts
//! together what a tracepoint that is on reports.

use super::bindings;
use core::{
    fmt::{
        self,
        Write, //
    },
    net::{
        IpAddr,
        SocketAddr, //
    }, //
};
use kernel::prelude::*;

/// Addresses and ports of a direction, from and to.
pub type Pair = (SocketAddr, SocketAddr);

/// What happened to a flow.
pub struct Flow {
    /// Of the engine's table.
    pub slot: u32,
    /// Who brought it.
    pub owner: u32,
    /// IP protocol number.
    pub protocol: u8,
    /// As frames arrive.
    pub orig: Pair,
    /// As they leave.
    pub new: Pair,
    /// The engine's number of the port at which they arrive.
    pub in_port: u8,
    /// And of that by which they leave.
    pub out_port: u8,
    /// What the engine has forwarded of it.
    pub packets: u64,
    /// Of these.
    pub bytes: u64,
    /// Time since its last packet.
    pub idle_ms: u64,
    /// One word.
    pub why: &'static str,
}

/// What a [`Flow`] can be made of.
pub trait Describe {
    /// Makes it, if somebody listens.
    fn describe(&self) -> Flow;
}

/// What was refused.
pub struct Rejected<D> {
    /// The reason's name.
    pub reason: &'static str,
    /// Who brought it; 0 if that is not known.
    pub owner: u32,
    /// IP protocol number; 0 if that is not known.
    pub protocol: u8,
    /// As frames arrive, if that is known.
    pub orig: Option<Pair>,
    /// The device at which they do.
    pub ingress: Option<D>,
    /// The device by which they leave.
    pub egress: Option<D>,
}

/// Text of a field.
struct Text<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

/// Writes what is shown to a field, which is zero. What does not fit before its last
/// byte is left out.
#[cold]
#[inline(never)]
fn text(bytes: &mut [u8], what: &dyn fmt::Display) {
    let _ = write!(Text { bytes, len: 0 }, "{what}");
}

impl Write for Text<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = self.bytes.len().saturating_sub(1);
        let room = self.bytes.iter_mut().take(room).skip(self.len);
        for (to, from) in room.zip(s.bytes()) {
            *to = from;
            self.len += 1;
        }
        Ok(())
    }
}

/// Family and address, which is in the first bytes.
fn address(addr: IpAddr) -> (u16, [u8; 16]) {
    match addr {
        IpAddr::V4(addr) => {
            let [a, b, c, d] = addr.octets();
            (
                bindings::AF_INET as u16,
                [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            )
        }
        IpAddr::V6(addr) => (bindings::AF_INET6 as u16, addr.octets()),
    }
}

#[cold]
#[inline(never)]
fn tuple(to: &mut bindings::nft_offload_trace_tuple, (src, dst): &Pair) {
    text(&mut to.text, &format_args!("{src}->{dst}"));
    (to.family, to.saddr) = address(src.ip());
    (_, to.daddr) = address(dst.ip());
    (to.sport, to.dport) = (src.port(), dst.port());
}

/// Whether somebody listens to a tracepoint.
macro_rules! enabled {
    ($tracepoint:ident) => {
        // SAFETY: It is the static key of a tracepoint, which C defines.
        unsafe {
            kernel::jump_label::static_branch_unlikely!(
                bindings::$tracepoint,
                kernel::bindings::tracepoint,
                key
            )
        }
    };
}

/// A tracepoint of flows.
enum Point {
    Bind,
    Unbind,
    Evict,
}

/// An engine that has something to say.
pub struct Source {
    device: [u8; bindings::NFT_OFFLOAD_TRACE_NAME as usize],
}

impl Source {
    /// The engine that was found on `device`.
    pub fn new(device: &CStr) -> Self {
        let mut source = Self {
            device: Default::default(),
        };
        text(&mut source.device, &device.to_str().unwrap_or("?"));
        source
    }

    /// A flow was bound.
    #[inline(always)]
    pub fn bind(&self, flow: &impl Describe) {
        if enabled!(__tracepoint_nft_offload_bind) {
            self.flow(flow, Point::Bind);
        }
    }

    /// A flow is no longer bound.
    #[inline(always)]
    pub fn unbind(&self, flow: &impl Describe) {
        if enabled!(__tracepoint_nft_offload_unbind) {
            self.flow(flow, Point::Unbind);
        }
    }

    /// A flow had to make room for another one.
    #[inline(always)]
    pub fn evict(&self, flow: &impl Describe) {
        if enabled!(__tracepoint_nft_offload_evict) {
            self.flow(flow, Point::Evict);
        }
    }

    /// A rule or a connection was refused.
    #[inline(always)]
    pub fn reject<D: fmt::Display>(&self, rejected: impl FnOnce() -> Rejected<D>) {
        if enabled!(__tracepoint_nft_offload_reject) {
            self.rejected(rejected);
        }
    }

    /// The engine was given up. `chip` names what it is.
    #[inline(always)]
    pub fn quarantine(&self, chip: &str) {
        if enabled!(__tracepoint_nft_offload_quarantine) {
            self.quarantined(chip);
        }
    }

    // One copy of this is enough.
    #[cold]
    #[inline(never)]
    fn flow(&self, flow: &dyn Describe, point: Point) {
        let flow = flow.describe();
        let mut report = bindings::nft_offload_trace_flow {
            device: self.device,
            packets: flow.packets,
            bytes: flow.bytes,
            idle_ms: flow.idle_ms,
            slot: flow.slot,
            owner: flow.owner,
            in_port: flow.in_port,
            out_port: flow.out_port,
            ..Default::default()
        };
        text(&mut report.why, &flow.why);
        for (to, pair) in [(&mut report.orig, &flow.orig), (&mut report.new, &flow.new)] {
            to.protocol = flow.protocol;
            tuple(to, pair);
        }
        // SAFETY: The calls only read what they are given.
        unsafe {
            match point {
                Point::Bind => bindings::rust_do_trace_nft_offload_bind(&report),
                Point::Unbind => bindings::rust_do_trace_nft_offload_unbind(&report),
                Point::Evict => bindings::rust_do_trace_nft_offload_evict(&report),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn rejected<D: fmt::Display>(&self, rejected: impl FnOnce() -> Rejected<D>) {
        let rejected = rejected();
        let mut report = bindings::nft_offload_trace_reject {
            device: self.device,
            owner: rejected.owner,
            ..Default::default()
        };
        text(&mut report.reason, &rejected.reason);
        report.orig.protocol = rejected.protocol;
        match &rejected.orig {
            Some(pair) => tuple(&mut report.orig, pair),
            None => text(&mut report.orig.text, &"-"),
        }
        for (to, name) in [
            (&mut report.in_dev, &rejected.ingress),
            (&mut report.out_dev, &rejected.egress),
        ] {
            match name {
                Some(name) => text(to, name),
                None => text(to, &"-"),
            }
        }
        // SAFETY: The call only reads what it is given.
        unsafe { bindings::rust_do_trace_nft_offload_reject(&report) };
    }

    #[cold]
    #[inline(never)]
    fn quarantined(&self, chip: &str) {
        let mut report = bindings::nft_offload_trace_quarantine {
            device: self.device,
            ..Default::default()
        };
        text(&mut report.chip, &chip);
        // SAFETY: The call only reads what it is given.
        unsafe { bindings::rust_do_trace_nft_offload_quarantine(&report) };
    }
}
