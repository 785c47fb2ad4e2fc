//! What the exporter tells about itself: gathered here for the options data of every collector.

use flowxdp_core::{
    clock::Now,
    options::{Interface, Reliability, Snapshot},
    record::RecordTotal,
};

use crate::{dispatch::Dispatch, meter::Meter};

/// What options data are made of.
#[derive(Debug)]
pub struct Teller {
    snapshot: Snapshot,
    ignored: Reliability,
    /// ifIndex and name as the agent knows them, for when the kernel says nothing.
    names: Vec<(u32, String)>,
}

impl Teller {
    /// `names` are the metered interfaces: ifIndex and name. The observation domain names the process.
    pub fn new(observation_domain: u32, system_start_ms: u64, names: Vec<(u32, String)>) -> Self {
        let snapshot = Snapshot {
            process: observation_domain,
            name: host_name(),
            system_start_ms,
            ..Snapshot::default()
        };
        Self { snapshot, ignored: Reliability::default(), names }
    }

    /// Gives every collector what is true now. `force` sends it whatever the time.
    pub fn tell(&mut self, meter: &Meter, dispatch: &mut Dispatch, now: Now, force: bool) {
        let ignored = meter.ignored();
        let total = RecordTotal { records: 0, packets: ignored.packets, octets: ignored.octets };
        self.ignored.update(total, now.wall_ms);
        self.snapshot.ignored = self.ignored;
        self.snapshot.interfaces = self.interfaces();
        dispatch.tell(&self.snapshot, force);
    }

    /// What was told last.
    pub const fn told(&self) -> &Snapshot {
        &self.snapshot
    }

    fn interfaces(&self) -> Vec<Interface> {
        let known = self.names.iter().map(|(index, name)| {
            let alias = std::fs::read_to_string(format!("/sys/class/net/{name}/ifalias")).unwrap_or_default();
            let alias = alias.trim();
            let description = if alias.is_empty() { name.clone() } else { alias.to_owned() };
            Interface { index: *index, name: name.clone(), description }
        });
        known.collect()
    }
}

/// The machine's name, never empty.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "flowxdp".to_owned() } else { name }
}
