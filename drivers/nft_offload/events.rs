// SPDX-License-Identifier: GPL-2.0-only

//! Events of devices, and of the paths of packets, in the core's terms.

use crate::{
    device::Device,
    ppe::{
        self,
        flow::DsaTag,
        netdev::NetId,
        ports::{
            DeviceEvent,
            UserPort, //
        }, //
    },
    revalidate::{
        self,
        Revalidation, //
    },
    rust::{
        dsa,
        fwd_events::{
            FwdEvent,
            FwdListener, //
        },
        netdev::{
            self,
            Event,
            NetDevice,
            Notify,
            Rtnl, //
        }, //
    },
    translate::{
        name,
        net_id, //
    },
};
use kernel::prelude::*;

impl Notify for Device {
    fn netdev_event(&self, event: Event, dev: &NetDevice, rtnl: &Rtnl) {
        if event == Event::Down && dev.is_ppp() {
            self.ppp_down(dev.net());
        }
        let told = to_device_event(event, dev, rtnl);
        let mut state = self.lock();
        let changes = state.engine.on_device_event(dev.net(), &told);
        if changes.full {
            dev_warn!(
                self.dev,
                "no room for another port of a switch: its flows go on in software\n"
            );
        }
        if let Some(port) = changes.removed {
            state.taps.detach(port);
        }
    }
}

fn to_device_event(event: Event, dev: &NetDevice, rtnl: &Rtnl) -> DeviceEvent {
    use ppe::netdev::Event as E;

    // The core has the number, too.
    const { assert!(dsa::TAG_MTK == DsaTag::MTK.0) };
    let is_user_port = dsa::is_user_port(dev);
    let user = if is_user_port {
        dsa::UserPort::of(dev, rtnl)
    } else {
        None
    };
    DeviceEvent {
        event: match event {
            Event::Register => E::Register,
            Event::Unregister => E::Unregister,
            Event::Down => E::Down,
            Event::ChangeMtu => E::ChangeMtu,
            Event::Up | Event::Change | Event::ChangeName | Event::ChangeLower => E::Change,
        },
        dev: ppe::netdev::Device {
            ifindex: dev.ifindex(),
            net: net_id(dev.net()),
            mtu: dev.mtu(),
            name: name(dev.copy_name()),
            // A device that is going down still says it is running.
            up: event != Event::Down && dev.forwards(),
        },
        mac: match event {
            Event::Register => dev.permanent_address(rtnl),
            _ => None,
        },
        is_user_port,
        user: user.map(|user| UserPort {
            conduit: user.conduit,
            net: NetId(user.net.to_usize()),
            number: user.number,
            tag: DsaTag(user.tag),
        }),
    }
}

impl FwdListener for Revalidation {
    fn on_event(&self, net: netdev::NetId, event: &FwdEvent) {
        use crate::ppe::revalidate::FwdEvent as E;

        let event = match *event {
            FwdEvent::Neighbour { ifindex, addr, mac } => E::Neighbour { ifindex, addr, mac },
            FwdEvent::FdbEntry { mac } => E::FdbEntry { mac },
            FwdEvent::Route { addr, len } => E::Route { addr, len },
            FwdEvent::NextHopObject => E::NextHopObject,
            FwdEvent::Device { ifindex } => E::Device { ifindex },
            FwdEvent::AllFlows { ifindex } => E::AllFlows { ifindex },
            FwdEvent::Vlan { ifindex, vid } => E::Vlan { ifindex, vid },
        };
        revalidate::notify(self, NetId(net.to_usize()), &event);
    }
}
