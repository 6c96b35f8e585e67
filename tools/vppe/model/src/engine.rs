// SPDX-License-Identifier: GPL-2.0-only
//! The frame engine: timestamp, engines, ports, faults.

use crate::chip::Chip;
use crate::dma::Dma;
use crate::frame::FrameBuf;
use crate::ppe::Ppe;
use crate::reason::CpuReason;
use crate::regs;
use crate::{PsePort, Verdict};

/// Things that go wrong on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// `GLO_CFG.BUSY` and `MIB_SER_CR.ST` read as 1 for ever.
    pub stuck_busy: bool,
    /// `MIB_SER_CR.ST` reads as 1 for ever.
    pub mib_stuck: bool,
    /// Registers read as all ones, writes are ignored, nothing is looked up.
    pub dead: bool,
    /// So many of the next register writes are ignored.
    pub lost_writes: u32,
}

impl Faults {
    /// The names [`Faults::set`] knows.
    pub const NAMES: &'static [&'static str] = &["stuck-busy", "mib-stuck", "dead", "lost-writes"];

    /// Switches a fault; `count` is the number of writes for `lost-writes`.
    ///
    /// Says whether there is a fault of that name.
    pub fn set(&mut self, name: &str, on: bool, count: u32) -> bool {
        match name {
            "stuck-busy" => self.stuck_busy = on,
            "mib-stuck" => self.mib_stuck = on,
            "dead" => self.dead = on,
            "lost-writes" => self.lost_writes = if on { count } else { 0 },
            _ => return false,
        }
        true
    }
}

/// A port of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Its number on the packet switch engine.
    pub pse: PsePort,
    /// Its MAC address.
    pub mac: [u8; 6],
}

/// The frame engine of one chip.
pub struct FrameEngine {
    chip: &'static Chip,
    ppes: Vec<Ppe>,
    ports: Vec<([u8; 6], PsePort)>,
    pse_ports: Vec<PsePort>,
    now: u32,
    /// Faults in force.
    pub faults: Faults,
}

impl FrameEngine {
    /// A chip after reset, with ports given as MAC address and PSE port.
    pub fn new(chip: &'static Chip, ports: &[Port]) -> Self {
        Self {
            chip,
            ppes: chip.ppe_bases.iter().map(|_| Ppe::new(chip)).collect(),
            ports: ports.iter().map(|port| (port.mac, port.pse)).collect(),
            pse_ports: ports.iter().map(|port| port.pse).collect(),
            now: 0,
            faults: Faults::default(),
        }
    }

    /// The chip.
    pub fn chip(&self) -> &'static Chip {
        self.chip
    }

    /// The engines.
    pub fn ppes(&self) -> &[Ppe] {
        &self.ppes
    }

    /// The engines, to be changed.
    pub fn ppes_mut(&mut self) -> &mut [Ppe] {
        &mut self.ppes
    }

    /// Brings all engines to their state after power-up. Time, faults and statistics stay.
    pub fn reset(&mut self) {
        self.ppes.iter_mut().for_each(Ppe::reset);
    }

    /// The present, in ticks of the timestamp (seconds).
    pub fn now(&self) -> u32 {
        self.now
    }

    /// Sets the present.
    pub fn set_time(&mut self, now: u32) {
        self.now = now;
    }

    /// The engine whose block holds the offset, and the offset in it.
    fn decode(&mut self, offset: u32) -> Option<(&mut Ppe, u32)> {
        let index = self
            .chip
            .ppe_bases
            .iter()
            .position(|&base| (base..base + regs::BLOCK_SIZE).contains(&offset))?;
        Some((&mut self.ppes[index], offset - self.chip.ppe_bases[index]))
    }

    /// Reads the register at `offset` of the frame engine.
    pub fn read(&mut self, dma: &impl Dma, offset: u32) -> u32 {
        if self.faults.dead {
            return u32::MAX;
        }
        if offset == self.chip.timestamp_reg {
            return self.now;
        }
        let faults = self.faults;
        match self.decode(offset) {
            Some((ppe, offset)) => ppe.read(dma, offset, &faults),
            None => 0,
        }
    }

    /// Writes the register at `offset` of the frame engine.
    pub fn write(&mut self, dma: &impl Dma, offset: u32, value: u32) {
        if self.faults.dead {
            return;
        }
        if self.faults.lost_writes > 0 {
            self.faults.lost_writes -= 1;
            return;
        }
        if let Some((ppe, offset)) = self.decode(offset) {
            ppe.write(dma, offset, value);
        }
    }

    /// Decides about a frame that came in from the wire at PSE port `ingress`, and rewrites
    /// it if it is forwarded. The frames of all ports go to the first engine.
    pub fn process(&mut self, dma: &impl Dma, ingress: PsePort, frame: &mut FrameBuf) -> Verdict {
        let port = self.ports.iter().find(|(_, pse)| *pse == ingress);
        match port {
            Some((mac, _)) if !self.faults.dead => {
                self.ppes[0].process(dma, self.now, mac, &self.pse_ports, frame)
            }
            _ => Verdict::ToCpu {
                reason: CpuReason::PpeBypass,
            },
        }
    }

    /// Lets each engine's age scan look at up to `budget` entries.
    pub fn tick(&mut self, dma: &impl Dma, budget: u32) {
        if self.faults.dead {
            return;
        }
        for ppe in &mut self.ppes {
            ppe.scan(dma, self.now, budget);
        }
    }
}
