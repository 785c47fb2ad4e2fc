//! Values that are right by themselves and do not agree with each other.

use std::collections::HashMap;

use super::{
    Config,
    fault::{Fault, Place},
    key::{Commands, RUN, Table},
};
use crate::collector_url::CollectorUrl;

/// Octets of a spool that one message of the longest kind needs with its file.
const LEAST_SPOOL: u64 = 64 << 10;

/// Where the values of a configuration come from.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// By the path of the key.
    keys: HashMap<String, Place>,
    /// Of each exporter, in their order.
    pub exporters: Vec<Place>,
}

impl Places {
    /// Notes the place of a key's value.
    pub fn set(&mut self, path: String, place: Place) {
        self.keys.insert(path, place);
    }

    /// The place of a key's value.
    fn of(&self, table: Table, name: &str) -> Place {
        self.keys.get(&format!("{}.{name}", table.name())).cloned().unwrap_or(Place::Nowhere)
    }

    fn exporter(&self, at: usize) -> Place {
        self.exporters.get(at).cloned().unwrap_or(Place::Nowhere)
    }
}

/// Everything that a command refuses in a configuration whose values are right by themselves.
pub fn faults(config: &Config, places: &Places, command: Commands) -> Vec<Fault> {
    let mut faults = Vec::new();
    if config.monitor.interface.is_empty() && command != super::key::REPLAY {
        faults.push(missing("interface", "--interface IF", "interface in [monitor]"));
    }
    if config.exporter.is_empty() {
        faults.push(missing("collector", "--collector URL", "a table [[exporter]]"));
    }
    for (at, url) in config.exporter.iter().enumerate() {
        faults.extend(exporter(config, at, url).map(|text| Fault::new(places.exporter(at), text)));
    }
    let limit = || places.of(Table::Spool, "limit");
    faults.extend(spool(config).map(|text| Fault::new(limit(), text)));
    if config.monitor.keep && config.monitor.pin.is_none() && command & RUN != 0 {
        let text = "--keep leaves the table to the next agent in a folder of pins, and there is none: name one by --pin";
        faults.push(Fault::new(places.of(Table::Monitor, "keep"), text));
    }
    faults
}

fn missing(thing: &str, flag: &str, key: &str) -> Fault {
    Fault::new(Place::Nowhere, format!("there is no {thing}: name one by {flag}, or by {key} of the file"))
}

/// The first fault of an exporter beside the others and the common settings.
fn exporter(config: &Config, at: usize, url: &CollectorUrl) -> Option<String> {
    let protocol = config.exporting.protocol;
    let is_same = |other: &&CollectorUrl| other.endpoint(protocol) == url.endpoint(protocol);
    if let Some(other) = config.exporter.iter().take(at).find(is_same) {
        return Some(format!("--collector {url} is named twice, as {other} before: name it once"));
    }
    let refused = url.check(protocol, &config.tls).err();
    refused.map(|error| format!("collector {url}: {error}"))
}

/// Whether the spool has room for one message of each collector over TCP and TLS.
fn spool(config: &Config) -> Option<String> {
    let (streams, limit) = (config.streams().max(1), config.spool.limit);
    let is_small = config.spool.directory.is_some() && limit / streams < LEAST_SPOOL;
    is_small.then(|| {
        format!(
            "--spool-limit {limit} is too small: each collector over TCP or TLS needs {LEAST_SPOOL} octets, and there \
             are {streams}"
        )
    })
}
