// SPDX-License-Identifier: GPL-2.0-only

//! Devices and what they do.

use super::{
    super::{
        hw::Lifecycle,
        obstacle::{
            Kinds,
            Obstacles,
            Place, //
        },
        ports::{
            Changes,
            DeviceEvent, //
        }, //
    },
    Engine,
    Net,
    Platform, //
};

impl<P: Platform> Engine<P> {
    /// Something happened to a device, which is in `net`.
    pub fn on_device_event(&mut self, net: &Net<P>, event: &DeviceEvent) -> Changes {
        let changes = self.ports.on_event(event);
        if let Some(port) = changes.down {
            self.flush(net, |record| record.flow.uses(port));
        }
        if let Some(gone) = changes.switch_down {
            self.flush(net, |record| {
                record.flow.ingress == gone || record.flow.egress == gone
            });
        }
        if changes.mtu {
            self.update_mtu();
        }
        self.wakes.scan |= self.has_work();
        changes
    }

    pub(super) fn update_mtu(&mut self) {
        let mtu = self.ports.mtu();
        let _ = self.table.hw.set_mtu(mtu);
    }

    /// Forgets the obstacles, which are to be found anew; `before` becomes those that were known.
    /// Returns the kinds that are looked for; `None` if there is no reason to look.
    pub fn begin_scan(&mut self, before: &mut Obstacles) -> Option<Kinds> {
        self.warned.begin_scan();
        *before = self.obstacles;
        self.obstacles = Obstacles::NONE;
        self.has_work().then_some(self.policy.obstacles())
    }

    /// There are these obstacles in namespace `net`. Flows that meet one leave the hardware, unless
    /// it was known `before`.
    pub fn found(&mut self, net: &Net<P>, before: &Obstacles, found: &Obstacles) {
        if !found.are_among(before) {
            self.flush(net, |record| found.admit(&record.flow).is_err());
        }
        self.obstacles.add_all(found);
    }

    /// Whether the log has to be told of an obstacle there.
    pub fn warn_once(&mut self, place: Place) -> bool {
        self.warned.warn_once(place)
    }
}
