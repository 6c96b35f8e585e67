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

/// Text of a field, with its end. What does not fit is left out.
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    fn of(what: impl fmt::Display) -> [u8; N] {
        let mut text = Self {
            bytes: [0; N],
            len: 0,
        };
        let _ = write!(text, "{what}");
        text.bytes
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = self.bytes.iter_mut().take(N - 1).skip(self.len);
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

fn tuple(protocol: u8, (src, dst): Pair) -> bindings::nft_offload_trace_tuple {
    let (family, saddr) = address(src.ip());
    bindings::nft_offload_trace_tuple {
        text: Text::of(format_args!("{src}->{dst}")),
        saddr,
        daddr: address(dst.ip()).1,
        family,
        sport: src.port(),
        dport: dst.port(),
        protocol,
    }
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

/// An engine that has something to say.
pub struct Source {
    device: [u8; bindings::NFT_OFFLOAD_TRACE_NAME as usize],
}

impl Source {
    /// The engine that was found on `device`.
    pub fn new(device: &CStr) -> Self {
        Self {
            device: Text::of(device.to_str().unwrap_or("?")),
        }
    }

    /// A flow was bound.
    #[inline(always)]
    pub fn bind(&self, flow: impl FnOnce() -> Flow) {
        if enabled!(__tracepoint_nft_offload_bind) {
            // SAFETY: The call only reads what it is given.
            self.flow(flow, |flow| unsafe {
                bindings::rust_do_trace_nft_offload_bind(flow)
            });
        }
    }

    /// A flow is no longer bound.
    #[inline(always)]
    pub fn unbind(&self, flow: impl FnOnce() -> Flow) {
        if enabled!(__tracepoint_nft_offload_unbind) {
            // SAFETY: The call only reads what it is given.
            self.flow(flow, |flow| unsafe {
                bindings::rust_do_trace_nft_offload_unbind(flow)
            });
        }
    }

    /// A flow had to make room for another one.
    #[inline(always)]
    pub fn evict(&self, flow: impl FnOnce() -> Flow) {
        if enabled!(__tracepoint_nft_offload_evict) {
            // SAFETY: The call only reads what it is given.
            self.flow(flow, |flow| unsafe {
                bindings::rust_do_trace_nft_offload_evict(flow)
            });
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

    #[cold]
    #[inline(never)]
    fn flow(
        &self,
        flow: impl FnOnce() -> Flow,
        tell: impl FnOnce(&bindings::nft_offload_trace_flow),
    ) {
        let flow = flow();
        tell(&bindings::nft_offload_trace_flow {
            device: self.device,
            why: Text::of(flow.why),
            orig: tuple(flow.protocol, flow.orig),
            new: tuple(flow.protocol, flow.new),
            packets: flow.packets,
            bytes: flow.bytes,
            idle_ms: flow.idle_ms,
            slot: flow.slot,
            owner: flow.owner,
            in_port: flow.in_port,
            out_port: flow.out_port,
        });
    }

    #[cold]
    #[inline(never)]
    fn rejected<D: fmt::Display>(&self, rejected: impl FnOnce() -> Rejected<D>) {
        let rejected = rejected();
        let orig = match rejected.orig {
            Some(pair) => tuple(rejected.protocol, pair),
            None => bindings::nft_offload_trace_tuple {
                text: Text::of("-"),
                protocol: rejected.protocol,
                ..Default::default()
            },
        };
        let name = |name: Option<D>| match name {
            Some(name) => Text::of(name),
            None => Text::of("-"),
        };
        let rejected = bindings::nft_offload_trace_reject {
            device: self.device,
            reason: Text::of(rejected.reason),
            in_dev: name(rejected.ingress),
            out_dev: name(rejected.egress),
            orig,
            owner: rejected.owner,
        };
        // SAFETY: The call only reads what it is given.
        unsafe { bindings::rust_do_trace_nft_offload_reject(&rejected) };
    }

    #[cold]
    #[inline(never)]
    fn quarantined(&self, chip: &str) {
        let engine = bindings::nft_offload_trace_quarantine {
            device: self.device,
            chip: Text::of(chip),
        };
        // SAFETY: The call only reads what it is given.
        unsafe { bindings::rust_do_trace_nft_offload_quarantine(&engine) };
    }
}
