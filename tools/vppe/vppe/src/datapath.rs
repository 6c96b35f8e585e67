// SPDX-License-Identifier: GPL-2.0-only
//! Frames between the wires, the engine and the guest's NICs. One thread.

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
use vppe_model::{CpuReason, FrameBuf, Verdict};

use crate::core::{Core, Shared};
use crate::nic::{Nic, Received};
use crate::stats::PortInfo;
use crate::tap::Tap;

/// Frames that go through the engine under one hold of its lock.
const BATCH: usize = 64;
/// Batches of one port before the others have their turn.
const ROUNDS: usize = 4;
/// From so many frames at once on the wires are busy: what comes next is then left to
/// gather for [`REST`] and not fetched frame by frame, as a NIC moderates its interrupts.
/// Without it every frame wakes this thread, at more cost than that of the frame.
const BUSY: usize = 16;
/// How long frames gather while the wires are busy.
const REST: Duration = Duration::from_micros(50);
/// How often the age scan goes on.
const TICK: Duration = Duration::from_millis(10);
/// Entries it looks at each time: a table of 16384 in a third of a second.
const TICK_BUDGET: u32 = 512;

/// Kinds of descriptors, in the upper half of an event's number; the port is in the lower.
const STOP: u64 = 0;
const TAP: u64 = 1;
const LISTENER: u64 = 2;
const NIC: u64 = 3;

fn event(kind: u64, port: usize) -> EventData {
    EventData::new_u64(kind << 32 | port as u64)
}

/// A port: a wire, and a NIC of the guest.
pub struct Port {
    /// The wire.
    pub tap: Tap,
    /// Where the NIC connects.
    pub listener: UnixListener,
}

struct PortState {
    tap: Tap,
    /// The interface is there (it goes away with its network namespace).
    wire: bool,
    listener: UnixListener,
    nic: Option<Nic>,
    /// The NIC waits to be writable.
    waiting: bool,
}

/// The datapath.
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
    /// A datapath that runs until `stop` becomes readable. `info` and `ports` go together.
    /// `cpu_queue` frames at most wait for a NIC; with `rx_words` they end with a
    /// [`rx_word`].
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

    /// Runs.
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

    /// Receives what waits on a port's wire, asks the engine, and sends. Returns how many
    /// frames there were, or 0 if there are more.
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
                // The frame did not fit if it filled the room.
                Ok(FrameBuf::MAX_FRAME) => warn!("{}: frame too large", self.info[port].name),
                Ok(len) => {
                    frame.set_len(len);
                    bytes += len;
                    n += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => {
                    // Its network namespace has gone, and it with it.
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

    /// Sends what waits for the guest's NIC.
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
        // Closing takes the descriptor out of epoll.
        if self.ports[port].nic.take().is_some() {
            info!("{}: the guest's NIC has gone", self.info[port].name);
        }
        self.ports[port].waiting = false;
    }
}

/// What a receive descriptor says of a frame for the CPU, as it stands behind the frame
/// (Documentation/emulated-board.md).
pub fn rx_word(reason: CpuReason, entry: Option<u32>) -> [u8; 4] {
    const MARK: u32 = 0x5a;
    const NO_ENTRY: u32 = 0xffff;
    const OTHER_REASON: u8 = 0x1f;
    let reason = u32::from(reason.number().unwrap_or(OTHER_REASON));
    (MARK << 24 | reason << 16 | entry.unwrap_or(NO_ENTRY)).to_le_bytes()
}

/// Whether the other end of a connection is still there.
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

/// Sends a frame out of a port; says whether the interface took it.
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
