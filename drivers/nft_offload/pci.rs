// SPDX-License-Identifier: GPL-2.0-only

//! The emulated board: an engine behind PCI. Its contract is `Documentation/emulated-board.md`.

use crate::{
    ppe::{
        chip,
        flow::PsePort,
        ports::Port, //
    },
    probe::{
        self,
        Probed, //
    },
    rust::{
        mmio::Registers,
        pci, //
    }, //
};
use kernel::{
    device::Core,
    pci::{
        Device,
        IdTable,
        Vendor, //
    },
    prelude::*, //
};

/// What the module registers with the PCI bus.
pub(crate) type Adapter = kernel::pci::Adapter<pci::Adapter<Board>>;

const DEVICE_ID: u32 = 0x10f7;

pci::device_table!(PCI_TABLE, (Vendor::REDHAT_QUMRANET, DEVICE_ID));

/// BAR with the chip's registers.
const BAR_CHIP: u32 = 0;
/// BAR with the description of the board.
const BAR_BOARD: u32 = 2;

const BOARD_MAGIC: usize = 0x00;
const BOARD_VERSION: usize = 0x04;
const BOARD_CHIP: usize = 0x08;
const BOARD_PORTS: usize = 0x0c;
const BOARD_PORT: usize = 0x40;
const BOARD_PORT_STRIDE: usize = 0x10;
const BOARD_PORT_PSE: usize = 0x0;
const BOARD_PORT_MAC_LOW: usize = 0x4;
const BOARD_PORT_MAC_HIGH: usize = 0x8;

/// `VPPE` in memory.
const MAGIC: u32 = u32::from_le_bytes(*b"VPPE");
/// The layout of the description that is understood.
const LAYOUT: u32 = 1;
const MAX_PORTS: u32 = 16;

/// The driver of the emulated board.
pub(crate) struct Board;

impl Board {
    fn read_port(dev: &Device<Core<'_>>, board: &Registers, index: usize) -> Result<Port> {
        let at = BOARD_PORT + index * BOARD_PORT_STRIDE;
        let number = board.read(at + BOARD_PORT_PSE)?;
        let Ok(pse) = u8::try_from(number) else {
            dev_err!(
                dev,
                "port {index} has the number {number:#x}, expected 0 to 255\n"
            );
            return Err(ENODEV);
        };
        let [a, b, c, d] = board.read(at + BOARD_PORT_MAC_LOW)?.to_le_bytes();
        let [e, f, ..] = board.read(at + BOARD_PORT_MAC_HIGH)?.to_le_bytes();
        Ok(Port::new(PsePort(pse), [a, b, c, d, e, f]))
    }
}

impl pci::Driver for Board {
    type Data = Probed;

    const ID_TABLE: IdTable<()> = &PCI_TABLE;

    // As many as the base register of a table has.
    const DMA_BITS: u32 = 32;

    fn probe(dev: &Device<Core<'_>>) -> Result<impl PinInit<Self::Data, Error>> {
        dev.enable_device_mem()?;

        let board = pci::map(dev, BAR_BOARD, c"nft_offload board")?;
        let magic = board.read(BOARD_MAGIC)?;
        if magic != MAGIC {
            dev_err!(
                dev,
                "magic {magic:#010x} is not {MAGIC:#010x}: not an emulated board\n"
            );
            return Err(ENODEV);
        }
        let layout = board.read(BOARD_VERSION)?;
        if layout != LAYOUT {
            dev_err!(
                dev,
                "the board's description has layout {layout}, this module knows {LAYOUT}: use the vppe of the same release\n"
            );
            return Err(ENODEV);
        }
        let id = board.read(BOARD_CHIP)?;
        let Some(chip) = chip::by_id(id) else {
            dev_err!(dev, "chip {id:#06x} is not known to this module\n");
            return Err(ENODEV);
        };
        let count = board.read(BOARD_PORTS)?;
        if !(1..=MAX_PORTS).contains(&count) {
            dev_err!(dev, "{count} ports, expected 1 to {MAX_PORTS}\n");
            return Err(ENODEV);
        }
        let mut ports = VVec::new();
        for index in 0..count {
            ports.push(Self::read_port(dev, &board, index.try_into()?)?, GFP_KERNEL)?;
        }

        let registers = pci::map(dev, BAR_CHIP, c"nft_offload chip")?;
        probe::quiesce(dev.as_ref(), chip, &registers)?;
        let master = pci::BusMaster::new(dev);

        Ok(probe::probe(
            dev.as_ref(),
            chip,
            registers,
            ports,
            "pci",
            master,
        ))
    }
}
