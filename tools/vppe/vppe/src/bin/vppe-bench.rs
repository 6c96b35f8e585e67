// SPDX-License-Identifier: GPL-2.0-only
//! How many frames a second the model takes, in process, on one core.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use clap::Parser;
use etherparse::PacketBuilder;
use serde_json::json;
use vppe_model::chip::{Chip, MT7986};
use vppe_model::entry::Key;
use vppe_model::{hash, regs, Dma, FrameBuf, FrameEngine, Port, VecMemory, Verdict};

/// Measures the model of the engine: frames that hit bound entries.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// Seconds to measure each case.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,

    /// Bound flows that the frames are spread over.
    #[arg(long, default_value_t = 64)]
    flows: u16,
}

const CHIP: &Chip = &MT7986;
const BASE: u64 = 0x10_0000;
const LAN: Port = Port::new(1, [2, 0, 0, 0, 1, 1]);
const WAN: Port = Port::new(2, [2, 0, 0, 0, 1, 2]);

struct Case {
    name: &'static str,
    v6: bool,
    udp: bool,
    payload: usize,
}

/// 18 bytes of payload make a UDP frame of 64 bytes with its check sequence.
const CASES: &[Case] = &[
    Case {
        name: "udp4-nat-64",
        v6: false,
        udp: true,
        payload: 18,
    },
    Case {
        name: "tcp4-nat-1514",
        v6: false,
        udp: false,
        payload: 1460,
    },
    Case {
        name: "udp6-route-80",
        v6: true,
        udp: true,
        payload: 18,
    },
];

fn key(case: &Case, flow: u16) -> Key {
    let ports = u32::from(10_000 + flow) << 16 | 5001;
    let mut key = Key {
        v6: case.v6,
        udp: case.udp,
        ports,
        ..Key::default()
    };
    if case.v6 {
        key.src = [0xfd00_0001, 0, 0, 2];
        key.dst = [0xfd00_0002, 0, 0, 2];
    } else {
        key.src[0] = 0xc0a8_0102;
        key.dst[0] = 0xcb00_7102;
    }
    key
}

fn frame(case: &Case, flow: u16) -> Vec<u8> {
    let key = key(case, flow);
    let eth = PacketBuilder::ethernet2([2, 0, 0, 0, 9, 9], LAN.mac);
    let ip = if case.v6 {
        let bytes = |words: [u32; 4]| {
            let mut bytes = [0; 16];
            for (to, from) in bytes.chunks_mut(4).zip(words) {
                to.copy_from_slice(&from.to_be_bytes());
            }
            bytes
        };
        eth.ipv6(bytes(key.src), bytes(key.dst), 64)
    } else {
        eth.ipv4(key.src[0].to_be_bytes(), key.dst[0].to_be_bytes(), 64)
    };
    let (sport, dport) = ((key.ports >> 16) as u16, key.ports as u16);
    let payload = vec![0x5a; case.payload];
    let mut bytes = Vec::new();
    let written = if case.udp {
        ip.udp(sport, dport).write(&mut bytes, &payload)
    } else {
        ip.tcp(sport, dport, 1, 1000).write(&mut bytes, &payload)
    };
    // Writing to a Vec does not fail.
    written.unwrap_or_default();
    bytes
}

/// The words of a bound entry, written down from the facts like a driver would.
fn entry(case: &Case, flow: u16) -> [u8; 96] {
    let key = key(case, flow);
    let mut bytes = [0; 96];
    let mut put = |at: usize, word: u32| bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    let mut ib1 = 2 << 28 | 1 << 22 | u32::from(case.udp) << 30;
    let ib2 = u32::from(WAN.pse) << 9 | 1 << 15;
    let l2 = if case.v6 {
        ib1 |= 5 << 23;
        for i in 0..4 {
            put(0x04 + 4 * i, key.src[i]);
            put(0x14 + 4 * i, key.dst[i]);
        }
        put(0x24, key.ports);
        put(0x38, ib2);
        0x3c
    } else {
        put(0x04, key.src[0]);
        put(0x08, key.dst[0]);
        put(0x0c, key.ports);
        put(0x10, ib2);
        put(0x14, 0xcb00_7101);
        put(0x18, key.dst[0]);
        put(0x1c, key.ports);
        0x2c
    };
    put(0x00, ib1);
    let etype = if case.v6 { 0x86dd } else { 0x0800 };
    put(l2, etype << 16);
    put(l2 + 4, 0x0200_0000);
    put(l2 + 8, 0x0808 << 16);
    put(l2 + 12, 0x0200_0000);
    put(l2 + 16, 0x0102 << 16);
    bytes
}

fn write(engine: &mut FrameEngine, memory: &VecMemory, reg: u32, value: u32) {
    engine.write(memory, CHIP.ppe_bases[0] + reg, value);
}

fn measure(case: &Case, options: &Options) -> Result<f64> {
    let memory = VecMemory::new(BASE, 16384 * 96);
    let mut engine = FrameEngine::new(CHIP, &[LAN, WAN]);
    for (reg, value) in [
        (regs::TB_BASE, BASE as u32),
        (regs::TB_CFG, 4 | 1 << 3 | 2 << 4 | 1 << 14 | 1 << 20),
        (regs::FLOW_CFG, 1 << 9 | 1 << 12 | 1 << 13),
        (regs::CACHE_CTL, 1),
        (regs::MIB_CFG, 3),
        (regs::GLO_CFG, 1),
    ] {
        write(&mut engine, &memory, reg, value);
    }
    let mut frames = Vec::new();
    for flow in 0..options.flows {
        let first = hash::bucket(&key(case, flow), 1, 0, 16384, CHIP.ways);
        for way in 0..CHIP.ways {
            let addr = BASE + 96 * u64::from(first + way);
            if memory.read_u32(addr)? == 0 {
                memory.write(addr, &entry(case, flow))?;
                frames.push(frame(case, flow));
                break;
            }
        }
    }
    ensure!(!frames.is_empty(), "no flows");
    let mut buf = FrameBuf::new();
    let limit = Duration::from_secs_f64(options.seconds);
    let start = Instant::now();
    let mut count = 0u64;
    loop {
        for _ in 0..64 {
            for frame in &frames {
                // The frame comes in (a copy, as from a wire) and is dealt with.
                buf.set(black_box(frame));
                let verdict = engine.process(&memory, LAN.pse, &mut buf);
                ensure!(verdict == Verdict::Forward { port: WAN.pse }, "{verdict:?}");
                black_box(buf.frame());
            }
        }
        count += 64 * frames.len() as u64;
        let elapsed = start.elapsed();
        if elapsed >= limit {
            return Ok(count as f64 / elapsed.as_secs_f64());
        }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut results = serde_json::Map::new();
    for case in CASES {
        let rate = measure(case, &options)?;
        if !options.json {
            println!("{:16} {:12.0} packets/s", case.name, rate);
        }
        results.insert(case.name.to_owned(), json!(rate.round()));
    }
    if options.json {
        let report = json!({
            "chip": CHIP.name, "flows": options.flows, "packets_per_second": results,
        });
        println!("{report}");
    }
    Ok(())
}
