// SPDX-License-Identifier: GPL-2.0-only

//! PCI devices: what the series of the kernel have different interfaces for.

use super::{
    bindings,
    mmio::Registers, //
};
use kernel::{
    device::{
        Bound,
        Core,
        Device, //
    },
    dma::{
        Device as _,
        DmaMask, //
    },
    pci,
    prelude::*,
    sync::aref::ARef, //
};

/// A PCI driver.
pub trait Driver: Sized + 'static {
    /// What the driver keeps while it is bound to a device. Dropped at unbind, while the device's
    /// resources are still there.
    type Data: Send + 'static;

    /// The devices it is for.
    const ID_TABLE: pci::IdTable<()>;

    /// How many bits the addresses have by which the devices reach memory.
    const DMA_BITS: u32;

    /// Takes a device.
    fn probe(dev: &pci::Device<Core<'_>>) -> Result<impl PinInit<Self::Data, Error>>;
}

/// Makes a [`Driver`] one that the `kernel` crate registers.
pub struct Adapter<T: Driver>(T);

impl<T: Driver> Adapter<T> {
    /// What comes before [`Driver::probe()`].
    fn prepare(dev: &pci::Device<Core<'_>>) -> Result {
        let mask = DmaMask::try_new(T::DMA_BITS)?;
        // SAFETY: The core probes a device for one driver at a time, and `T`, which alone could
        // allocate or map memory for the device, has not seen it yet.
        unsafe { dev.dma_set_mask_and_coherent(mask) }
    }
}

impl<T: Driver> pci::Driver for Adapter<T> {
    type IdInfo = ();
    type Data<'bound> = T::Data;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = T::ID_TABLE;

    #[cfg(kernel_7_2)]
    fn probe<'bound>(
        dev: &'bound pci::Device<Core<'_>>,
        _info: &'bound Self::IdInfo,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        pin_init::pin_init_scope(move || {
            Self::prepare(dev)?;
            T::probe(dev)
        })
    }

    #[cfg(not(kernel_7_2))]
    fn probe<'bound>(
        dev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        pin_init::pin_init_scope(move || {
            Self::prepare(dev)?;
            T::probe(dev)
        })
    }
}

/// Claims and maps the whole of a memory BAR.
pub fn map(dev: &pci::Device<Bound>, bar: u32, name: &'static CStr) -> Result<Registers> {
    Ok(Registers::new(dev.iomap_region(bar, name)?.into_devres()?))
}

/// Lets a device access memory, as long as this exists.
pub struct BusMaster(ARef<Device>);

impl BusMaster {
    /// Allows it.
    pub fn new(dev: &pci::Device<Core<'_>>) -> Self {
        dev.set_master();
        let dev: &Device = dev.as_ref();
        Self(dev.into())
    }
}

impl Drop for BusMaster {
    fn drop(&mut self) {
        // CAST: A `Device` is transparent over the C type.
        let dev = core::ptr::from_ref::<Device>(&self.0).cast_mut().cast();
        // SAFETY: It is the device of a PCI device, to which there is a reference.
        unsafe { bindings::nft_offload_helper_pci_clear_master(dev) };
    }
}

/// Declares the table of devices a driver is for, and the module's aliases for them.
#[cfg(not(kernel_7_2))]
macro_rules! device_table {
    ($name:ident, $(($vendor:expr, $device:expr)),* $(,)?) => {
        kernel::pci_device_table!(
            $name,
            (),
            [$((kernel::pci::DeviceId::from_id($vendor, $device), ())),*]
        );
    };
}

/// Declares the table of devices a driver is for, and the module's aliases for them.
#[cfg(kernel_7_2)]
macro_rules! device_table {
    ($name:ident, $(($vendor:expr, $device:expr)),* $(,)?) => {
        kernel::pci_device_table!(
            $name,
            MODULE_PCI_TABLE,
            (),
            [$((kernel::pci::DeviceId::from_id($vendor, $device), ())),*]
        );
    };
}

pub(crate) use device_table;
