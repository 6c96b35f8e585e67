// SPDX-License-Identifier: GPL-2.0-only

//! Time that the steps of a flow take on the host: `make bench-host`.

use std::time::{
    Duration,
    Instant, //
};

use criterion::{
    black_box,
    BenchmarkId,
    Criterion, //
};
use nft_offload_ppe::{
    caps::{
        Caps,
        MibUnit, //
    },
    flow::{
        Flow,
        PsePort,
        Tuple,
        L4, //
    },
    flow_rule::{
        parser::RuleParser,
        Action,
        Match, //
    },
    format::netsys::NETSYS_V2,
    platform::ConnectionId,
    reject::Reject,
    spec::Spec,
    table::{
        BlockId,
        Table, //
    },
    testing::{
        endpoint_at,
        rule_of,
        table_in_memory,
        Alone, //
    }, //
};

const OWNER: BlockId = BlockId(1);
/// Flows that come and go are timed together, so many at once.
const BATCH: usize = 64;
/// The first of their cookies; smaller ones are those of flows that stay.
const NEW: u64 = 1 << 32;

const CAPS: Caps = Caps {
    ipv4: true,
    ipv6: true,
    nat44: true,
    mib: Some(MibUnit::Layer3),
    ..Caps::NONE
};

static SPEC: Spec = Spec {
    name: "bench",
    caps: CAPS,
    format: &NETSYS_V2,
    entries: 16384,
    mib_words: 4,
};

/// Flow `n`, of IPv4 with source NAT or of IPv6.
fn flow(v6: bool, n: u32) -> Flow {
    let [a, b, c, d] = n.wrapping_mul(0x9e37_79b9).to_be_bytes();
    let tuple = |host: [u8; 4]| {
        let (sport, dport) = (u16::from_be_bytes([c, d]), 443);
        if v6 {
            let address = |net, [w, x, y, z]: [u8; 4]| {
                [0x20, 1, 0x0d, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, w, x, y, z]
            };
            Tuple::V6 {
                src: address(1, [10, a, b, c]),
                dst: address(2, [a, b, c, d]),
                sport,
                dport,
            }
        } else {
            Tuple::V4 {
                src: host,
                dst: [a % 223 + 1, b, c, d],
                sport,
                dport,
            }
        }
    };
    Flow {
        ingress: PsePort(1).into(),
        egress: PsePort(2).into(),
        l4: L4::Tcp,
        tuple: tuple([192, 168, 1, a]),
        new: tuple([203, 0, 113, 5]),
        smac: [2, 0, 0, 0, 0, 1],
        dmac: [2, 0, 0, 0, 0, 2],
        ..Flow::NONE
    }
}

fn parse(parser: &mut RuleParser, matches: &[Match], actions: &[Action]) -> Result<(), Reject> {
    parser.begin();
    for key in matches {
        parser.on_match(*key);
    }
    for action in actions {
        parser.on_action(*action);
    }
    parser.finish(endpoint_at)
}

struct Bench {
    table: Table<Alone>,
}

impl Bench {
    /// A table with `n` flows, as many of which as get in. Cookies are those of the flows.
    fn new(v6: bool, n: u32) -> Option<Self> {
        let mut bench = Self {
            table: table_in_memory(&SPEC)?,
        };
        for n in 0..n {
            bench.replace(n.into(), &flow(v6, n));
        }
        Some(bench)
    }

    fn replace(&mut self, cookie: u64, flow: &Flow) -> bool {
        self.table
            .replace(OWNER, cookie, ConnectionId::NONE, flow)
            .is_ok()
    }

    fn destroy(&mut self, cookie: u64) -> bool {
        self.table.destroy(OWNER, cookie).is_some()
    }

    /// Has so many flows come and go, and gives the time of each.
    fn rounds(&mut self, mut rounds: u64, flows: &[Flow]) -> (Duration, Duration) {
        let (mut replace, mut destroy) = (Duration::ZERO, Duration::ZERO);
        while rounds > 0 {
            let batch = flows
                .iter()
                .zip(NEW..)
                .take(usize::try_from(rounds).unwrap_or(BATCH).min(BATCH));
            let (mut came, mut went) = (0, 0);
            let start = Instant::now();
            for (flow, cookie) in batch.clone() {
                came += u64::from(self.replace(cookie, black_box(flow)));
            }
            replace += start.elapsed();
            let start = Instant::now();
            for (_, cookie) in batch {
                went += u64::from(self.destroy(black_box(cookie)));
            }
            destroy += start.elapsed();
            assert!(came > 0 && came == went);
            rounds = rounds.saturating_sub(came);
        }
        (replace, destroy)
    }
}

fn steps(c: &mut Criterion, name: &str, v6: bool) {
    let mut group = c.benchmark_group(name);
    let one = flow(v6, 20_000);
    let (matches, actions) = rule_of(&one);
    let mut parser = RuleParser::new(Flow::NONE);
    assert_eq!(parse(&mut parser, &matches, &actions), Ok(()));
    assert_eq!(*parser.flow(), one);
    group.bench_function("parse", |b| {
        b.iter(|| parse(&mut parser, black_box(&matches), black_box(&actions)));
    });
    group.bench_function("encode", |b| {
        b.iter(|| SPEC.format.encode(black_box(&one), 0));
    });
    for n in [1, 1000, 12_000] {
        let Some(mut bench) = Bench::new(v6, n) else {
            continue;
        };
        // Flows that find room; others of their buckets may be there.
        let new: Vec<Flow> = (20_000..)
            .map(|n| flow(v6, n))
            .filter(|flow| bench.replace(NEW, flow) && bench.destroy(NEW))
            .take(BATCH)
            .collect();
        group.bench_function(BenchmarkId::new("replace", n), |b| {
            b.iter_custom(|rounds| bench.rounds(rounds, &new).0);
        });
        group.bench_function(BenchmarkId::new("destroy", n), |b| {
            b.iter_custom(|rounds| bench.rounds(rounds, &new).1);
        });
        group.bench_function(BenchmarkId::new("stats", n), |b| {
            b.iter(|| bench.table.stats(OWNER, black_box(0)));
        });
    }
    group.finish();
}

fn main() {
    let mut c = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    steps(&mut c, "ipv4-snat", false);
    steps(&mut c, "ipv6", true);
    c.final_summary();
}
