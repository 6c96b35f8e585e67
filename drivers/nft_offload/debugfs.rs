// SPDX-License-Identifier: GPL-2.0-only

//! `/sys/kernel/debug/nft_offload/<device>/`: which files there are. What they say is the core's.
//!
//! A reader holds the engine's lock for one line, or for a look at a few slots.

use crate::{
    device::{
        Device,
        State, //
    },
    ppe::{
        self,
        audit::Audit,
        show::Next, //
    },
    rust::debugfs::{
        File,
        Read, //
    }, //
};
use core::fmt::{
    Formatter,
    Result, //
};

/// The module's version, as `modinfo` shows it, too.
pub(crate) const VERSION: &str = "0.1.0";

/// The files of an engine.
pub(crate) const FILES: &[File<Device>] = &[
    once(c"status", |device, _, f| {
        device.lock().engine.show_status(VERSION, device.bus, f)
    }),
    once(c"stats", |device, _, f| {
        let state = device.lock();
        state.engine.show_stats(state.taps.lost(), f)
    }),
    lines(
        c"bind",
        |device, from| {
            scan(device, from, |state, from| {
                state.engine.next_slot(from, is_bound)
            })
        },
        |device, at, f| device.lock().engine.show_slot(at, is_bound, f),
    ),
    lines(
        c"entries",
        |device, from| {
            scan(device, from, |state, from| {
                state.engine.next_slot(from, is_valid)
            })
        },
        |device, at, f| device.lock().engine.show_slot(at, is_valid, f),
    ),
    lines(
        c"flows",
        |device, from| scan(device, from, |state, from| state.engine.next_flow(from)),
        |device, at, f| device.lock().engine.show_flow(at, f),
    ),
    lines(
        c"rejects",
        |device, from| scan(device, from, |state, from| state.engine.next_reject(from)),
        |device, at, f| device.lock().engine.show_reject(at, f),
    ),
    lines(
        c"bridge",
        |device, from| scan(device, from, |state, from| state.engine.next_filter(from)),
        |device, at, f| device.lock().engine.show_filter(at, f),
    ),
    lines(c"audit", next_audit, audit),
    File {
        name: c"flush",
        read: None,
        write: Some(Device::flush),
    },
    File {
        write: Some(Device::pause),
        ..once(c"pause", |device, _, f| device.lock().engine.show_pause(f))
    },
    File {
        write: Some(Device::set_policy),
        ..once(c"policy", |device, _, f| {
            device.lock().engine.show_policy(f)
        })
    },
];

type Show = fn(&Device, u64, &mut Formatter<'_>) -> Result;

/// A file that is read at once.
const fn once(name: &'static core::ffi::CStr, show: Show) -> File<Device> {
    lines(name, Read::once, show)
}

/// A file of many lines.
const fn lines(
    name: &'static core::ffi::CStr,
    next: fn(&Device, u64) -> Option<u64>,
    show: Show,
) -> File<Device> {
    File {
        name,
        read: Some(Read { next, show }),
        write: None,
    }
}

fn is_bound(state: ppe::format::State) -> bool {
    state == ppe::format::State::Bound
}

fn is_valid(state: ppe::format::State) -> bool {
    state != ppe::format::State::Invalid
}

/// The next position from `from` on, looked for piece by piece.
fn scan(device: &Device, mut from: u64, next: fn(&mut State, u64) -> Next) -> Option<u64> {
    loop {
        let found = next(&mut device.lock(), from);
        match found {
            Next::At(at) => return Some(at),
            Next::From(at) => from = at,
            Next::End => return None,
        }
    }
}

/// The audit is one piece.
fn next_audit(device: &Device, from: u64) -> Option<u64> {
    if from == 0 {
        return Some(0);
    }
    device.lock().engine.count_audit();
    None
}

fn audit(device: &Device, _: u64, f: &mut Formatter<'_>) -> Result {
    let (mut audit, ranges) = {
        let engine = &device.lock().engine;
        (Audit::new(engine), engine.audit_ranges())
    };
    for range in ranges.clone() {
        audit.look(&mut device.lock().engine, range, f)?;
    }
    let mut shown = Ok(());
    device.devices.for_each_flowtable(|flowtable| {
        for range in ranges.clone() {
            shown = shown
                .and_then(|()| audit.look_for_stale(&device.lock().engine, flowtable, range, f));
        }
    });
    shown?;
    audit.finish(&mut device.lock().engine, f)
}
