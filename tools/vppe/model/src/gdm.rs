// SPDX-License-Identifier: GPL-2.0-only
//! The ports of the board and their MAC side (GDM).

use crate::chip::Chip;
use crate::regs;
use crate::verdict::PsePort;

/// A port of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Number on the packet switch engine.
    pub pse: PsePort,
    /// MAC address.
    pub mac: [u8; 6],
    /// Number of the PPE to which the Ethernet driver sends the port's frames.
    pub ppe: usize,
    /// A switch is behind the port: frames come in with the switch's special tag.
    pub special_tag: bool,
}

impl Port {
    /// A port without a switch, for the first PPE.
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
pub(crate) struct Gdm {
    pub(crate) port: Port,
    /// Offset of the forward register, if the chip has one for this PSE port.
    pub(crate) fwd_offset: Option<u32>,
    /// The forward register.
    pub(crate) fwd: u32,
}

impl Gdm {
    pub(crate) fn new(chip: &Chip, port: Port) -> Self {
        let at = chip.gdm_ports.iter().position(|&pse| pse == port.pse);
        let mut this = Self {
            port,
            fwd_offset: at.and_then(|at| chip.gdm_regs.get(at).copied()),
            fwd: 0,
        };
        this.reset(chip);
        this
    }

    /// Sets the register as an Ethernet driver does: all frames go to the port's PPE.
    pub(crate) fn reset(&mut self, chip: &Chip) {
        let to = chip.ppe_ports.get(self.port.ppe).copied();
        let to = u32::from(to.unwrap_or_default());
        self.fwd = regs::GDM_FWD_CHECKSUMS.mask() | to << 12 | to << 8 | to << 4 | to;
        let special_tag = u32::from(self.port.special_tag);
        self.fwd = regs::GDM_FWD_SPECIAL_TAG.set(self.fwd, special_tag);
    }

    /// Returns the PSE port that gets a frame.
    ///
    /// **Assumption**: the forward register has a PSE port for each kind of destination
    /// address: the port's own in bits 15:12, broadcast in 11:8, multicast in 7:4, other
    /// unicast in 3:0. The facts know only values with four equal nibbles.
    #[inline]
    pub(crate) fn destination(&self, frame: &[u8]) -> PsePort {
        let field = match frame.get(..6) {
            Some(mac) if mac == self.port.mac => regs::GDM_FWD_OWN,
            Some(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => regs::GDM_FWD_BROADCAST,
            Some(mac) if mac[0] & 1 != 0 => regs::GDM_FWD_MULTICAST,
            _ => regs::GDM_FWD_OTHER,
        };
        field.get(self.fwd) as PsePort
    }

    /// Returns whether frames come in with a switch's special tag.
    pub(crate) fn special_tag(&self) -> bool {
        regs::GDM_FWD_SPECIAL_TAG.get(self.fwd) != 0
    }
}
