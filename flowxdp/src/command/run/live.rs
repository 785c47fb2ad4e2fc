//! Live metering as the engine drives it: flow tables, interfaces that come and go, pins of tables that drain.

use std::rc::Rc;

use flowxdp_core::{
    books::{Books, Bracket},
    clock::{MeterTime, Reading},
    exporting::options::Interface,
    record::{FlowRecord, Total},
};

use super::{
    interfaces::Interfaces,
    reload::{Reload, Running},
};
use crate::{
    agent::engine::metering::{Applied, Metering, Sweep},
    exporting::dispatch::Dispatch,
    kernel::{chain::Chain, pin::Pins},
    metering::{inspection::Inspection, meter::Meter},
};

/// The metered side of an agent.
pub(super) struct Live {
    pub(super) meter: Meter,
    pub(super) interfaces: Interfaces,
    pins: Option<Rc<Pins>>,
    reload: Reload,
    inspection: Inspection,
}

impl Live {
    pub(super) fn new(
        mut meter: Meter,
        interfaces: Interfaces,
        pins: Option<Rc<Pins>>,
        reload: Reload,
    ) -> Self {
        let inspection = Inspection::new(meter.loaded.copies.take());
        Self { meter, interfaces, pins, reload, inspection }
    }
}

impl Metering for Live {
    fn drain(&mut self, now: MeterTime) -> anyhow::Result<bool> {
        let more = self.meter.drain_some();
        self.meter.hand_over(now.nanoseconds())?;
        Ok(more)
    }

    fn drain_all(&mut self) {
        self.meter.drain_ring();
    }

    fn inspect(&mut self, at: &Reading) -> Option<bool> {
        self.inspection.has_rings().then(|| self.inspection.turn(at.wall))
    }

    fn recover(
        &mut self,
        at: &Reading,
        known: u32,
        mut sink: impl FnMut(FlowRecord, &[u8]),
    ) -> anyhow::Result<()> {
        let groups = self.meter.loaded.size.groups;
        let named = |record, more: &[u8]| self.inspection.record(groups, record, more, &mut sink);
        self.meter.recover(at.now.monotonic.nanoseconds(), at.wall, known, named)
    }

    fn sweep(&mut self, sweep: &Sweep, mut sink: impl FnMut(FlowRecord, &[u8])) -> anyhow::Result<()> {
        if sweep.forced.is_some() {
            // Every flow retires now: its record is to have the names that were copied.
            self.inspection.all(sweep.wall);
        }
        let groups = self.meter.loaded.size.groups;
        let named = |record, more: &[u8]| self.inspection.record(groups, record, more, &mut sink);
        self.meter.check(sweep.now.nanoseconds(), sweep.wall, sweep.forced, sweep.room, named)?;
        Ok(())
    }

    fn after_sweep(&mut self) -> anyhow::Result<()> {
        self.meter.say_partitions();
        if self.meter.loaded.chain.as_ref().is_some_and(Chain::has_changed) {
            self.interfaces.hurry();
        }
        // A table of another size is removed once it is empty.
        let Some(pins) = &self.pins else { return Ok(()) };
        for generation in self.meter.emptied() {
            pins.remove(&generation)?;
            log::info!("the table of another size is empty, and removed");
        }
        Ok(())
    }

    fn is_swept(&self) -> bool {
        self.meter.is_done()
    }

    fn next_sweep(&self, last: MeterTime) -> MeterTime {
        MeterTime::new(self.meter.next_sweep(last.nanoseconds()))
    }

    fn check_at(&self) -> MeterTime {
        MeterTime::new(self.interfaces.check_at())
    }

    fn check_interfaces(&mut self, now: MeterTime) -> anyhow::Result<()> {
        self.interfaces.check(&mut self.meter, now.nanoseconds())
    }

    fn interfaces(&mut self, now: MeterTime) -> Vec<Interface> {
        self.interfaces.announced(now.nanoseconds(), self.meter.rest())
    }

    fn ignored(&self) -> Total {
        self.meter.ignored()
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        self.meter.stop()?;
        self.interfaces.close_tap();
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(chain) = &mut self.meter.loaded.chain {
            chain.leave();
        }
        self.meter.loaded.leave_classifiers();
    }

    fn can_reload(&self) -> bool {
        self.reload.has_file()
    }

    fn reload(&mut self) -> anyhow::Result<()> {
        self.reload.begin(&mut self.meter)
    }

    fn reloaded(
        &mut self,
        at: &Reading,
        dispatch: &mut Dispatch,
    ) -> anyhow::Result<Option<anyhow::Result<Applied>>> {
        let before = self.meter.generation();
        let mut running = Running { meter: &mut self.meter, interfaces: &mut self.interfaces, dispatch };
        let reloaded = self.reload.poll(&mut running, at);
        if self.meter.generation() != before {
            self.inspection.replace(self.meter.loaded.copies.take());
        }
        reloaded
    }

    fn books(&mut self) -> anyhow::Result<(Books, Bracket)> {
        let (mut books, bracket) = self.meter.books()?;
        self.interfaces.name_hooks(&mut books);
        books.names = self.inspection.books();
        Ok((books, bracket))
    }
}
