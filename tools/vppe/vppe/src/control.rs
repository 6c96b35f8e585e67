// SPDX-License-Identifier: GPL-2.0-only
//! The control socket: one JSON request a line, one JSON answer a line.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use log::{debug, info, warn};
use serde_json::{json, Value};
use vppe_model::Faults;

use crate::core::{Core, Shared};
use crate::port::{PortInfo, PortValues};
use crate::request::Request;
use crate::show;

/// The server disconnects a client that sends nothing for this time.
const IDLE: Duration = Duration::from_secs(300);
/// Bytes of the longest request.
const MAX_REQUEST: u64 = 64 * 1024;
/// Most words of one `scribble`: the server holds the chip's lock while it writes them.
const MAX_SCRIBBLE: u32 = 100_000;

/// Returns a source of pseudo-random numbers (splitmix64).
fn numbers(mut state: u64) -> impl FnMut() -> u32 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) as u32
    }
}

fn ok() -> Value {
    json!({"ok": true})
}

fn refusal(why: String) -> Value {
    json!({"error": why})
}

/// The server of the control socket.
pub struct Control {
    shared: Arc<Shared>,
    ports: Arc<Vec<PortInfo>>,
    /// The ports' counters at the last reset of the statistics.
    start: Mutex<Vec<PortValues>>,
}

impl Control {
    /// A server for this chip and these ports.
    pub fn new(shared: Arc<Shared>, ports: Arc<Vec<PortInfo>>) -> Self {
        let start = Mutex::new(vec![PortValues::default(); ports.len()]);
        Self {
            shared,
            ports,
            start,
        }
    }

    /// Serves clients, each in a thread of its own.
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

    /// Answers a request.
    pub fn answer(&self, line: &[u8]) -> Value {
        match serde_json::from_slice(line) {
            Ok(request) => self.perform(request),
            Err(error) => refusal(format!("request not understood: {error}")),
        }
    }

    fn perform(&self, request: Request) -> Value {
        match request {
            Request::Stats => show::stats(&self.shared, &self.ports, &self.start()),
            Request::Entries => show::entries(&self.shared.lock()),
            Request::Fault { name, on, count } => self.fault(&name, on, count),
            Request::Poke {
                ppe,
                index,
                word,
                value,
            } => self.poke(ppe, index, word, value),
            Request::Scribble { seed, words } => self.scribble(seed, words),
            Request::ResetStats => self.reset_stats(),
            Request::Reset => {
                info!("chip reset");
                self.shared.lock().engine.reset();
                ok()
            }
        }
    }

    fn start(&self) -> MutexGuard<'_, Vec<PortValues>> {
        self.start.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, name: &str, on: bool, count: u32) -> Value {
        if self.shared.lock().engine.faults.set(name, on, count) {
            info!("fault {name}: {}", if on { "on" } else { "off" });
            ok()
        } else {
            let known = Faults::NAMES.join(", ");
            refusal(format!("unknown fault '{name}'; there are: {known}"))
        }
    }

    fn poke(&self, ppe: usize, index: u32, word: u32, value: u32) -> Value {
        let core = self.shared.lock();
        let Core { engine, memory, .. } = &*core;
        let poked = engine
            .ppes()
            .get(ppe)
            .is_some_and(|ppe| ppe.poke(memory, index, word, value));
        if poked {
            info!("poke: PPE {ppe}, entry {index}, word {word}: {value:#010x}");
            ok()
        } else {
            refusal("no such word in a table of the engine".to_owned())
        }
    }

    fn scribble(&self, seed: u64, words: u32) -> Value {
        if words > MAX_SCRIBBLE {
            return refusal(format!(
                "{words} words are too many: {MAX_SCRIBBLE} at most"
            ));
        }
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

    fn reset_stats(&self) -> Value {
        let mut start = self.start();
        *start = self.ports.iter().map(|p| p.counters.values()).collect();
        let mut core = self.shared.lock();
        core.masters_running = 0;
        for ppe in core.engine.ppes_mut() {
            ppe.reset_stats();
        }
        ok()
    }
}
