// SPDX-License-Identifier: GPL-2.0-only

//! The ports of an engine and those of switches behind them, and the network devices that they are.

use super::{
    flow::{
        DsaPort,
        DsaTag,
        Endpoint,
        Flow,
        PsePort, //
    },
    list::{
        Full,
        List, //
    },
    mapped::DEFAULT_MTU,
    netdev::{
        Device,
        Event,
        Name,
        NetId, //
    },
    platform::Storage,
    reject::Reject, //
};

/// What PPPoE and PPP take of a frame, in bytes.
const PPPOE_LEN: u32 = 8;

/// Ports of switches (DSA user ports) that are known at once, at most.
pub const MAX_SWITCH_PORTS: usize = 64;

/// A port of the engine, and the network device that is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The engine's number of the port.
    pub pse: PsePort,
    /// The permanent address of its device.
    pub mac: [u8; 6],
    /// The device, once there is one.
    pub dev: Option<Device>,
    /// Flows that leave here in a PPPoE session were offered since the last PPP link went down.
    has_pppoe_flows: bool,
}

impl Port {
    /// A port without device.
    pub const fn new(pse: PsePort, mac: [u8; 6]) -> Self {
        Self {
            pse,
            mac,
            dev: None,
            has_pppoe_flows: false,
        }
    }

    fn is(&self, ifindex: i32, net: NetId) -> bool {
        self.dev.is_some_and(|dev| dev.is(ifindex, net))
    }

    fn is_up(&self) -> bool {
        self.dev.is_some_and(|dev| dev.up)
    }
}

/// To which port of a switch the frames of a device go, and how: what the kernel says of a DSA user
/// port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserPort {
    /// Interface index of the conduit, the device by which the CPU reaches the switch.
    pub conduit: i32,
    /// The namespace of the conduit.
    pub net: NetId,
    /// The switch's number of the port.
    pub number: u8,
    /// The protocol of the tags on the conduit.
    pub tag: DsaTag,
}

/// A port of an Ethernet switch, behind a port of whatever engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchPort {
    /// Its device.
    pub dev: Device,
    user: UserPort,
}

impl SwitchPort {
    const EMPTY: Self = Self {
        dev: Device::NONE,
        user: UserPort {
            conduit: 0,
            net: NetId(0),
            number: 0,
            tag: DsaTag(0),
        },
    };
}

/// What is known of a device after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceEvent {
    /// The event.
    pub event: Event,
    /// The device.
    pub dev: Device,
    /// The permanent Ethernet address of a device that was registered.
    pub mac: Option<[u8; 6]>,
    /// The device is a DSA user port, linked to a conduit or not.
    pub is_user_port: bool,
    /// Its conduit and switch, if it is linked.
    pub user: Option<UserPort>,
}

/// What an event comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Frames no longer pass by this port, nor by any port of a switch behind it.
    pub down: Option<PsePort>,
    /// Frames no longer pass by this port of a switch.
    pub switch_down: Option<Endpoint>,
    /// The device of this port is gone.
    pub removed: Option<PsePort>,
    /// The smallest MTU may be another one.
    pub mtu: bool,
    /// There was no room for another port of a switch, for the first time: its flows stay in
    /// software.
    pub full: bool,
}

/// All ports.
pub struct Ports<S: Storage> {
    ports: S::Vec<Port>,
    /// Every user port that there is.
    switch_ports: List<S::Vec<SwitchPort>>,
    /// The smallest MTU.
    mtu: u32,
    /// [`Changes::full`] was given once.
    told_full: bool,
}

impl<S: Storage> Ports<S> {
    /// The ports of an engine, none of which has a device. `None` if there is no memory.
    pub fn new(ports: S::Vec<Port>) -> Option<Self> {
        Some(Self {
            ports,
            switch_ports: List::new(S::filled(SwitchPort::EMPTY, MAX_SWITCH_PORTS)?),
            mtu: DEFAULT_MTU,
            told_full: false,
        })
    }

    /// The engine's own ports.
    #[inline]
    pub fn own(&self) -> &[Port] {
        &self.ports
    }

    /// The ports of switches behind these.
    pub fn of_switches(&self) -> impl Iterator<Item = (Endpoint, &Device)> {
        let ports = self.switch_ports.as_slice().iter();
        ports.filter_map(|port| Some((self.endpoint(port)?, &port.dev)))
    }

    /// The engine's port whose device this is.
    pub fn port_of(&self, ifindex: i32, net: NetId) -> Option<PsePort> {
        let port = self.ports.iter().find(|port| port.is(ifindex, net))?;
        Some(port.pse)
    }

    /// The port whose device this is, of the engine or of a switch.
    #[inline]
    pub fn find(&self, ifindex: i32, net: NetId) -> Option<Endpoint> {
        if let Some(port) = self.port_of(ifindex, net) {
            return Some(port.into());
        }
        let mut ports = self.switch_ports.as_slice().iter();
        self.endpoint(ports.find(|port| port.dev.is(ifindex, net))?)
    }

    /// Where a port of a switch is, if it is behind one of the engine's.
    fn endpoint(&self, port: &SwitchPort) -> Option<Endpoint> {
        let user = &port.user;
        Some(Endpoint {
            port: self.port_of(user.conduit, user.net)?,
            dsa: Some(DsaPort {
                tag: user.tag,
                number: user.number,
            }),
        })
    }

    /// The port that has a device of this name.
    pub fn by_name(&self, name: &str) -> Option<Endpoint> {
        let is = |dev: &Device| dev.name.is(name);
        let mut ports = self.ports.iter();
        if let Some(port) = ports.find(|port| port.dev.as_ref().is_some_and(is)) {
            return Some(port.pse.into());
        }
        let mut ports = self.switch_ports.as_slice().iter();
        self.endpoint(ports.find(|port| is(&port.dev))?)
    }

    /// The name of the device of a port.
    pub fn name_of(&self, at: Endpoint) -> Option<Name> {
        if at.dsa.is_some() {
            let (_, dev) = self.of_switches().find(|(endpoint, _)| *endpoint == at)?;
            return Some(dev.name);
        }
        let port = self.ports.iter().find(|port| port.pse == at.port)?;
        Some(port.dev?.name)
    }

    /// The interface index of the device of a port.
    pub fn ifindex_of(&self, at: Endpoint) -> Option<i32> {
        if at.dsa.is_some() {
            let (_, dev) = self.of_switches().find(|(endpoint, _)| *endpoint == at)?;
            return Some(dev.ifindex);
        }
        let port = self.ports.iter().find(|port| port.pse == at.port)?;
        Some(port.dev?.ifindex)
    }

    /// Whether frames can pass there: at a port of a switch, through both it and the conduit.
    #[inline]
    pub fn is_up(&self, at: Endpoint) -> bool {
        let mut ports = self.ports.iter();
        ports.any(|port| port.pse == at.port && port.is_up())
            && (at.dsa.is_none()
                || self
                    .of_switches()
                    .any(|(endpoint, dev)| dev.up && endpoint == at))
    }

    /// The largest packet that every port takes, in bytes from the IP header on: the only limit
    /// that an engine has.
    #[inline]
    pub fn mtu(&self) -> u32 {
        self.mtu
    }

    /// Whether no packet of `flow` can be larger than its route takes, which is `mtu`, or 0 if that
    /// is not known. The engine would forward it where the kernel does not.
    ///
    /// A session of PPPoE takes 8 bytes less than its port. The engine counts 4 of them.
    #[inline]
    pub fn admit_mtu(&self, flow: &Flow, mtu: u32) -> Result<(), Reject> {
        let session = match flow.out_encap.pppoe {
            Some(_) => PPPOE_LEN,
            None => 0,
        };
        if mtu != 0 && mtu.saturating_add(session) < self.mtu {
            return Err(Reject::Mtu);
        }
        Ok(())
    }

    /// A conduit's MTU has room for the tag.
    fn smallest_mtu(&self) -> u32 {
        let own = self.ports.iter().filter_map(|port| port.dev);
        let mtus = own.map(|dev| dev.mtu);
        let smallest = mtus.chain(self.of_switches().map(|(_, dev)| dev.mtu)).min();
        smallest.unwrap_or(DEFAULT_MTU)
    }

    /// The namespaces in which there are ports, each once.
    pub fn net(&self, nth: usize) -> Option<NetId> {
        let net_of = |port: &Port| Some(port.dev?.net);
        let net = net_of(self.ports.get(nth)?)?;
        let mut before = self.ports.iter().take(nth).filter_map(net_of);
        (!before.any(|other| other == net)).then_some(net)
    }

    /// A flow leaves by this port in a PPPoE session.
    pub fn mark_pppoe(&mut self, at: PsePort) {
        if let Some(port) = self.ports.iter_mut().find(|port| port.pse == at) {
            port.has_pppoe_flows = true;
        }
    }

    /// The device of the `nth` port, if it is in `net` and flows left by it in a PPPoE session
    /// since it was last asked for.
    pub fn take_pppoe_port(&mut self, nth: usize, net: NetId) -> Option<i32> {
        let port = self.ports.get_mut(nth)?;
        let dev = port.dev.filter(|dev| dev.net == net)?;
        core::mem::take(&mut port.has_pppoe_flows).then_some(dev.ifindex)
    }

    /// Something happened to a device.
    pub fn on_event(&mut self, event: &DeviceEvent) -> Changes {
        let mut changes = Changes {
            mtu: event.is_user_port
                || matches!(
                    event.event,
                    Event::Register | Event::Unregister | Event::ChangeMtu
                ),
            ..Changes::default()
        };
        self.on_port_event(event, &mut changes);
        if event.is_user_port {
            match self.on_switch_event(event) {
                Ok(down) => changes.switch_down = down,
                Err(Full) => {
                    changes.full = !self.told_full;
                    self.told_full = true;
                }
            }
        }
        if changes.mtu {
            self.mtu = self.smallest_mtu();
        }
        changes
    }

    fn on_port_event(&mut self, event: &DeviceEvent, changes: &mut Changes) {
        let dev = &event.dev;
        let mut ports = self.ports.iter_mut();
        let port = match event.event {
            // User ports may have the address of their conduit.
            Event::Register if event.is_user_port => None,
            Event::Register => ports.find(|port| event.mac == Some(port.mac) && port.dev.is_none()),
            _ => ports.find(|port| port.is(dev.ifindex, dev.net)),
        };
        let Some(port) = port else {
            return;
        };
        let was_up = port.is_up();
        port.dev = (event.event != Event::Unregister).then_some(*dev);
        changes.down = (was_up && !port.is_up()).then_some(port.pse);
        changes.removed = port.dev.is_none().then_some(port.pse);
    }

    /// Returns where frames no longer pass.
    fn on_switch_event(&mut self, event: &DeviceEvent) -> Result<Option<Endpoint>, Full> {
        let dev = &event.dev;
        let is = |port: &SwitchPort| port.dev.is(dev.ifindex, dev.net);
        let before = self.switch_ports.as_slice().iter().copied().find(is);
        let user = match event.event {
            Event::Unregister => None,
            // While a switch goes away, its conduit is none any more before its ports go down.
            Event::Down => before.map(|port| port.user),
            _ => event.user,
        };
        let now = user.map(|user| SwitchPort { dev: *dev, user });

        let forwards = |port: SwitchPort| self.endpoint(&port).filter(|_| port.dev.up);
        let (was, is_now) = (before.and_then(forwards), now.and_then(forwards));
        match (before, now) {
            (Some(_), Some(now)) => {
                let mut ports = self.switch_ports.as_mut_slice().iter_mut();
                if let Some(port) = ports.find(|port| is(port)) {
                    *port = now;
                }
            }
            (Some(_), None) => self.switch_ports.retain(|port| !is(port)),
            (None, Some(now)) => self.switch_ports.push(now)?,
            (None, None) => {}
        }
        Ok(was.filter(|_| was != is_now))
    }
}
