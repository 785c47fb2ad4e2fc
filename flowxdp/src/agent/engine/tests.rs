//! The engine in simulated time: real sessions and sockets of the loopback, flows of a test, no root.

#![expect(clippy::disallowed_methods, reason = "a test may panic where the system has no thread")]

mod changes;
mod controlled;
mod endings;
mod flows;
mod turns;

use std::time::{Duration, Instant};

use flowxdp_core::{
    books::Books,
    clock::{AgentTime, MILLISECOND, Now, Reading, SECOND, WallClock},
};

use self::flows::Flows;
use super::*;
use crate::{
    exporting::dispatch::Strategy,
    exporting::exporter::{
        Exporter, Settings,
        tests::{LIMIT, T0, record, settings},
    },
    transport::{readiness::Readiness, tls::TlsSettings},
};

/// Time passes in such steps at most, so that sockets have their say in between.
const STEP: u64 = 50 * MILLISECOND;

/// An engine and its time, which passes only as the engine asks for.
struct World {
    engine: Engine<Flows>,
    readiness: Arc<Readiness>,
    /// Of exporters that come.
    settings: Settings,
    /// Nanoseconds.
    time: u64,
}

impl World {
    fn new(urls: &[String], rules: Rules) -> Self {
        Self::with(urls, rules, |settings| settings)
    }

    fn with(urls: &[String], rules: Rules, change: impl FnOnce(Settings) -> Settings) -> Self {
        let settings = change(settings());
        let readiness = Arc::clone(&settings.readiness);
        let time = 100 * SECOND;
        let exporter = |url: &String| {
            Exporter::new(url.parse().unwrap(), TlsSettings::default(), &settings, AgentTime::new(time), T0)
                .unwrap()
        };
        let exporters = urls.iter().map(exporter).collect();
        let dispatch = Dispatch::new(exporters, Strategy::Replicate, 0, None);
        let flows = Flows { check_at: MeterTime::NEVER, ..Flows::default() };
        let engine = Engine::new(flows, dispatch, Reporter::new(1, T0 - 100_000), rules);
        Self { engine, readiness, settings, time }
    }

    fn at(&self) -> Reading {
        let now = Now::new(self.time, T0 - 100_000 + self.time / MILLISECOND);
        Reading {
            real: AgentTime::new(self.time),
            now,
            wall: WallClock::new(self.time, now.wall_ms * MILLISECOND),
        }
    }

    fn step(&mut self) -> Wake {
        let at = self.at();
        self.engine.step(&at).unwrap()
    }

    fn take(&mut self, event: Event) {
        let at = self.at();
        self.engine.take(event, &at);
    }

    /// One step, and then the time passes to the wake-up, or a step towards it.
    fn turn(&mut self) -> Wake {
        let wake = self.step();
        if let Wake::At(instant) = wake {
            self.readiness.wait(Some(Duration::from_millis(1))).unwrap();
            self.time = instant.nanoseconds().clamp(self.time, self.time + STEP);
        }
        wake
    }

    /// Turns until `done`; gives the simulated time that it took.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) -> u64 {
        let (begun, since) = (Instant::now(), self.time);
        while !done(self) {
            assert!(begun.elapsed() < LIMIT, "not {what} after {} ms", (self.time - since) / MILLISECOND);
            self.turn();
        }
        self.time - since
    }

    /// Ends it; gives the simulated time that it took, and the books.
    fn end(&mut self) -> (u64, Books) {
        self.take(Event::Stop);
        let took = self.until("ended", |it| it.step() == Wake::Done);
        (took, self.engine.books().unwrap())
    }

    /// Meters flows of these source ports that are due in `after` nanoseconds.
    fn meter(&mut self, ports: std::ops::Range<u16>, after: u64) {
        let due = self.time.saturating_add(after);
        self.engine.metering_mut().meter(due, ports.map(record));
    }

    fn flows(&self) -> &Flows {
        self.engine.metering()
    }
}
