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
    /// After so many more accesses it is dead; 0: that is not to come.
    pub dying: u32,
    /// So many of the next register writes are ignored.
    pub lost_writes: u32,
}

impl Faults {
    /// The names [`Faults::set`] knows.
    pub const NAMES: &'static [&'static str] = &["stuck-busy", "mib-stuck", "dead", "lost-writes"];

    /// Switches a fault; `count` is the number of writes for `lost-writes`, and for `dead` that
    /// of the first access without an answer.
    ///
    /// Says whether there is a fault of that name.
    pub fn set(&mut self, name: &str, on: bool, count: u32) -> bool {
        match name {
            "stuck-busy" => self.stuck_busy = on,
            "mib-stuck" => self.mib_stuck = on,
            "dead" => {
                self.dead = on && count <= 1;
                self.dying = if on { count.saturating_sub(1) } else { 0 };
            }
            "lost-writes" => self.lost_writes = if on { count } else { 0 },
            _ => return false,
        }
        true
    }

    /// Says whether an access is answered, and counts it.
    pub fn answers(&mut self) -> bool {
        let answers = !self.dead;
        if self.dying > 0 {
            self.dying -= 1;
            self.dead = self.dying == 0;
        }
        answers
    }
}

/// A port of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Its number on the packet switch engine.
    pub pse: PsePort,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// The engine that gets its frames, as the Ethernet driver would have said.
    pub ppe: usize,
    /// A switch is behind it, and its frames come in with that switch's special tag.
    pub special_tag: bool,
}

impl Port {
    /// A port without a switch, for the first engine.
    pub const fn new(pse: PsePort, mac: [u8; 6]) -> Self {
        Self {
            pse,
            mac,
            ppe: 0,
            special_tag: false,
        }
    }
}

/// The MAC side of a port.
#[derive(Debug, Clone, Copy)]
struct Gdm {
    port: Port,
    /// Offset of its forward register, if the chip has one for this PSE port.
    reg: Option<u32>,
    /// That register.
    fwd: u32,
}

impl Gdm {
    fn new(chip: &Chip, port: Port) -> Self {
        let at = chip.gdm_ports.iter().position(|&pse| pse == port.pse);
        let mut this = Self {
            port,
            reg: at.and_then(|at| chip.gdm_regs.get(at).copied()),
            fwd: 0,
        };
        this.reset(chip);
        this
    }

    /// The register as an Ethernet driver leaves it: everything to the port's engine.
    fn reset(&mut self, chip: &Chip) {
        let to = chip.ppe_ports.get(self.port.ppe).copied();
        let to = u32::from(to.unwrap_or_default());
        self.fwd = regs::GDM_FWD_CHECKSUMS.mask() | to << 12 | to << 8 | to << 4 | to;
        let special_tag = u32::from(self.port.special_tag);
        self.fwd = regs::GDM_FWD_SPECIAL_TAG.set(self.fwd, special_tag);
    }

    /// The PSE port that gets a frame.
    ///
    /// **Assumption**: the forward register has a PSE port for each kind of destination
    /// address: the port's own in bits 15:12, broadcast in 11:8, multicast in 7:4, other
    /// unicast in 3:0. The facts have only values with four times the same.
    fn to(&self, frame: &[u8]) -> PsePort {
        let field = match frame.get(..6) {
            Some(mac) if mac == self.port.mac => regs::GDM_FWD_OWN,
            Some(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => regs::GDM_FWD_BROADCAST,
            Some(mac) if mac[0] & 1 != 0 => regs::GDM_FWD_MULTICAST,
            _ => regs::GDM_FWD_OTHER,
        };
        field.get(self.fwd) as PsePort
    }
}

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
    /// A chip after reset, with these ports.
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
        for gdm in &mut self.gdms {
            gdm.reset(self.chip);
        }
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

    /// The port whose forward register is at the offset.
    fn gdm(&mut self, offset: u32) -> Option<&mut Gdm> {
        self.gdms.iter_mut().find(|gdm| gdm.reg == Some(offset))
    }

    /// Reads the register at `offset` of the frame engine.
    pub fn read(&mut self, dma: &impl Dma, offset: u32) -> u32 {
        if !self.faults.answers() {
            return u32::MAX;
        }
        if offset == self.chip.timestamp_reg {
            return self.now;
        }
        if let Some(gdm) = self.gdm(offset) {
            return gdm.fwd;
        }
        let faults = self.faults;
        match self.decode(offset) {
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
        if let Some(gdm) = self.gdm(offset) {
            gdm.fwd = value;
        } else if let Some((ppe, offset)) = self.decode(offset) {
            ppe.write(dma, offset, value);
        }
    }

    /// Decides about a frame that came in from the wire at PSE port `ingress`, and rewrites
    /// it if it is forwarded. The forward register of the port's GDM says which engine gets
    /// it; what it sends elsewhere goes to the CPU, or is dropped.
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
        let to = gdm.to(frame.frame());
        let special_tag = regs::GDM_FWD_SPECIAL_TAG.get(gdm.fwd) != 0;
        match self.chip.ppe_ports.iter().position(|&port| port == to) {
            Some(ppe) => self.ppes[ppe].process(dma, self.now, special_tag, &self.pse_ports, frame),
            None if to == self.chip.drop_port => Verdict::Drop,
            None => bypass,
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
