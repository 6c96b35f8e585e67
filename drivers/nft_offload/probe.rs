// SPDX-License-Identifier: GPL-2.0-only

//! Putting an engine together, and taking it apart.

use crate::{
    debugfs,
    device::Device,
    platform::{
        Connections,
        Engine,
        Kernel, //
    },
    ppe::{
        chip::Chip,
        mapped::{
            MappedHw,
            Memory,
            MAX_PPES, //
        },
        obstacle::{
            Kind,
            Kinds, //
        },
        policy::Policy,
        ports::Port,
        spec::Spec, //
    },
    revalidate::{
        self,
        Revalidation, //
    },
    rust::{
        debugfs::Dir,
        dma::WordTable,
        flow_block,
        fwd_events,
        mmio::Registers,
        netdev::NotifierRegistration,
        params,
        pci::BusMaster,
        sysfs::Group, //
    },
    sysfs,
    trace::Trace,
    works::Working, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    prelude::*,
    sync::Arc, //
};

/// Memory for the tables of all PPEs. Each table has an allocation of its own, since one for all of
/// them would fail sooner.
fn memory(
    dev: &device::Device<Bound>,
    spec: &Spec,
) -> Result<[Option<Memory<WordTable>>; MAX_PPES]> {
    let mut memory = [const { None }; MAX_PPES];
    let entries = usize::from(spec.entries);
    for memory in memory.iter_mut().take(spec.caps.ppes()) {
        *memory = Some(Memory {
            entries: WordTable::new(dev, entries * spec.format.entry_words())?,
            mib: WordTable::new(dev, entries * spec.mib_words.max(1))?,
        });
    }
    Ok(memory)
}

/// The policy of the module's parameters.
fn policy() -> Policy {
    use crate::module_parameters::{
        ipv4,
        ipv6,
        refuse_multi_vlan,
        refuse_netdev_chains,
        refuse_shaped,
        refuse_tc_filters,
        refuse_xdp,
        reserve, //
    };

    let mut refuse = Kinds::NONE;
    for (value, kind) in [
        (params::value(&refuse_shaped), Kind::Shaper),
        (params::value(&refuse_tc_filters), Kind::TcFilter),
        (params::value(&refuse_netdev_chains), Kind::NetdevChain),
        (params::value(&refuse_xdp), Kind::Xdp),
        (params::value(&refuse_multi_vlan), Kind::MultiVlan),
    ] {
        if value != 0 {
            refuse = refuse.with(kind);
        }
    }
    Policy {
        refuse,
        ipv4: params::value(&ipv4) != 0,
        ipv6: params::value(&ipv6) != 0,
        reserve: params::value(&reserve),
    }
}

fn no_answer(dev: &device::Device) -> Error {
    dev_err!(dev, "the engine does not answer\n");
    EIO
}

/// Stops an engine as it was found, before it may access memory. Whoever used it before may have
/// left it running, and the memory of its tables may be somebody else's by now.
pub(crate) fn quiesce(
    dev: &device::Device,
    chip: &'static dyn Chip<Registers>,
    regs: &Registers,
) -> Result {
    chip.stop_all(regs).map_err(|_| no_answer(dev))
}

/// Stops the engine when dropped.
struct StopOnDrop(Arc<Device>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if self.0.lock().engine.stop().is_err() {
            dev_warn!(self.0.dev, "the engine did not stop in time\n");
        }
    }
}

/// An engine at work: what a bus keeps for a device.
///
/// The fields are dropped in this order: first the flows leave and no new ones come. Then the
/// notifiers and the works end, then the files go, and last the engine stops.
#[pin_data]
pub(crate) struct Probed {
    #[pin]
    offload: flow_block::Registration<Device>,
    #[pin]
    notifier: NotifierRegistration<Device>,
    #[pin]
    fwd_events: fwd_events::Registration<Revalidation>,
    working: Working,
    files: Dir<Device>,
    attrs: Group<Device>,
    stop: StopOnDrop,
}

/// The core of an engine, and its memory. This is a function of its own since it needs some
/// kilobytes of the stack, which are free again when it returns.
#[inline(never)]
fn engine(
    dev: &device::Device<Bound>,
    chip: &'static dyn Chip<Registers>,
    regs: Registers,
    ports: VVec<Port>,
) -> Result<KBox<Engine>> {
    let spec = chip.spec();
    let hw = MappedHw::new(chip, regs, memory(dev, spec)?).ok_or(EINVAL)?;
    let kernel = Kernel {
        trace: Trace::new(dev.name()),
    };
    let place = KBox::new_uninit(GFP_KERNEL)?;
    match Engine::new(kernel, Connections, hw, spec, ports, policy()) {
        Some(engine) => Ok(KBox::write(place, engine)),
        None => Err(ENOMEM),
    }
}

/// Starts the engine of `chip` behind `regs`, which is stopped ([`quiesce`]), and offers it to
/// nf_flowtable.
pub(crate) fn probe<'a>(
    dev: &'a device::Device<Bound>,
    chip: &'static dyn Chip<Registers>,
    regs: Registers,
    ports: VVec<Port>,
    bus: &'static str,
    master: BusMaster,
) -> impl PinInit<Probed, Error> + 'a {
    pin_init::pin_init_scope(move || {
        let spec = chip.spec();
        let count = ports.len();
        let device = Device::new(dev, engine(dev, chip, regs, ports)?, bus, master)?;
        let started = device.lock().engine.start();
        started.map_err(|_| no_answer(dev))?;
        let stop = StopOnDrop(device.clone());
        dev_info!(
            dev,
            "{} engine, {} entries, {count} ports\n",
            spec.name,
            spec.slots()
        );
        Ok(try_pin_init!(Probed {
            stop,
            working: Working::new(device.clone())?,
            files: Dir::new(dev.name(), &device, debugfs::FILES)?,
            attrs: Group::new(dev, c"nft_offload", &device, sysfs::ATTRS)?,
            // Ports have to know their devices before the first of them is bound.
            notifier <- NotifierRegistration::new(device.clone()),
            fwd_events <- fwd_events::Registration::new(revalidate::new(device.clone())?),
            offload <- flow_block::Registration::new(device.clone(), device.devices.clone()),
        }))
    })
}
