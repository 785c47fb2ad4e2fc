//! A metered side for tests: flows with the instants at which they are due, and a ring buffer that a flood fills.

use flowxdp_core::{
    books::{Books, Bracket},
    clock::{MeterTime, Reading, SECOND},
    exporting::options::Interface,
    record::{EndReason, FlowRecord, RecordTotal, Total},
};

use crate::{
    agent::engine::metering::{Applied, Metering, Sweep},
    config::Config,
    exporting::dispatch::Dispatch,
    exporting::exporter::Settings,
};

/// Flows by their source ports, and the calls of the engine.
#[derive(Default)]
pub(super) struct Flows {
    /// Each with the instant at which it is due.
    pub(super) table: Vec<(u64, FlowRecord)>,
    /// The ring buffer never runs empty.
    pub(super) flood: bool,
    /// Turns that took packets out of it.
    pub(super) drained: u64,
    /// The times of the sweeps.
    pub(super) sweeps: Vec<u64>,
    /// The times at which interfaces were listed, and when the next list is due.
    pub(super) checks: Vec<MeterTime>,
    pub(super) check_at: MeterTime,
    pub(super) stopped: u64,
    pub(super) left: u64,
    pub(super) metered: RecordTotal,
    pub(super) is_swept: bool,
    /// The next configuration, and the settings of its exporters.
    pub(super) next: Option<(Config, Settings)>,
}

impl Flows {
    /// More flows, due at `due`.
    pub(super) fn meter(&mut self, due: u64, records: impl Iterator<Item = FlowRecord>) {
        for record in records {
            self.metered.count(&record);
            self.table.push((due, record));
        }
    }
}

impl Metering for Flows {
    fn drain(&mut self, _: MeterTime) -> anyhow::Result<bool> {
        self.drained += u64::from(self.flood);
        Ok(self.flood)
    }

    fn drain_all(&mut self) {}

    fn recover(&mut self, _: &Reading, _: u32, _: impl FnMut(FlowRecord, &[u8])) -> anyhow::Result<()> {
        Ok(())
    }

    fn sweep(&mut self, sweep: &Sweep, mut sink: impl FnMut(FlowRecord, &[u8])) -> anyhow::Result<()> {
        let now = sweep.now.nanoseconds();
        self.sweeps.push(now);
        if sweep.room == 0 {
            self.is_swept = false;
            return Ok(());
        }
        let is_due = |due: u64| due <= now || sweep.forced.is_some();
        let (due, rest): (Vec<_>, _) =
            std::mem::take(&mut self.table).into_iter().partition(|(due, _)| is_due(*due));
        self.table = rest;
        self.is_swept = due.len() < sweep.room;
        let retiring = due.len().min(sweep.room);
        for (at, (due, mut record)) in due.into_iter().enumerate() {
            if at < retiring {
                record = record.with(|flow| flow.end_reason = sweep.forced.unwrap_or(EndReason::IdleTimeout));
                sink(record, &[]);
            } else {
                self.table.push((due, record));
            }
        }
        Ok(())
    }

    fn after_sweep(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn is_swept(&self) -> bool {
        self.is_swept
    }

    fn next_sweep(&self, last: MeterTime) -> MeterTime {
        last.after(SECOND)
    }

    fn check_at(&self) -> MeterTime {
        self.check_at
    }

    fn check_interfaces(&mut self, now: MeterTime) -> anyhow::Result<()> {
        self.checks.push(now);
        self.check_at = now.after(10 * SECOND);
        Ok(())
    }

    fn interfaces(&mut self, _: MeterTime) -> Vec<Interface> {
        vec![Interface { index: 2, name: "eth0".to_owned(), description: "north".to_owned() }]
    }

    fn ignored(&self) -> Total {
        Total::default()
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        self.stopped += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.left += 1;
    }

    fn reload(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn reloaded(
        &mut self,
        at: &Reading,
        dispatch: &mut Dispatch,
    ) -> anyhow::Result<Option<anyhow::Result<Applied>>> {
        let Some((config, settings)) = self.next.take() else { return Ok(None) };
        let plan = match dispatch.plan(&config, &settings, at.real, at.now.wall_ms) {
            Ok(plan) => plan,
            Err(why) => return Ok(Some(Err(why))),
        };
        dispatch.change(plan, at.real, at.now)?;
        let observation_domain = config.exporting.observation_domain;
        Ok(Some(Ok(Applied { file: String::new(), leave: false, observation_domain, changed: Vec::new() })))
    }

    fn books(&mut self) -> anyhow::Result<(Books, Bracket)> {
        let mut in_table = RecordTotal::default();
        self.table.iter().for_each(|(_, record)| in_table.count(record));
        let books = Books { in_table: in_table.total(), ..Books::default() };
        Ok((books, Bracket { before: self.metered.total(), after: self.metered.total() }))
    }
}
