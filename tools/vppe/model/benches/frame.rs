// SPDX-License-Identifier: GPL-2.0-only
//! Time that the model takes for a frame: `make bench-host`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Duration;

use common::*;
use criterion::{black_box, Criterion, Throughput};
use vppe_model::{CpuReason, FrameBuf, Verdict};

fn frames(c: &mut Criterion, name: &str, flow: &Flow, size: usize) {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    let headers = flow.frame(&[]).len();
    let frame = flow.frame(&vec![0x5a; size.saturating_sub(headers)]);

    let mut lab = Lab::new();
    lab.bind(flow);
    let mut buf = FrameBuf::from_frame(&frame);
    let verdict = lab.engine.process(&lab.memory, LAN.pse, &mut buf);
    assert_eq!(verdict, TO_WAN);
    group.bench_function("hit", |b| {
        b.iter(|| {
            let mut buf = FrameBuf::from_frame(black_box(&frame));
            lab.engine.process(&lab.memory, LAN.pse, &mut buf)
        });
    });

    let mut lab = Lab::new();
    let mut buf = FrameBuf::from_frame(&frame);
    let verdict = lab.engine.process(&lab.memory, LAN.pse, &mut buf);
    let miss = Verdict::ToCpu {
        reason: CpuReason::UnHit,
        entry: None,
    };
    assert_eq!(verdict, miss);
    group.bench_function("miss", |b| {
        b.iter(|| {
            let mut buf = FrameBuf::from_frame(black_box(&frame));
            lab.engine.process(&lab.memory, LAN.pse, &mut buf)
        });
    });
    group.finish();
}

fn main() {
    let mut c = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    // The smallest and the largest frame, without the check sequence.
    frames(&mut c, "ipv4-snat-udp", &Flow::v4(true), 60);
    frames(&mut c, "ipv4-snat-tcp-1514", &Flow::v4(false), 1514);
    frames(&mut c, "ipv6-udp", &Flow::v6(true), 60);
    c.final_summary();
}
