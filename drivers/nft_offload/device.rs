// SPDX-License-Identifier: GPL-2.0-only

//! One engine: the lock around its core, and what the kernel's side of it needs.
//!
//! Locking: the engine, its works and taps are behind [`Device::state`], a mutex that nests inside
//! `RTNL`, `flow_indr_block_lock`, `flow_block_lock` and the list of [`Device::devices`]. Conntrack
//! is called with it held.

use crate::{
    l2_tap::Taps,
    platform::Engine,
    ppe::{
        flow::PsePort,
        table::Record, //
    },
    rust::{
        delayed_work::Handle,
        flow_block::Devices,
        flowtable,
        netdev::{
            Net,
            NetDevice, //
        },
        pci::BusMaster, //
    },
    translate::net_id, //
};
use core::ops::{
    Deref,
    DerefMut, //
};
use kernel::{
    device,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex,
        MutexGuard, //
    }, //
};

/// The works of an engine.
pub(crate) struct Works {
    /// Gives connections of bridged flows their entries.
    pub(crate) subflows: Handle,
    /// Looks for obstacles.
    pub(crate) scan: Handle,
    /// Looks whether the engine runs.
    pub(crate) health: Handle,
}

/// What changes, under the engine's lock.
pub(crate) struct State {
    pub(crate) engine: KBox<Engine>,
    pub(crate) taps: Taps,
    /// There from the start of the engine to its end.
    pub(crate) works: Option<Works>,
}

impl State {
    /// Looks at the frames that `dev`, which is `port`, receives.
    pub(crate) fn attach_tap(&mut self, port: PsePort, dev: &NetDevice) -> Result {
        let works = self.works.as_ref().ok_or(ENODEV)?;
        self.taps.attach(port, dev, works.subflows.work().clone())
    }
}

/// The state of an engine, locked. At the drop the engine's wakes are answered, and an engine that
/// stopped answering meanwhile goes into quarantine.
pub(crate) struct Locked<'a> {
    state: MutexGuard<'a, State>,
    dev: &'a device::Device,
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Locked<'_> {
    // One copy of this is enough.
    #[inline(never)]
    fn drop(&mut self) {
        let State {
            engine,
            taps,
            works,
        } = &mut *self.state;
        let wakes = engine.take_wakes();
        if wakes.filters {
            taps.update(engine.filters());
        }
        if let Some(works) = works.as_ref().filter(|_| wakes.scan) {
            works.scan.work().request();
        }
        if engine.quarantine() {
            dev_err!(
                self.dev,
                "the {} engine does not answer any more: its flows go on in software\n",
                engine.spec().name
            );
        }
    }
}

/// An engine, and the device it was found on.
#[pin_data]
pub(crate) struct Device {
    pub(crate) dev: ARef<device::Device>,
    /// The bus it was found on.
    pub(crate) bus: &'static str,
    /// Dropped before the tables: an engine that could not be stopped may still access them.
    _master: BusMaster,
    #[pin]
    state: Mutex<State>,
    /// The devices that were taken. Its lock is not taken with the lock of `state` held.
    pub(crate) devices: Arc<Devices<Self>>,
}

impl Device {
    /// `engine` was found on `dev`.
    pub(crate) fn new(
        dev: &device::Device,
        engine: KBox<Engine>,
        bus: &'static str,
        master: BusMaster,
    ) -> Result<Arc<Self>> {
        let taps = Taps::new()?;
        Arc::pin_init(
            try_pin_init!(Self {
                dev: dev.into(),
                bus,
                _master: master,
                devices: Devices::new()?,
                state <- new_mutex!(
                    State {
                        engine,
                        taps,
                        works: None,
                    },
                    "nft_offload::Device"
                ),
            }),
            GFP_KERNEL,
        )
    }

    /// Locks the state.
    #[inline(never)]
    pub(crate) fn lock(&self) -> Locked<'_> {
        Locked {
            state: self.state.lock(),
            dev: &self.dev,
        }
    }

    /// Removes the flows for which `pred` holds from the hardware. They go on in software.
    pub(crate) fn take_out(&self, pred: &dyn Fn(&Record) -> bool) {
        self.devices.for_each_flowtable(|flowtable| {
            self.lock().engine.flush_table(flowtable, pred);
        });
        // nf_flowtable does not know the flows of tc's rules.
        self.lock().engine.flush_subflows(pred);
    }

    /// Ends the flows of `net` that leave in a PPPoE session, after a PPP link there went down.
    ///
    /// nf_flowtable knows only the lowest device of a flow. So it keeps flows whose session has
    /// ended, and goes on to send their packets into it, in software, too. A rule does not say which
    /// PPP device it is about, so all flows of a port with sessions have to start again.
    ///
    /// `RTNL` is held, so each port has one turn, whatever is offered meanwhile.
    pub(crate) fn ppp_down(&self, net: &Net) {
        let ports = self.lock().engine.ports.own().len();
        for port in 0..ports {
            let ifindex = self.lock().engine.ports.take_pppoe_port(port, net_id(net));
            if let Some(ifindex) = ifindex {
                flowtable::end_flows(net, ifindex);
            }
        }
    }
}
