// SPDX-License-Identifier: GPL-2.0-only

//! Devices and what they do.

use super::{
    super::{
        hw::Lifecycle,
        ports::{
            Changes,
            DeviceEvent, //
        },
        shaping::{
            Place,
            Shapers, //
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

    /// Forgets where traffic is shaped, which is to be found out now. Returns what was known;
    /// `None` if it need not be found out.
    pub fn begin_scan(&mut self) -> Option<Shapers> {
        let before = self.shaping.begin_scan();
        (self.policy.refuse_shaped && self.has_work()).then_some(before)
    }

    /// Traffic is shaped in namespace `net` at `found`. Flows that pass there leave the hardware,
    /// unless that was known `before`.
    pub fn shaped(&mut self, net: &Net<P>, before: &Shapers, found: &Shapers) {
        if !found.are_among(before) {
            self.flush(net, |record| found.pass(&record.flow));
        }
        self.shaping.add(found);
    }

    /// Whether the log has to be told that traffic is shaped there.
    pub fn warn_once(&mut self, place: Place) -> bool {
        self.shaping.warn_once(place)
    }
}
