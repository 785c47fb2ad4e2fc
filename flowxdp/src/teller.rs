//! What the exporter tells about itself: gathered here for the options data of every collector.

use flowxdp_core::{
    clock::{MILLISECOND, Now},
    options::{Interface, Reliability, Snapshot},
    record::RecordTotal,
};

use crate::{dispatch::Dispatch, meter::Meter};

/// The time of day and the clock of timers go alike; a larger difference is a step, milliseconds.
const STEP: u64 = 1_000;

/// What options data are made of.
#[derive(Debug)]
pub struct Teller {
    snapshot: Snapshot,
    ignored: Reliability,
}

impl Teller {
    /// The observation domain names the process.
    pub fn new(observation_domain: u32, system_start_ms: u64, interfaces: Vec<Interface>) -> Self {
        let snapshot = Snapshot {
            process: observation_domain,
            name: host_name(),
            system_start_ms,
            interfaces,
            ..Snapshot::default()
        };
        Self { snapshot, ignored: Reliability::default() }
    }

    /// Gives every collector what is true now. `force` sends it whatever the time.
    pub fn tell(&mut self, meter: &Meter, dispatch: &mut Dispatch, now: Now, force: bool) {
        let ignored = meter.ignored();
        let total = RecordTotal { records: 0, packets: ignored.packets, octets: ignored.octets };
        self.ignored.update(total, now.wall_ms);
        self.snapshot.ignored = self.ignored;
        dispatch.tell(&self.snapshot, force);
    }

    /// Notices that the time of day was set, and tells every session when the system started by it. Before
    /// records with the new times are pushed.
    pub fn follow_clock(&mut self, dispatch: &mut Dispatch, now: Now) {
        let before = self.snapshot.system_start_ms;
        let start = now.wall_ms.saturating_sub(now.monotonic / MILLISECOND);
        if start.abs_diff(before) <= STEP {
            return;
        }
        let (seconds, way) = (start.abs_diff(before) / 1000, if start < before { "back" } else { "on" });
        log::warn!("the time of day was put {way} by {seconds} s: flow records go by the new one");
        self.snapshot.system_start_ms = start;
        dispatch.all_mut().iter_mut().for_each(|exporter| exporter.system_started(start));
    }

    /// What was told last.
    pub const fn told(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Interfaces of which records may come, from now on.
    pub fn set_interfaces(&mut self, interfaces: Vec<Interface>) {
        self.snapshot.interfaces = interfaces;
    }
}

/// The machine's name, never empty.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "flowxdp".to_owned() } else { name }
}
