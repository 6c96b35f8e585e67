// SPDX-License-Identifier: GPL-2.0-only

//! The hardware, started, stopped and looked after.

use super::{
    super::{
        count::inc,
        flow::PsePort,
        health::Verdict,
        hw::{
            Hw,
            Lifecycle, //
        },
        platform::HwError,
        ports::Ports, //
    },
    Engine,
    Platform, //
};

impl<P: Platform> Engine<P> {
    fn pse_ports(ports: &Ports<P>) -> impl Iterator<Item = PsePort> + '_ {
        ports.own().iter().map(|port| port.pse)
    }

    /// Starts it.
    pub fn start(&mut self) -> Result<(), HwError> {
        let started = self.table.hw.start(Self::pse_ports(&self.ports));
        // One that did not start is no news later.
        self.quarantined = started.is_err();
        started
    }

    /// Stops it. Fails if it does not answer, which is no news if it did not before.
    pub fn stop(&mut self) -> Result<(), HwError> {
        let known = !self.table.hw.is_alive();
        match self.table.hw.stop() {
            Err(HwError) if known => Ok(()),
            stopped => stopped,
        }
    }

    /// To be called at the end of all that was done under one lock: if the engine stopped answering
    /// meanwhile, no entry of its table stays valid. Returns whether it did.
    pub fn quarantine(&mut self) -> bool {
        let news = !self.table.hw.is_alive() && !self.quarantined;
        if news {
            self.quarantined = true;
            inc(&mut self.counters.quarantined);
            let name = self.spec().name;
            self.table.host.quarantined(name);
            self.invalidate_all();
        }
        news
    }

    /// No entry of the table is valid after that, whether the engine answers or not.
    fn invalidate_all(&mut self) {
        for slot in (0..=u16::MAX).take(self.table.capacity()) {
            let _ = self.table.hw.invalidate(slot);
        }
        self.table.mark_all_unbound();
    }

    /// Looks whether the engine runs, and starts it again, empty, if it answers and does not. All
    /// flows have to be taken out then, by [`Verdict::Restarted`]. An engine that has to wait for
    /// that is dead until then: its entries are gone, and it takes none.
    pub fn look_after(&mut self) -> Verdict {
        let running = self.table.hw.check();
        let now_ms = self.table.host.now_ms();
        match running {
            Err(HwError) => {
                self.health.stopped();
                return Verdict::Silent;
            }
            Ok(true) if self.table.hw.is_alive() => {
                self.health.runs(now_ms);
                return Verdict::Running;
            }
            Ok(_) => self.health.stopped(),
        }
        if !self.health.may_start(now_ms) {
            self.table.hw.give_up();
            return Verdict::Waiting;
        }
        self.invalidate_all();
        if self.table.hw.restart(Self::pse_ports(&self.ports)).is_err() {
            return Verdict::Failed;
        }
        self.quarantined = false;
        inc(&mut self.counters.restarted);
        self.update_mtu();
        Verdict::Restarted
    }
}
