// SPDX-License-Identifier: GPL-2.0-only

//! How many of as many flows as there are slots get one: before the first is refused, and
//! at the end, for each format. Documentation/figures.md has the results.
//!
//! ```text
//! cargo run --release --manifest-path drivers/nft_offload/ppe/Cargo.toml --example hash_quality [SEED]
//! ```
//!
//! The flows are of IPv4 with source NAT, and all of them are in use, so that none has to
//! make room:
//!
//! - random: 200 hosts of a /24, any public servers, port 443 or 80 mostly, and ports as
//!   Linux hands them out; one direction of as many connections, or both directions of
//!   half as many;
//! - in a row: 200 hosts, one after the other, to one server, with ports that count up.
//!
//! They are given to the table; to the policy of the mainline driver of these chips, which
//! binds a flow in the first way that has none, and has on some chips a table for each port
//! at which flows arrive; and to slots drawn at random, which is what a perfect hash of
//! random flows could not be better than.

#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use nft_offload_ppe::{
    caps::Caps,
    flow::{
        Flow,
        PsePort,
        Tuple,
        L4, //
    },
    format::{
        netsys,
        Format, //
    },
    platform::ConnectionId,
    spec::Spec,
    table::BlockId,
    testing::table_in_memory, //
};

const SLOTS: usize = 16384;
const RUNS: u64 = 20;
const KINDS: [&str; 3] = ["random, one way", "random, both ways", "in a row"];

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u32) -> u32 {
        (self.next() % u64::from(n)) as u32
    }

    /// Both directions of a connection.
    fn connection(&mut self) -> [Flow; 2] {
        let [.., a, b, c, d] = self.next().to_be_bytes();
        let host = [192, 168, 1, self.below(200) as u8 + 2];
        let (l4, dport) = match self.below(10) {
            0..=4 => (L4::Tcp, 443),
            5..=7 => (L4::Udp, 443),
            8 => (L4::Tcp, 80),
            _ => (L4::Udp, 1024 + self.below(60_000) as u16),
        };
        let sport = 32_768 + self.below(28_232) as u16;
        both(l4, host, [a % 223 + 1, b, c, d], sport, dport)
    }
}

/// Both directions of a connection with source NAT.
fn both(l4: L4, host: [u8; 4], dst: [u8; 4], sport: u16, dport: u16) -> [Flow; 2] {
    let from = |src| Tuple::V4 {
        src,
        dst,
        sport,
        dport,
    };
    let up = Flow {
        ingress: PsePort(1).into(),
        egress: PsePort(2).into(),
        l4,
        tuple: from(host),
        new: from([203, 0, 113, 5]),
        smac: [2, 0, 0, 0, 0, 1],
        dmac: [2, 0, 0, 0, 0, 2],
        ..Flow::NONE
    };
    let down = Flow {
        ingress: up.egress,
        egress: up.ingress,
        tuple: up.new.reversed(),
        new: up.tuple.reversed(),
        ..up
    };
    [up, down]
}

/// As many flows of a kind as there are slots.
fn flows(kind: usize, seed: u64) -> Vec<Flow> {
    let mut random = Random(seed);
    let connections = (0..SLOTS as u16).map(|n| match kind {
        2 => {
            let host = [192, 168, 1, (n % 200) as u8 + 2];
            both(L4::Tcp, host, [198, 51, 100, 7], 32_768 + n / 200, 443)
        }
        _ => random.connection(),
    });
    let directions = if kind == 1 { 2 } else { 1 };
    let flows = connections.flat_map(|both| both.into_iter().take(directions));
    flows.take(SLOTS).collect()
}

/// Flows bound before the first refusal, and at the end.
#[derive(Clone, Copy, Default)]
struct Sum {
    first: u64,
    end: u64,
}

impl Sum {
    /// Adds a run, given whether each flow was bound.
    fn add(&mut self, bound: impl Iterator<Item = bool>) {
        let (mut sum, mut first) = (0, None);
        for bound in bound {
            if bound {
                sum += 1;
            } else {
                first.get_or_insert(sum);
            }
        }
        self.first += first.unwrap_or(sum);
        self.end += sum;
    }

    fn show(&self, what: &str) {
        let [first, end] = [self.first, self.end].map(|n| {
            let share = n as f64 * 100.0 / (RUNS * SLOTS as u64) as f64;
            format!("{share:.1} %")
        });
        println!("  {what:26} {first:>8} {end:>8}");
    }
}

/// Takes the first of the slots that is free and may be used.
fn take(taken: &mut [bool], mut slots: impl Iterator<Item = u16>) -> bool {
    let free = slots.find(|slot| !taken[usize::from(*slot)]);
    free.map(|slot| taken[usize::from(slot)] = true).is_some()
}

fn main() {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or(1);
    println!("{SLOTS} flows, mean of {RUNS} runs, seed {seed}: bound before the first refusal, at the end");
    let two: &[PsePort] = &[PsePort(2)];
    let chips: [(&str, &[PsePort], &dyn Format); 6] = [
        ("mt7621", &[], &netsys::NETSYS_V1_BOUNDARY),
        ("mt7622", &[], &netsys::NETSYS_V1_COUNTED),
        ("mt7623", &[], &netsys::NETSYS_V1),
        ("mt7981", two, &netsys::NETSYS_V2),
        ("mt7986", two, &netsys::NETSYS_V2),
        ("mt7988", &[PsePort(2), PsePort(15)], &netsys::NETSYS_V3),
    ];
    for (name, extra_ppe_ports, format) in chips {
        let spec: &Spec = Box::leak(Box::new(Spec {
            name,
            caps: Caps {
                ipv4: true,
                nat44: true,
                extra_ppe_ports,
                ..Caps::NONE
            },
            format,
            entries: SLOTS as u16,
            mib_words: 0,
        }));
        println!("{name}:");
        let (mut ours, mut driver) = ([Sum::default(); 3], [Sum::default(); 3]);
        let mut ideal = Sum::default();
        for start in (0..RUNS).map(|run| seed + run * 1000) {
            for kind in 0..KINDS.len() {
                let flows = flows(kind, start);
                let mut table = table_in_memory(spec).expect("the lengths fit");
                let replace = |(cookie, flow)| {
                    let replaced = table.replace(BlockId(0), cookie, ConnectionId::NONE, flow);
                    replaced.is_ok()
                };
                ours[kind].add((0..).zip(&flows).map(replace));

                let mut taken = vec![vec![false; SLOTS]; spec.caps.ppes()];
                driver[kind].add(flows.iter().map(|flow| {
                    let first = format.bucket(flow, SLOTS as u32);
                    // It overlooks that one of those that cannot be used on MT7621.
                    let usable = |slot: &u16| format.usable(*slot) || slot % 128 == 115;
                    let slots = (first..first + format.ways()).filter(usable);
                    take(&mut taken[spec.caps.ppe_of(flow.ingress.port)], slots)
                }));
            }
            let (mut random, mut taken) = (Random(start), vec![false; SLOTS]);
            ideal.add((0..SLOTS).map(|_| {
                let buckets = SLOTS as u32 / u32::from(format.ways());
                let first = random.below(buckets) as u16 * format.ways();
                let slots = (first..first + format.ways()).filter(|slot| format.usable(*slot));
                take(&mut taken, slots)
            }));
        }
        for (kind, sum) in KINDS.iter().zip(ours) {
            sum.show(kind);
        }
        for (kind, sum) in KINDS.iter().zip(driver) {
            sum.show(&format!("driver: {kind}"));
        }
        ideal.show("random slots");
    }
}
