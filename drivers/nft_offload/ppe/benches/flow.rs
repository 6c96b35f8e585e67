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
    count::Count,
    flow::{
        Flow,
        PsePort,
        Tuple,
        L4, //
    },
    flow_rule::{
        Action,
        AddrType,
        MangleHeader,
        Match,
        RuleParser, //
    },
    format::{
        netsys::NETSYS_V2,
        Entry, //
    },
    hw::Hw,
    platform::{
        Clock,
        HwError,
        Storage, //
    },
    reject::Reject,
    spec::Spec,
    table::{
        index_len,
        spares,
        BlockId,
        Host,
        Record,
        Table, //
    }, //
};

const SLOTS: usize = 16384;
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

/// A table in memory, without counters that count.
struct Memory(Vec<u32>);

impl Memory {
    fn entry(&mut self, slot: u16) -> Result<&mut [u32], HwError> {
        let len = SPEC.format.entry_words();
        let first = usize::from(slot) * len;
        self.0.get_mut(first..first + len).ok_or(HwError)
    }
}

impl Hw for Memory {
    fn read_entry(&mut self, slot: u16, out: &mut [u32]) -> Result<(), HwError> {
        for (to, from) in out.iter_mut().zip(self.entry(slot)?) {
            *to = *from;
        }
        Ok(())
    }

    fn read_word0(&mut self, slot: u16) -> Result<u32, HwError> {
        self.entry(slot)?.first().copied().ok_or(HwError)
    }

    fn commit(&mut self, slot: u16, entry: &Entry) -> Result<(), HwError> {
        self.entry(slot)?.copy_from_slice(entry.words());
        Ok(())
    }

    fn invalidate(&mut self, slot: u16) -> Result<(), HwError> {
        *self.entry(slot)?.first_mut().ok_or(HwError)? = 0;
        Ok(())
    }

    fn clear_cache(&mut self, _: u16) -> Result<(), HwError> {
        Ok(())
    }

    fn clear_caches(&mut self) -> Result<(), HwError> {
        Ok(())
    }

    fn read_mib(&mut self, _: u16) -> Result<Count, HwError> {
        Ok(Count::ZERO)
    }

    fn timestamp(&mut self) -> u16 {
        0
    }
}

/// Time stands still, and nobody watches.
struct Alone;

impl Clock for Alone {
    fn now_ms(&self) -> u64 {
        0
    }
}

impl Storage for Alone {
    type Vec<T> = Vec<T>;

    fn filled<T: Clone>(item: T, len: usize) -> Option<Vec<T>> {
        Some(vec![item; len])
    }
}

impl Host for Alone {
    type Hw = Memory;
}

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

/// The rule of a flow, as nf_flowtable makes it.
fn rule(flow: &Flow) -> (Vec<Match>, Vec<Action>) {
    let (sport, dport) = flow.tuple.ports();
    let (addr_type, n_proto, addrs) = match flow.tuple {
        Tuple::V4 { src, dst, .. } => (
            AddrType::V4,
            0x0800,
            Match::Ipv4Addrs {
                src,
                dst,
                src_mask: [0xff; 4],
                dst_mask: [0xff; 4],
            },
        ),
        Tuple::V6 { src, dst, .. } => (
            AddrType::V6,
            0x86dd,
            Match::Ipv6Addrs {
                src,
                dst,
                src_mask: [0xff; 16],
                dst_mask: [0xff; 16],
            },
        ),
    };
    let matches = vec![
        Match::Control {
            addr_type,
            flags_mask: 0,
        },
        Match::Basic {
            n_proto,
            n_proto_mask: 0xffff,
            ip_proto: flow.l4.ip_proto(),
            ip_proto_mask: 0xff,
        },
        addrs,
        Match::Ports {
            sport,
            dport,
            sport_mask: 0xffff,
            dport_mask: 0xffff,
        },
        Match::Tcp {
            flags: 0,
            mask: 0x0005,
        },
        Match::Meta {
            ingress: Some(flow.ingress),
            mask: u32::MAX,
        },
    ];
    let mangle = |header, offset, mask, val| Action::Mangle {
        header,
        offset,
        mask,
        val,
    };
    let ([s0, s1, s2, s3, s4, s5], [d0, d1, d2, d3, d4, d5]) = (flow.smac, flow.dmac);
    let half = |a, b| u32::from(u16::from_ne_bytes([a, b]));
    let mut actions = vec![
        mangle(MangleHeader::Eth, 4, 0x0000_ffff, half(s0, s1) << 16),
        mangle(
            MangleHeader::Eth,
            8,
            0,
            u32::from_ne_bytes([s2, s3, s4, s5]),
        ),
        mangle(
            MangleHeader::Eth,
            0,
            0,
            u32::from_ne_bytes([d0, d1, d2, d3]),
        ),
        mangle(MangleHeader::Eth, 4, 0xffff_0000, half(d4, d5)),
    ];
    if let Tuple::V4 { src, .. } = flow.new {
        actions.push(mangle(MangleHeader::Ip4, 12, 0, u32::from_ne_bytes(src)));
        let keep = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
        let [high, low] = sport.to_be_bytes();
        let port = u32::from_ne_bytes([high, low, 0, 0]);
        actions.push(mangle(MangleHeader::Tcp, 0, keep, port));
        actions.push(Action::Csum { flags: 0x31 });
    }
    actions.push(Action::Redirect {
        egress: Some(flow.egress),
    });
    (matches, actions)
}

fn parse(matches: &[Match], actions: &[Action], flow: &mut Flow) -> Result<(), Reject> {
    let mut parser = RuleParser::new(flow);
    for key in matches {
        parser.on_match(*key)?;
    }
    for action in actions {
        parser.on_action(*action)?;
    }
    parser.finish()
}

struct Bench {
    table: Table<Alone>,
}

impl Bench {
    /// A table with `n` flows, as many of which as get in. Cookies are those of the flows.
    fn new(v6: bool, n: u32) -> Option<Self> {
        let memory = Memory(vec![0; SLOTS * SPEC.format.entry_words()]);
        let records = vec![Record::EMPTY; SLOTS + spares(SLOTS)];
        let mut bench = Self {
            table: Table::new(Alone, memory, &SPEC, records, vec![0; index_len(SLOTS)])?,
        };
        for n in 0..n {
            bench.replace(n.into(), &flow(v6, n));
        }
        Some(bench)
    }

    fn replace(&mut self, cookie: u64, flow: &Flow) -> bool {
        self.table.replace(OWNER, cookie, 0, flow).is_ok()
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
    let (matches, actions) = rule(&one);
    let mut parsed = Flow::NONE;
    assert_eq!(parse(&matches, &actions, &mut parsed), Ok(()));
    assert_eq!(parsed, one);
    group.bench_function("parse", |b| {
        b.iter(|| parse(black_box(&matches), black_box(&actions), &mut parsed));
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
