//! The options reporter: gathers the exporter's own state for the options data of every collector.

use flowxdp_core::{
    clock::{MILLISECOND, Now},
    exporting::options::{Interface, Reliability, Snapshot},
    record::{RecordTotal, Total},
};

use crate::exporting::dispatch::Dispatch;

/// The time of day and the clock of timers advance alike; a larger difference is a step, milliseconds.
const STEP: u64 = 1_000;

/// The last announced state, and the packets that metering ignored.
#[derive(Debug, Default)]
pub struct Reporter {
    snapshot: Snapshot,
    ignored: Reliability,
}

impl Reporter {
    /// `observation_domain` names the process; `system_start_ms` is in milliseconds since 1970.
    pub fn new(observation_domain: u32, system_start_ms: u64) -> Self {
        let snapshot = Snapshot {
            process: observation_domain,
            name: host_name(),
            system_start_ms,
            ..Snapshot::default()
        };
        Self { snapshot, ignored: Reliability::default() }
    }

    /// Gives every collector the state of this instant; `force` sends it at the next poll, due or not.
    ///
    /// `interfaces` are the interfaces of which flow records may come, `ignored` all packets that were not metered.
    pub fn announce(
        &mut self,
        interfaces: Vec<Interface>,
        ignored: Total,
        dispatch: &mut Dispatch,
        now: Now,
        force: bool,
    ) {
        let total = RecordTotal { records: 0, packets: ignored.packets, octets: ignored.octets };
        self.ignored.update(total, now.wall_ms);
        self.snapshot.interfaces = interfaces;
        self.snapshot.ignored = self.ignored;
        dispatch.announce(&self.snapshot, force);
    }

    /// Moves the system's start in every session when the time of day was set. To be called before records with
    /// the new times are pushed.
    pub fn follow_clock(&mut self, dispatch: &mut Dispatch, now: Now) {
        let before = self.snapshot.system_start_ms;
        let start = now.wall_ms.saturating_sub(now.monotonic.nanoseconds() / MILLISECOND);
        if start.abs_diff(before) <= STEP {
            return;
        }
        let (seconds, way) = (start.abs_diff(before) / 1000, if start < before { "back" } else { "on" });
        log::warn!("the time of day was put {way} by {seconds} s: flow records go by the new one");
        self.snapshot.system_start_ms = start;
        dispatch.all_mut().iter_mut().for_each(|exporter| exporter.system_started(start));
    }

    /// The configuration has this observation domain from now on, and collectors that came have the clock announced.
    pub fn observe(&mut self, observation_domain: u32, dispatch: &mut Dispatch) {
        self.snapshot.process = observation_domain;
        let start = self.snapshot.system_start_ms;
        dispatch.all_mut().iter_mut().for_each(|exporter| exporter.system_started(start));
    }

    /// The state that was announced last.
    pub const fn announced(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// The machine's name, never empty.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "flowxdp".to_owned() } else { name }
}
