// SPDX-License-Identifier: GPL-2.0-only

//! How many of as many flows as there are slots get one: before the first is refused, and
//! at the end, for each format.
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

use nft_offload_ppe::{
    caps::Caps,
    count::Count,
    flow::{
        Encap,
        Flow,
        PsePort,
        Tuple,
        L4, //
    },
    format::{
        netsys,
        Entry,
        Format, //
    },
    hw::Hw,
    platform::{
        Clock,
        HwError,
        Storage, //
    },
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
const RUNS: u64 = 20;

/// A chip that has a table for each of these ports, and one for all others.
const fn caps(apart: &'static [PsePort]) -> Caps {
    Caps {
        ipv4: true,
        nat44: true,
        extra_ppe_ports: apart,
        ..Caps::NONE
    }
}

/// An engine that only keeps word 0.
struct Words(Vec<u32>);

impl Hw for Words {
    fn read_entry(&mut self, _: u16, out: &mut [u32]) -> Result<(), HwError> {
        out.fill(0);
        Ok(())
    }

    fn read_word0(&mut self, slot: u16) -> Result<u32, HwError> {
        self.0.get(usize::from(slot)).copied().ok_or(HwError)
    }

    fn commit(&mut self, slot: u16, entry: &Entry) -> Result<(), HwError> {
        *self.0.get_mut(usize::from(slot)).ok_or(HwError)? = entry.word0();
        Ok(())
    }

    fn invalidate(&mut self, slot: u16) -> Result<(), HwError> {
        *self.0.get_mut(usize::from(slot)).ok_or(HwError)? = 0;
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
    type Hw = Words;
}

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

    /// A number below `n`.
    fn below(&mut self, n: u32) -> u32 {
        u32::try_from(self.next() % u64::from(n)).unwrap_or(0)
    }

    fn port(&mut self, first: u16, n: u32) -> u16 {
        first.wrapping_add(u16::try_from(self.below(n)).unwrap_or(0))
    }

    /// Both directions of a connection.
    fn connection(&mut self) -> [Flow; 2] {
        let [.., a, b, c, d] = self.next().to_be_bytes();
        let server = [a % 223 + 1, b, c, d];
        let host = [192, 168, 1, u8::try_from(self.below(200)).unwrap_or(0) + 2];
        let own = [203, 0, 113, 5];
        let (l4, dport) = match self.below(10) {
            0..=4 => (L4::Tcp, 443),
            5..=7 => (L4::Udp, 443),
            8 => (L4::Tcp, 80),
            _ => (L4::Udp, self.port(1024, 60_000)),
        };
        let sport = self.port(32_768, 28_232);
        let tuple = |src, dst, sport, dport| Tuple::V4 {
            src,
            dst,
            sport,
            dport,
        };
        let flow = |ingress, egress, tuple, new| Flow {
            ingress: PsePort(ingress).into(),
            egress: PsePort(egress).into(),
            l4,
            tuple,
            new,
            smac: [2, 0, 0, 0, 0, 1],
            dmac: [2, 0, 0, 0, 0, 2],
            in_encap: Encap::NONE,
            out_encap: Encap::NONE,
            routed: true,
        };
        [
            flow(
                1,
                2,
                tuple(host, server, sport, dport),
                tuple(own, server, sport, dport),
            ),
            flow(
                2,
                1,
                tuple(server, own, dport, sport),
                tuple(server, host, dport, sport),
            ),
        ]
    }
}

/// One direction of connections of 200 hosts to one server, ports in a row.
fn in_a_row() -> impl Iterator<Item = Flow> {
    let mut random = Random(0);
    let [model, _] = random.connection();
    (0_u16..).map(move |n| {
        let host = [192, 168, 1, u8::try_from(n % 200).unwrap_or(0) + 2];
        let tuple = |src| Tuple::V4 {
            src,
            dst: [198, 51, 100, 7],
            sport: 32_768 + n / 200,
            dport: 443,
        };
        Flow {
            l4: L4::Tcp,
            tuple: tuple(host),
            new: tuple([203, 0, 113, 5]),
            ..model
        }
    })
}

/// Flows bound before the first refusal, and at the end.
#[derive(Default)]
struct Sum {
    first: u64,
    end: u64,
}

impl Sum {
    fn show(&self, what: &str) {
        let share = |n: u64| {
            let all = RUNS * u64::try_from(SLOTS).unwrap_or(1);
            let tenths = (n * 1000 + all / 2) / all;
            format!("{}.{} %", tenths / 10, tenths % 10)
        };
        println!(
            "  {what:26} {:>8} {:>8}",
            share(self.first),
            share(self.end)
        );
    }
}

/// Offers as many flows as there are slots.
fn fill(spec: &'static Spec, flows: impl Iterator<Item = Flow>, sum: &mut Sum) {
    let slots = spec.slots();
    let records = vec![Record::EMPTY; slots + spares(slots)];
    let index = vec![0; index_len(slots)];
    let Some(mut table) = Table::new(Alone, Words(vec![0; slots]), spec, records, index) else {
        return;
    };
    let (mut bound, mut refused) = (0, false);
    for (cookie, flow) in (0..).zip(flows.take(SLOTS)) {
        if table.replace(BlockId(0), cookie, 0, &flow).is_ok() {
            bound += 1;
        } else if !refused {
            refused = true;
            sum.first += bound;
        }
    }
    if !refused {
        sum.first += bound;
    }
    sum.end += bound;
}

/// The same with the mainline driver's policy.
fn drive(spec: &Spec, flows: impl Iterator<Item = Flow>, sum: &mut Sum) {
    let (format, caps) = (spec.format, &spec.caps);
    let mut taken = vec![vec![false; SLOTS]; caps.ppes()];
    let (mut bound, mut refused) = (0, false);
    for flow in flows.take(SLOTS) {
        let table = caps.ppe_of(flow.ingress.port);
        let first = format.bucket(&flow, u32::try_from(SLOTS).unwrap_or(0));
        let free = (first..first + format.ways()).find(|slot| {
            // It overlooks that one of those that cannot be used on MT7621.
            let usable = format.usable(*slot) || slot % 128 == 115;
            usable && !taken[table][usize::from(*slot)]
        });
        if let Some(slot) = free {
            taken[table][usize::from(slot)] = true;
            bound += 1;
        } else if !refused {
            refused = true;
            sum.first += bound;
        }
    }
    if !refused {
        sum.first += bound;
    }
    sum.end += bound;
}

/// The same with slots drawn at random.
fn draw(format: &dyn Format, random: &mut Random, sum: &mut Sum) {
    let ways = usize::from(format.ways());
    let buckets = u32::try_from(SLOTS / ways).unwrap_or(1);
    let mut taken = vec![false; SLOTS];
    let (mut bound, mut refused) = (0, false);
    for _ in 0..SLOTS {
        let first = usize::try_from(random.below(buckets)).unwrap_or(0) * ways;
        let free = (first..first + ways).find(|slot| {
            let usable = u16::try_from(*slot).is_ok_and(|slot| format.usable(slot));
            usable && taken.get(*slot) == Some(&false)
        });
        if let Some(taken) = free.and_then(|slot| taken.get_mut(slot)) {
            *taken = true;
            bound += 1;
        } else if !refused {
            refused = true;
            sum.first += bound;
        }
    }
    sum.end += bound;
}

fn main() {
    let seed = std::env::args()
        .nth(1)
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    println!("{SLOTS} flows, mean of {RUNS} runs, seed {seed}: bound before the first refusal, at the end");
    let (one, two) = (caps(&[]), caps(&[PsePort(2)]));
    let three = caps(&[PsePort(2), PsePort(15)]);
    let chips: [(&str, Caps, &dyn Format); 6] = [
        ("mt7621", one, &netsys::NETSYS_V1_BOUNDARY),
        ("mt7622", one, &netsys::NETSYS_V1_COUNTED),
        ("mt7623", one, &netsys::NETSYS_V1),
        ("mt7981", two, &netsys::NETSYS_V2),
        ("mt7986", two, &netsys::NETSYS_V2),
        ("mt7988", three, &netsys::NETSYS_V3),
    ];
    for (name, caps, format) in chips {
        let spec: &Spec = Box::leak(Box::new(Spec {
            name,
            caps,
            format,
            entries: 16384,
            mib_words: 0,
        }));
        println!("{name}:");
        let mut ours = [(); 3].map(|()| Sum::default());
        let mut driver = [(); 3].map(|()| Sum::default());
        let mut ideal = Sum::default();
        for run in 0..RUNS {
            let start = seed + run * 1000;
            let flows = |kind: usize| -> Box<dyn Iterator<Item = Flow>> {
                let mut random = Random(start);
                match kind {
                    0 => Box::new(std::iter::from_fn(move || {
                        let [flow, _] = random.connection();
                        Some(flow)
                    })),
                    1 => Box::new(std::iter::from_fn(move || Some(random.connection())).flatten()),
                    _ => Box::new(in_a_row()),
                }
            };
            for (kind, sum) in ours.iter_mut().enumerate() {
                fill(spec, flows(kind), sum);
            }
            for (kind, sum) in driver.iter_mut().enumerate() {
                drive(spec, flows(kind), sum);
            }
            draw(format, &mut Random(start), &mut ideal);
        }
        let kinds = ["random, one way", "random, both ways", "in a row"];
        for (kind, sum) in kinds.iter().zip(ours) {
            sum.show(kind);
        }
        for (kind, sum) in kinds.iter().zip(driver) {
            sum.show(&format!("driver: {kind}"));
        }
        ideal.show("random slots");
    }
}
