// SPDX-License-Identifier: GPL-2.0-only
//! The thread that moves frames between the wires, the engine and the guest's NICs.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use log::{debug, error, info, warn};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use vppe_model::{FrameBuf, Verdict};

use crate::board::rx_word;
use crate::core::{Core, Shared};
use crate::nic::{Nic, Received};
use crate::port::PortInfo;
use crate::tap::Tap;

/// Most frames that the engine processes while the thread holds its lock.
const BATCH: usize = 64;
/// Batches of one port before the next port has its turn.
const ROUNDS: usize = 4;
/// With this many frames at once the wires are busy. The thread then sleeps for [`REST`]
/// while further frames gather, as a NIC moderates its interrupts. Otherwise each frame would
/// wake the thread, and the wake-up costs more than the frame.
const BUSY: usize = 16;
/// Time in which frames gather while the wires are busy.
const REST: Duration = Duration::from_micros(50);
/// Interval of the age scan.
const TICK: Duration = Duration::from_millis(10);
/// Entries per interval: a table of 16384 takes a third of a second.
const TICK_BUDGET: u32 = 512;

/// Kinds of descriptors. An event's number has the kind in its upper half, the port in the
/// lower.
const STOP: u64 = 0;
const TAP: u64 = 1;
const LISTENER: u64 = 2;
const NIC: u64 = 3;

fn event(kind: u64, port: usize) -> EventData {
    EventData::new_u64(kind << 32 | port as u64)
}

/// What the datapath needs of a port.
pub struct Port {
    /// The wire.
    pub tap: Tap,
    /// Socket to which the guest's NIC connects.
    pub listener: UnixListener,
}

struct PortState {
    tap: Tap,
    /// The TAP interface exists. It disappears with its network namespace.
    wire: bool,
    listener: UnixListener,
    nic: Option<Nic>,
    /// epoll watches for the NIC to become writable.
    waiting: bool,
}

/// The state of the datapath.
pub struct Datapath {
    shared: Arc<Shared>,
    info: Arc<Vec<PortInfo>>,
    ports: Vec<PortState>,
    epoll: OwnedFd,
    stop: UnixStream,
    cpu_queue: usize,
    rx_words: bool,
    frames: Vec<FrameBuf>,
    verdicts: [Verdict; BATCH],
}

impl Datapath {
    /// A datapath that runs until `stop` becomes readable.
    ///
    /// `info` and `ports` describe the same ports in the same order. At most `cpu_queue`
    /// frames wait for a NIC. With `rx_words` an [`rx_word`] follows each of them.
    pub fn new(
        shared: Arc<Shared>,
        info: Arc<Vec<PortInfo>>,
        ports: Vec<Port>,
        stop: UnixStream,
        cpu_queue: usize,
        rx_words: bool,
    ) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("epoll")?;
        let this = Self {
            shared,
            info,
            ports: ports
                .into_iter()
                .map(|port| PortState {
                    tap: port.tap,
                    wire: true,
                    listener: port.listener,
                    nic: None,
                    waiting: false,
                })
                .collect(),
            epoll,
            stop,
            cpu_queue,
            rx_words,
            frames: (0..BATCH).map(|_| FrameBuf::new()).collect(),
            verdicts: [Verdict::Drop; BATCH],
        };
        this.watch(this.stop.as_fd(), event(STOP, 0))?;
        for (i, port) in this.ports.iter().enumerate() {
            port.listener.set_nonblocking(true)?;
            this.watch(port.tap.as_fd(), event(TAP, i))?;
            this.watch(port.listener.as_fd(), event(LISTENER, i))?;
        }
        Ok(this)
    }

    fn watch(&self, fd: BorrowedFd<'_>, data: EventData) -> Result<()> {
        epoll::add(&self.epoll, fd, data, EventFlags::IN).context("epoll")
    }

    /// Moves frames until `stop` becomes readable.
    pub fn run(mut self) -> Result<()> {
        let mut events = Vec::with_capacity(64);
        let mut next_tick = Instant::now() + TICK;
        loop {
            let now = Instant::now();
            if now >= next_tick {
                next_tick = now + TICK;
                let core = &mut *self.shared.lock();
                core.engine.tick(&core.memory, TICK_BUDGET);
            }
            let timeout = next_tick.saturating_duration_since(now);
            let timeout = Timespec::try_from(timeout).ok();
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) => (),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error).context("epoll"),
            }
            let mut frames = 0;
            for event in &events {
                let data = event.data.u64();
                let flags = event.flags;
                let port = (data & 0xffff_ffff) as usize;
                match data >> 32 {
                    TAP => frames += self.drain_wire(port),
                    LISTENER => self.accept(port),
                    NIC => self.nic_event(port, flags),
                    _ => return Ok(()),
                }
            }
            if frames >= BUSY {
                thread::sleep(REST);
            }
        }
    }

    /// Receives frames from a port's wire, lets the engine decide and sends them.
    ///
    /// Returns the number of frames, or 0 if more frames wait.
    fn drain_wire(&mut self, port: usize) -> usize {
        let mut frames = 0;
        for _ in 0..ROUNDS {
            let n = self.receive_batch(port);
            if n == 0 {
                return frames;
            }
            frames += n;
            self.decide(port, n);
            self.deliver(port, n);
            self.flush(port);
            if n < BATCH {
                return frames;
            }
        }
        0
    }

    fn receive_batch(&mut self, port: usize) -> usize {
        let state = &mut self.ports[port];
        if !state.wire {
            return 0;
        }
        let mut n = 0;
        let mut bytes = 0;
        while let Some(frame) = self.frames.get_mut(n) {
            match state.tap.recv(frame.space()) {
                // A frame that fills the buffer may have been longer.
                Ok(FrameBuf::MAX_FRAME) => warn!("{}: frame too large", self.info[port].name),
                Ok(len) => {
                    frame.set_len(len);
                    bytes += len;
                    n += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => {
                    // The interface disappeared with its network namespace.
                    error!(
                        "{}: the TAP interface is lost: {error}",
                        self.info[port].name
                    );
                    state.wire = false;
                    let _ = epoll::delete(&self.epoll, state.tap.as_fd());
                    break;
                }
            }
        }
        let counters = &self.info[port].counters;
        counters.wire_rx_frames.add(n as u64);
        counters.wire_rx_bytes.add(bytes as u64);
        n
    }

    fn decide(&mut self, port: usize, n: usize) {
        let ingress = self.info[port].pse;
        let core = &mut *self.shared.lock();
        let Core { engine, memory, .. } = core;
        for (frame, verdict) in self.frames[..n].iter_mut().zip(&mut self.verdicts) {
            *verdict = engine.process(memory, ingress, frame);
        }
    }

    fn deliver(&mut self, port: usize, n: usize) {
        for (frame, verdict) in self.frames[..n].iter().zip(&self.verdicts) {
            let frame = frame.frame();
            match *verdict {
                Verdict::Forward { port: pse } => {
                    let Some(out) = self.info.iter().position(|info| info.pse == pse) else {
                        continue;
                    };
                    if to_wire(&self.ports[out], &self.info[out], frame) {
                        let counters = &self.info[out].counters;
                        counters.hw_tx_frames.add(1);
                        counters.hw_tx_bytes.add(frame.len() as u64);
                    }
                }
                Verdict::ToCpu { reason, entry } => {
                    let counters = &self.info[port].counters;
                    let nic = self.ports[port].nic.as_mut();
                    let word = rx_word(reason, entry);
                    let tail: &[u8] = if self.rx_words { &word } else { &[] };
                    if nic.is_some_and(|nic| nic.push(frame, tail)) {
                        counters.to_cpu_frames.add(1);
                        counters.to_cpu_bytes.add(frame.len() as u64);
                    } else {
                        counters.to_cpu_drops.add(1);
                    }
                }
                Verdict::Drop => (),
            }
        }
    }

    /// Sends the frames that wait for the guest's NIC.
    fn flush(&mut self, port: usize) {
        let state = &mut self.ports[port];
        let Some(nic) = &mut state.nic else {
            return;
        };
        if !nic.pending() && !state.waiting {
            return;
        }
        if let Err(error) = nic.flush() {
            debug!("{}: {error}", self.info[port].name);
            self.hang_up(port);
            return;
        }
        let waiting = nic.pending();
        if waiting != state.waiting {
            state.waiting = waiting;
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, waiting);
            if let Err(error) = epoll::modify(&self.epoll, nic.as_fd(), event(NIC, port), flags) {
                error!("{}: epoll: {error}", self.info[port].name);
            }
        }
    }

    fn nic_event(&mut self, port: usize, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.flush(port);
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return;
        }
        for _ in 0..ROUNDS {
            let state = &mut self.ports[port];
            let Some(mut nic) = state.nic.take() else {
                return;
            };
            let info = &self.info[port];
            let received = nic.receive(|frame| {
                info.counters.from_cpu_frames.add(1);
                info.counters.from_cpu_bytes.add(frame.len() as u64);
                to_wire(state, info, frame);
            });
            state.nic = Some(nic);
            match received {
                Ok(Received::More) => (),
                Ok(Received::Drained) => return,
                Err(error) => {
                    debug!("{}: {error}", info.name);
                    self.hang_up(port);
                    return;
                }
            }
        }
    }

    fn accept(&mut self, port: usize) {
        let stream = match self.ports[port].listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!("{}: accept: {error}", self.info[port].name);
                return;
            }
        };
        let name = &self.info[port].name;
        if let Some(nic) = &self.ports[port].nic {
            if alive(nic) {
                debug!("{name}: second connection refused: the guest's NIC is connected");
                return;
            }
            self.hang_up(port);
        }
        let name = &self.info[port].name;
        let nic = match Nic::new(stream, self.cpu_queue) {
            Ok(nic) => nic,
            Err(error) => {
                warn!("{name}: {error}");
                return;
            }
        };
        match self.watch(nic.as_fd(), event(NIC, port)) {
            Ok(()) => {
                info!("{name}: the guest's NIC is connected");
                self.ports[port].nic = Some(nic);
                self.ports[port].waiting = false;
            }
            Err(error) => warn!("{name}: {error}"),
        }
    }

    fn hang_up(&mut self, port: usize) {
        // The close removes the descriptor from epoll.
        if self.ports[port].nic.take().is_some() {
            info!("{}: the guest's NIC has gone", self.info[port].name);
        }
        self.ports[port].waiting = false;
    }
}

/// Returns whether the other end of the connection is still open.
fn alive(nic: &Nic) -> bool {
    let mut fds = [PollFd::new(nic, PollFlags::RDHUP)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut fds, Some(&now)) {
        Ok(_) => !fds[0]
            .revents()
            .intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR),
        Err(_) => false,
    }
}

/// Sends a frame to the wire; returns whether the interface accepted it.
fn to_wire(state: &PortState, info: &PortInfo, frame: &[u8]) -> bool {
    let sent = state.wire && state.tap.send(frame).is_ok();
    if sent {
        info.counters.wire_tx_frames.add(1);
        info.counters.wire_tx_bytes.add(frame.len() as u64);
    } else {
        info.counters.wire_tx_drops.add(1);
    }
    sent
}
