// SPDX-License-Identifier: GPL-2.0-only
//! The PCI device that a vfio-user client sees.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use log::{debug, error, info, warn};
use vfio_bindings::bindings::vfio::{
    vfio_region_info, VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_BAR2_REGION_INDEX,
    VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS,
    VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion};

use crate::core::Shared;
use crate::pci::{self, ConfigSpace};

/// The device: configuration space, BAR0 (the chip), BAR2 (the board).
pub struct Device {
    shared: Arc<Shared>,
    config: ConfigSpace,
    board: Vec<u8>,
}

impl Device {
    /// A device with this chip. `board` is the content of BAR2.
    pub fn new(shared: Arc<Shared>, board: Vec<u8>) -> Self {
        Self {
            shared,
            config: ConfigSpace::new(),
            board,
        }
    }

    /// Serves one client after the other.
    pub fn serve(mut self, listener: UnixListener) -> ! {
        let server = Server::from_owned_fd(OwnedFd::from(listener), true, irqs(), regions());
        loop {
            // The crate panics on some malformed messages of a client. The device must
            // survive them.
            let run = AssertUnwindSafe(|| server.run(&mut self));
            match panic::catch_unwind(run) {
                Ok(Ok(())) => info!("vfio-user: client has gone"),
                Ok(Err(error)) => {
                    warn!("vfio-user: {error}");
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(_) => error!("vfio-user: malformed message, connection closed"),
            }
            self.power_up();
            self.shared.set_connected(false);
        }
    }

    /// Brings the device to its state after power-up, without a client's memory.
    fn power_up(&mut self) {
        self.config = ConfigSpace::new();
        let mut core = self.shared.lock();
        core.memory.clear();
        core.memory.set_bus_master(false);
        core.engine.reset();
    }

    fn read_bar0(&mut self, offset: u64, data: &mut [u8]) {
        let Some(offset) = register(offset, data.len()) else {
            debug!("BAR0: read of {} bytes at {offset:#x}", data.len());
            data.fill(0);
            return;
        };
        let core = &mut *self.shared.lock();
        let value = core.engine.read(&core.memory, offset);
        data.copy_from_slice(&value.to_le_bytes());
    }

    fn write_bar0(&mut self, offset: u64, data: &[u8]) {
        let (Some(offset), Ok(value)) = (register(offset, data.len()), data.try_into()) else {
            debug!("BAR0: write of {} bytes at {offset:#x}", data.len());
            return;
        };
        let core = &mut *self.shared.lock();
        core.engine
            .write(&core.memory, offset, u32::from_le_bytes(value));
    }

    fn read_bar2(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        let Some(offset) = register(offset, data.len()) else {
            debug!("BAR2: read of {} bytes at {offset:#x}", data.len());
            return;
        };
        if !self.shared.lock().engine.faults.answers() {
            data.fill(0xff);
            return;
        }
        let offset = offset as usize;
        if let Some(word) = self.board.get(offset..offset + 4) {
            data.copy_from_slice(word);
        }
    }
}

/// Returns the offset of an access to a BAR if the access is aligned and 32 bits wide.
fn register(offset: u64, len: usize) -> Option<u32> {
    let offset = u32::try_from(offset).ok()?;
    (len == 4 && offset % 4 == 0).then_some(offset)
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "outside of the region")
}

impl ServerBackend for Device {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        self.shared.set_connected(true);
        match region {
            VFIO_PCI_CONFIG_REGION_INDEX => {
                if !self.config.read(offset, data) {
                    return Err(outside());
                }
            }
            VFIO_PCI_BAR0_REGION_INDEX => self.read_bar0(offset, data),
            VFIO_PCI_BAR2_REGION_INDEX => self.read_bar2(offset, data),
            _ => return Err(outside()),
        }
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        self.shared.set_connected(true);
        match region {
            VFIO_PCI_CONFIG_REGION_INDEX => {
                if !self.config.write(offset, data) {
                    return Err(outside());
                }
                let bus_master = self.config.bus_master();
                self.shared.lock().set_bus_master(bus_master);
            }
            VFIO_PCI_BAR0_REGION_INDEX => self.write_bar0(offset, data),
            VFIO_PCI_BAR2_REGION_INDEX => (),
            _ => return Err(outside()),
        }
        Ok(())
    }

    fn dma_map(
        &mut self,
        flags: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        fd: Option<File>,
    ) -> io::Result<()> {
        self.shared.set_connected(true);
        debug!("DMA map {address:#x}+{size:#x}, {flags:?}");
        let Some(file) = fd else {
            // The device cannot reach memory without a file. This is no error: clients map
            // such ranges too (firmware, device memory).
            debug!("DMA map {address:#x}+{size:#x}: no file");
            return Ok(());
        };
        let writable = flags.contains(DmaMapFlags::WRITE);
        let mut core = self.shared.lock();
        core.memory
            .map(address, size, file, offset, writable)
            .inspect_err(|error| warn!("DMA map {address:#x}+{size:#x}: {error}"))
    }

    fn dma_unmap(&mut self, flags: DmaUnmapFlags, address: u64, size: u64) -> io::Result<()> {
        debug!("DMA unmap {address:#x}+{size:#x}, {flags:?}");
        let mut core = self.shared.lock();
        if flags.contains(DmaUnmapFlags::UNMAP_ALL) {
            core.memory.clear();
        } else {
            core.memory.unmap(address, size);
        }
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        info!("vfio-user: device reset");
        self.config = ConfigSpace::new();
        let mut core = self.shared.lock();
        core.memory.set_bus_master(false);
        core.engine.reset();
        Ok(())
    }

    fn set_irqs(
        &mut self,
        index: u32,
        flags: u32,
        start: u32,
        count: u32,
        _fds: Vec<File>,
    ) -> io::Result<()> {
        debug!("set_irqs {index} {flags:#x} {start} {count}: the device has none");
        Ok(())
    }
}

fn regions() -> Vec<ServerRegion> {
    (0..VFIO_PCI_NUM_REGIONS)
        .map(|index| {
            let size = match index {
                VFIO_PCI_CONFIG_REGION_INDEX => pci::CONFIG_SIZE as u64,
                VFIO_PCI_BAR0_REGION_INDEX => u64::from(pci::BAR0_SIZE),
                VFIO_PCI_BAR2_REGION_INDEX => u64::from(pci::BAR2_SIZE),
                _ => 0,
            };
            let flags = if size > 0 {
                VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE
            } else {
                0
            };
            ServerRegion {
                region_info: vfio_region_info {
                    argsz: size_of::<vfio_region_info>() as u32,
                    index,
                    size,
                    flags,
                    ..Default::default()
                },
                sparse_areas: Vec::new(),
                mmap_fd: None,
            }
        })
        .collect()
}

fn irqs() -> Vec<IrqInfo> {
    (0..VFIO_PCI_NUM_IRQS)
        .map(|index| IrqInfo {
            index,
            flags: 0,
            count: 0,
        })
        .collect()
}
