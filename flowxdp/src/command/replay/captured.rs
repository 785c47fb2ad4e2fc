//! A capture's packets as the engine drives their metering.

use flowxdp_common::{
    field::{self, Group},
    reason::NotReplayed,
};
use flowxdp_core::{
    books::{Books, Bracket},
    clock::{MILLISECOND, MeterTime, Reading},
    exporting::options::Interface,
    record::{FlowRecord, Total},
};

use crate::{
    agent::engine::{
        capture::Captured,
        metering::{Metering, Sweep},
    },
    metering::meter::Meter,
    names::Namer,
};

/// The metered side of a replay.
pub(super) struct Packets {
    pub(super) meter: Meter,
    interface: Interface,
    /// The shorter timeout, nanoseconds.
    rest: u64,
    /// Where names are collected.
    namer: Option<Namer>,
}

impl Packets {
    /// The packets' interface has its ifIndex for a name.
    pub(super) fn new(meter: Meter, index: u32, rest: u64) -> Self {
        let interface = Interface { index, name: index.to_string(), description: index.to_string() };
        let namer = meter.loaded.size.groups.has(Group::Names).then(Namer::default);
        Self { meter, interface, rest, namer }
    }

    /// Reads the names in a packet that is metered, where they are collected: an Ethernet frame that had `wire` octets,
    /// at `time` in nanoseconds since 1970.
    pub(super) fn inspect(&mut self, frame: &[u8], wire: u32, time: u64) {
        if let Some(namer) = &mut self.namer {
            namer.frame(frame, wire, time / MILLISECOND);
        }
    }

    /// Counts a packet that the program is not given, `octets` long on the wire.
    pub(super) fn ignore(&mut self, reason: NotReplayed, octets: u32) {
        self.meter.ignore(reason, &self.interface.name, octets);
    }
}

impl Metering for Packets {
    fn drain(&mut self, _: MeterTime) -> anyhow::Result<bool> {
        self.meter.drain_ring();
        Ok(false)
    }

    fn drain_all(&mut self) {
        self.meter.drain_ring();
    }

    fn recover(&mut self, _: &Reading, _: u32, _: impl FnMut(FlowRecord, &[u8])) -> anyhow::Result<()> {
        Ok(())
    }

    fn sweep(&mut self, sweep: &Sweep, mut sink: impl FnMut(FlowRecord, &[u8])) -> anyhow::Result<()> {
        let Sweep { now, wall, forced, room } = *sweep;
        let Some(namer) = &mut self.namer else {
            self.meter.check(now.nanoseconds(), wall, forced, room, sink)?;
            return Ok(());
        };
        let width = field::width(self.meter.loaded.size.groups);
        self.meter.check(now.nanoseconds(), wall, forced, room, |record, more| {
            sink(record, namer.row(&record, more, width));
        })?;
        Ok(())
    }

    fn after_sweep(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn is_swept(&self) -> bool {
        self.meter.is_done()
    }

    fn next_sweep(&self, _: MeterTime) -> MeterTime {
        MeterTime::NEVER
    }

    fn check_at(&self) -> MeterTime {
        MeterTime::NEVER
    }

    fn check_interfaces(&mut self, _: MeterTime) -> anyhow::Result<()> {
        Ok(())
    }

    fn interfaces(&mut self, _: MeterTime) -> Vec<Interface> {
        vec![self.interface.clone()]
    }

    fn ignored(&self) -> Total {
        self.meter.ignored()
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn leave(&mut self) {}

    fn books(&mut self) -> anyhow::Result<(Books, Bracket)> {
        self.meter.books()
    }
}

impl Captured for Packets {
    fn next_due(&self) -> MeterTime {
        MeterTime::new(self.meter.next_due())
    }

    fn finds(&mut self, now: MeterTime) -> bool {
        self.meter.finds(now.nanoseconds())
    }

    fn rest(&self) -> u64 {
        self.rest
    }
}
