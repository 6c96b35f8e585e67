// SPDX-License-Identifier: GPL-2.0-only
//! The control socket: one JSON request a line, one JSON answer a line.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use log::{debug, info, warn};
use serde::Deserialize;
use serde_json::{json, Value};
use vppe_model::chip::Chip;
use vppe_model::entry::IB1_STATIC;
use vppe_model::{EntryView, Faults};

use crate::cli::CtlOptions;
use crate::core::{Core, Shared};
use crate::stats::{mac, PortInfo, PortValues, Report};

/// A client that says nothing for so long is let go.
const IDLE: Duration = Duration::from_secs(300);
/// Longest request.
const MAX_REQUEST: u64 = 64 * 1024;

#[derive(Deserialize)]
#[serde(tag = "cmd", rename_all = "kebab-case", deny_unknown_fields)]
enum Request {
    Stats,
    Entries,
    Fault {
        name: String,
        on: bool,
        #[serde(default = "one")]
        count: u32,
    },
    Poke {
        ppe: usize,
        index: u32,
        word: u32,
        value: u32,
    },
    Scribble {
        seed: u64,
        words: u32,
    },
    ResetStats,
    Reset,
}

/// Words that one request may have written: the lock is held meanwhile.
const MAX_SCRIBBLE: u32 = 100_000;

/// Numbers that look random (splitmix64), the same ones for the same seed.
fn numbers(mut state: u64) -> impl FnMut() -> u32 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) as u32
    }
}

fn one() -> u32 {
    1
}

/// Answers requests.
pub struct Control {
    shared: Arc<Shared>,
    ports: Arc<Vec<PortInfo>>,
    start: Mutex<Vec<PortValues>>,
}

impl Control {
    /// Answers about this chip and these ports.
    pub fn new(shared: Arc<Shared>, ports: Arc<Vec<PortInfo>>) -> Self {
        let start = Mutex::new(vec![PortValues::default(); ports.len()]);
        Self {
            shared,
            ports,
            start,
        }
    }

    /// Serves clients, for ever.
    pub fn serve(self, listener: UnixListener) -> ! {
        let control = Arc::new(self);
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!("control socket: {error}");
                    thread::sleep(Duration::from_millis(100));
                    continue;
                }
            };
            let control = Arc::clone(&control);
            thread::spawn(move || {
                if let Err(error) = control.client(&stream) {
                    debug!("control socket: {error:#}");
                }
            });
        }
    }

    fn client(&self, stream: &UnixStream) -> Result<()> {
        use std::io::Read;
        stream.set_read_timeout(Some(IDLE))?;
        stream.set_write_timeout(Some(IDLE))?;
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            let n = reader
                .by_ref()
                .take(MAX_REQUEST)
                .read_until(b'\n', &mut line)?;
            if n == 0 {
                return Ok(());
            }
            let answer = self.answer(&line);
            let mut text = serde_json::to_vec(&answer)?;
            text.push(b'\n');
            let mut stream = stream;
            stream.write_all(&text)?;
        }
    }

    /// Answers one request.
    pub fn answer(&self, line: &[u8]) -> Value {
        match serde_json::from_slice(line) {
            Ok(request) => self.perform(request),
            Err(error) => json!({"error": format!("request not understood: {error}")}),
        }
    }

    fn perform(&self, request: Request) -> Value {
        match request {
            Request::Stats => {
                let start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
                let report = Report::new(&self.shared, &self.ports, &start);
                serde_json::to_value(report)
                    .unwrap_or_else(|error| json!({"error": error.to_string()}))
            }
            Request::Entries => {
                let core = self.shared.lock();
                let Core { engine, memory, .. } = &*core;
                let mut entries = Vec::new();
                let chip = engine.chip();
                for (i, ppe) in engine.ppes().iter().enumerate() {
                    entries.extend(ppe.entries(memory).iter().map(|view| entry(chip, i, view)));
                }
                json!({"entries": entries})
            }
            Request::Fault { name, on, count } => {
                let mut core = self.shared.lock();
                if core.engine.faults.set(&name, on, count) {
                    info!("fault {name}: {}", if on { "on" } else { "off" });
                    json!({"ok": true})
                } else {
                    let known = Faults::NAMES.join(", ");
                    json!({"error": format!("unknown fault '{name}'; there are: {known}")})
                }
            }
            Request::Reset => {
                info!("chip reset");
                self.shared.lock().engine.reset();
                json!({"ok": true})
            }
            Request::Poke {
                ppe,
                index,
                word,
                value,
            } => {
                let core = self.shared.lock();
                let Core { engine, memory, .. } = &*core;
                let poked = engine
                    .ppes()
                    .get(ppe)
                    .is_some_and(|ppe| ppe.poke(memory, index, word, value));
                if poked {
                    info!("poke: PPE {ppe}, entry {index}, word {word}: {value:#010x}");
                    json!({"ok": true})
                } else {
                    json!({"error": "no such word in a table of the engine"})
                }
            }
            Request::Scribble { words, .. } if words > MAX_SCRIBBLE => {
                json!({"error": format!("{words} words are too many: {MAX_SCRIBBLE} at most")})
            }
            Request::Scribble { seed, words } => {
                let mut core = self.shared.lock();
                let Core { engine, memory, .. } = &mut *core;
                let mut random = numbers(seed);
                let ppes = engine.ppes_mut().iter_mut();
                let written: u32 = ppes
                    .map(|ppe| ppe.scribble(memory, words, &mut random))
                    .sum();
                info!("scribbled {written} words, seed {seed}");
                json!({"ok": true, "written": written})
            }
            Request::ResetStats => {
                let mut start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
                *start = self.ports.iter().map(|p| p.counters.values()).collect();
                let mut core = self.shared.lock();
                core.masters_running = 0;
                for ppe in core.engine.ppes_mut() {
                    ppe.reset_stats();
                }
                json!({"ok": true})
            }
        }
    }
}

fn address(words: &[u32; 4], v6: bool) -> String {
    if v6 {
        let bits = words.iter().fold(0, |bits, &w| bits << 32 | u128::from(w));
        Ipv6Addr::from_bits(bits).to_string()
    } else {
        Ipv4Addr::from(words[0]).to_string()
    }
}

fn entry(chip: &Chip, ppe: usize, view: &EntryView) -> Value {
    let entry = &view.entry;
    let Some(key) = &entry.key else {
        return json!({
            "ppe": ppe, "index": view.index, "type": "other",
            "ib1": format!("{:#010x}", entry.ib1),
        });
    };
    let kind = match (key.v6, entry.new) {
        (true, _) => "ipv6-5t",
        (false, Some(_)) => "ipv4-hnapt",
        (false, None) => "ipv4-route",
    };
    let tuple = |src: String, dst: String, ports: u32| {
        json!({
            "src": src, "dst": dst, "sport": ports >> 16, "dport": ports & 0xffff,
        })
    };
    let original = tuple(
        address(&key.src, key.v6),
        address(&key.dst, key.v6),
        key.ports,
    );
    let new = entry.new.map(|(src, dst, ports)| {
        tuple(
            Ipv4Addr::from(src).to_string(),
            Ipv4Addr::from(dst).to_string(),
            ports,
        )
    });
    let (head, len) = entry.head(0);
    let head: Vec<String> = head[..len].iter().map(|b| format!("{b:02x}")).collect();
    json!({
        "ppe": ppe,
        "index": view.index,
        "type": kind,
        "proto": if key.udp { "udp" } else { "tcp" },
        "orig": original,
        "new": new,
        "dmac": mac(&entry.l2.dmac),
        "smac": mac(&entry.l2.smac),
        "etype": entry.l2.etype,
        "tags": entry.tags,
        "vlan1": entry.l2.vlan1,
        "vlan2": entry.l2.vlan2,
        "pppoe": entry.pppoe.then_some(entry.l2.pppoe_id),
        "header": head.concat(),
        "dest_port": entry.dest_port,
        "ttl": entry.decrement,
        "static": IB1_STATIC.get(entry.ib1) != 0,
        "counted": entry.counted,
        "timestamp": chip.layout.ib1_timestamp.get(entry.ib1),
        "ib1": format!("{:#010x}", entry.ib1),
        "ib2": format!("{:#010x}", entry.ib2),
        "cached": view.cached,
        "stale": view.stale,
        "usable": view.usable,
        "packets": view.packets,
        "bytes": view.bytes,
    })
}

/// `vppe ctl`.
pub fn client(options: &CtlOptions) -> Result<()> {
    let path = options.control.display();
    let mut stream = UnixStream::connect(&options.control)
        .with_context(|| format!("cannot connect to {path} (does vppe run?)"))?;
    let mut request = serde_json::to_vec(&options.request.to_json())?;
    request.push(b'\n');
    stream.write_all(&request)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let answer: Value =
        serde_json::from_str(&line).with_context(|| format!("{path} gave no answer"))?;
    if let Some(error) = answer.get("error") {
        bail!("{}", error.as_str().unwrap_or("unknown error"));
    }
    println!("{}", serde_json::to_string_pretty(&answer)?);
    Ok(())
}
