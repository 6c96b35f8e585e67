// SPDX-License-Identifier: GPL-2.0-only
//! The frame engine: timestamp, GDMs, PPEs, faults.

use crate::chip::Chip;
use crate::dma::Dma;
use crate::faults::Faults;
use crate::frame::FrameBuf;
use crate::gdm::{Gdm, Port};
use crate::ppe::{Arrival, Ppe};
use crate::regs;
use crate::verdict::{CpuReason, PsePort, Verdict};

/// The frame engine of one chip.
pub struct FrameEngine {
    chip: &'static Chip,
    ppes: Vec<Ppe>,
    gdms: Vec<Gdm>,
    pse_ports: Vec<PsePort>,
    now: u32,
    /// Faults in force.
    pub faults: Faults,
}

impl FrameEngine {
    /// A chip after power-up, with these ports.
    pub fn new(chip: &'static Chip, ports: &[Port]) -> Self {
        Self {
            chip,
            ppes: chip.ppe_bases.iter().map(|_| Ppe::new(chip)).collect(),
            gdms: ports.iter().map(|port| Gdm::new(chip, *port)).collect(),
            pse_ports: ports.iter().map(|port| port.pse).collect(),
            now: 0,
            faults: Faults::default(),
        }
    }

    /// The chip.
    pub fn chip(&self) -> &'static Chip {
        self.chip
    }

    /// The PPEs.
    pub fn ppes(&self) -> &[Ppe] {
        &self.ppes
    }

    /// The PPEs, to be changed.
    pub fn ppes_mut(&mut self) -> &mut [Ppe] {
        &mut self.ppes
    }

    /// Brings PPEs and GDMs to their state after power-up. Time, faults and statistics stay.
    pub fn reset(&mut self) {
        self.ppes.iter_mut().for_each(Ppe::reset);
        for gdm in &mut self.gdms {
            gdm.reset(self.chip);
        }
    }

    /// The time in ticks of the timestamp (seconds).
    pub fn now(&self) -> u32 {
        self.now
    }

    /// Sets the time in ticks of the timestamp (seconds).
    pub fn set_time(&mut self, now: u32) {
        self.now = now;
    }

    /// Returns the PPE whose block holds the offset, and the offset in the block.
    fn ppe_at(&mut self, offset: u32) -> Option<(&mut Ppe, u32)> {
        let index = self
            .chip
            .ppe_bases
            .iter()
            .position(|&base| (base..base + regs::BLOCK_SIZE).contains(&offset))?;
        Some((&mut self.ppes[index], offset - self.chip.ppe_bases[index]))
    }

    /// Returns the GDM whose forward register is at the offset.
    fn gdm_at(&mut self, offset: u32) -> Option<&mut Gdm> {
        self.gdms
            .iter_mut()
            .find(|gdm| gdm.fwd_offset == Some(offset))
    }

    /// Reads the register at `offset` of the frame engine.
    pub fn read(&mut self, dma: &impl Dma, offset: u32) -> u32 {
        if !self.faults.answers() {
            return u32::MAX;
        }
        if offset == self.chip.timestamp_reg {
            return self.now;
        }
        if let Some(gdm) = self.gdm_at(offset) {
            return gdm.fwd;
        }
        let faults = self.faults;
        match self.ppe_at(offset) {
            Some((ppe, offset)) => ppe.read(dma, offset, &faults),
            None => 0,
        }
    }

    /// Writes the register at `offset` of the frame engine.
    pub fn write(&mut self, dma: &impl Dma, offset: u32, value: u32) {
        if !self.faults.answers() {
            return;
        }
        if self.faults.lost_writes > 0 {
            self.faults.lost_writes -= 1;
            return;
        }
        if let Some(gdm) = self.gdm_at(offset) {
            gdm.fwd = value;
        } else if let Some((ppe, offset)) = self.ppe_at(offset) {
            ppe.write(dma, offset, value);
        }
    }

    /// Decides about a frame that came in from the wire at PSE port `ingress`.
    ///
    /// The forward register of the port's GDM names the PPE that gets the frame. A frame
    /// that the register sends elsewhere goes to the CPU, or is dropped. A forwarded frame
    /// is rewritten in `frame`.
    pub fn process(&mut self, dma: &impl Dma, ingress: PsePort, frame: &mut FrameBuf) -> Verdict {
        let bypass = Verdict::ToCpu {
            reason: CpuReason::PpeBypass,
            entry: None,
        };
        let Some(gdm) = self.gdms.iter().find(|gdm| gdm.port.pse == ingress) else {
            return bypass;
        };
        if self.faults.dead {
            return bypass;
        }
        let to = gdm.destination(frame.frame());
        let arrival = Arrival {
            now: self.now,
            special_tag: gdm.special_tag(),
            ports: &self.pse_ports,
        };
        match self.chip.ppe_ports.iter().position(|&port| port == to) {
            Some(ppe) => self.ppes[ppe].process(dma, &arrival, frame),
            None if to == self.chip.drop_port => Verdict::Drop,
            None => bypass,
        }
    }

    /// Lets the age scan of each PPE look at up to `budget` entries.
    pub fn tick(&mut self, dma: &impl Dma, budget: u32) {
        if self.faults.dead {
            return;
        }
        for ppe in &mut self.ppes {
            ppe.scan(dma, self.now, budget);
        }
    }
}
