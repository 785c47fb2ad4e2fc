//! Values that are right by themselves and do not agree with each other.

use std::collections::{HashMap, HashSet};

use flowxdp_common::{field::Group, tunnel::MORE_PORTS};

use super::{
    Config, Tunnels,
    exporter::culprit,
    fault::{Fault, Place},
    key::{CHECK, Commands, REPLAY, Table},
};
use crate::collector_url::CollectorUrl;

/// Octets of a spool that one message of the longest kind needs with its file.
const LEAST_SPOOL: u64 = 64 << 10;

/// Places of parameters, by their names.
type Parameters = Vec<(&'static str, Place)>;

/// Where the values of a configuration come from.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// By the path of the key.
    keys: HashMap<String, Place>,
    /// Paths of keys with a value that is none.
    refused: HashSet<String>,
    /// Of each exporter, in their order, and of its parameters by their names.
    exporters: Vec<(Place, Parameters)>,
}

impl Places {
    /// Notes the place of a key's value.
    pub fn set(&mut self, path: String, place: Place) {
        self.keys.insert(path, place);
    }

    /// Notes that a key has a value that is none.
    pub fn refuse(&mut self, path: String) {
        self.refused.insert(path);
    }

    /// Notes that keys of the file are not known: none of them is missing.
    pub fn refuse_all(&mut self) {
        self.refused.extend([COLLECTOR, INTERFACE, PIN].map(str::to_owned));
    }

    /// The place of a key's value.
    fn of(&self, table: Table, name: &str) -> Place {
        self.keys.get(&format!("{}.{name}", table.name())).cloned().unwrap_or(Place::Nowhere)
    }

    /// Notes the place of the next exporter and of its parameters.
    pub fn exporter(&mut self, place: Place, parameters: Parameters) {
        self.exporters.push((place, parameters));
    }

    /// Forgets the exporters: others replace them.
    pub fn forget_exporters(&mut self) {
        self.exporters.clear();
    }

    /// The place of a parameter of an exporter; its collector's where it has none.
    pub fn parameter(&self, at: usize, name: &str) -> Place {
        let Some((place, parameters)) = self.exporters.get(at) else { return Place::Nowhere };
        parameters.iter().find(|(other, _)| *other == name).map_or(place, |(_, place)| place).clone()
    }
}

/// Contradictions that a command refuses among values that are right by themselves. A key with a wrong value
/// does not count as missing.
pub fn faults(config: &Config, places: &Places, command: Commands) -> Vec<Fault> {
    let mut faults = Vec::new();
    let is_missing = |path: &str| !places.refused.contains(path);
    if command != REPLAY && config.monitor.interface.is_empty() && is_missing(INTERFACE) {
        faults.push(missing("interface", "--interface IF", "interface in [monitor]"));
    }
    if config.exporter.is_empty() && is_missing(COLLECTOR) {
        faults.push(missing("collector", "--collector URL", "a table [[exporter]]"));
    }
    let mut known = HashMap::new();
    for (at, url) in config.exporter.iter().enumerate() {
        let before = *known.entry(url.endpoint(config.exporting.protocol)).or_insert(url);
        faults.extend(exporter(config, places, at, before));
    }
    let limit = places.of(Table::Spool, "limit");
    faults.extend(spool(config, &limit).map(|text| Fault::new(limit, text)));
    if command != REPLAY && config.monitor.keep && config.monitor.pin.is_none() && is_missing(PIN) {
        let place = places.of(Table::Monitor, "keep");
        let text = format!(
            "{} leaves the table to the next agent in a folder of pins, and there is none: name one by --pin",
            named(&place, "--keep", "monitor.keep")
        );
        faults.push(Fault::new(place, text));
    }
    faults.extend(record(config, places));
    if command != REPLAY {
        faults.extend(tap(config, places));
    }
    if command == CHECK {
        faults.extend(twice(config, places));
    }
    faults
}

/// Paths of keys that may be missing, also of the collector in any exporter.
pub const COLLECTOR: &str = "exporter.collector";
const INTERFACE: &str = "monitor.interface";
const PIN: &str = "monitor.pin";

/// A key as it was given.
fn named<'a>(place: &Place, flag: &'a str, path: &'a str) -> &'a str {
    if matches!(place, Place::File(_)) { path } else { flag }
}

fn missing(thing: &str, flag: &str, key: &str) -> Fault {
    Fault::new(Place::Nowhere, format!("there is no {thing}: name one by {flag}, or by {key} of the file"))
}

/// A tap beside a setting that it makes useless or harmful.
fn tap(config: &Config, places: &Places) -> Option<Fault> {
    let monitor = &config.monitor;
    let text = match (monitor.tap, monitor.keep, monitor.chain) {
        (true, true, _) => {
            "is not for an agent that leaves its program attached at a stop (keep), as the program would drop packets \
             that no agent exports: take one of the two away"
        }
        (true, _, true) => {
            "drops each packet behind the meter, so that the other programs of chain would get none: take one of the \
             two away"
        }
        _ => return None,
    };
    let place = places.of(Table::Monitor, "tap");
    let text = format!("{} {text}", named(&place, "--tap", "monitor.tap"));
    Some(Fault::new(place, text))
}

/// The group of tunnels where they stay closed, or more ports than the program compares.
fn record(config: &Config, places: &Places) -> Option<Fault> {
    let record = &config.record;
    if record.tunnels == Tunnels::Outer && record.groups().has(Group::Tunnel) {
        let place = places.of(Table::Record, "collect");
        let text = format!(
            "{} has the group tunnel, whose fields are known where tunnels are opened alone: add --tunnels inner, or \
             take the group away",
            named(&place, "--collect", "record.collect")
        );
        return Some(Fault::new(place, text));
    }
    let most = record.vxlan_ports.len() > MORE_PORTS;
    let place = places.of(Table::Record, "vxlan-ports");
    let text = || {
        let name = named(&place, "--vxlan-ports", "record.vxlan-ports");
        format!("{name} has {} ports: the program compares {MORE_PORTS} at most", record.vxlan_ports.len())
    };
    most.then(|| Fault::new(place.clone(), text()))
}

/// Interfaces that are named twice, which `run` finds with the links before it.
fn twice(config: &Config, places: &Places) -> Option<Fault> {
    let names = &config.monitor.interface;
    let again =
        names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|other| other == *name));
    let text = |name: &String| format!("interface {name} is named twice: name it once");
    again.map(|(_, name)| Fault::new(places.of(Table::Monitor, "interface"), text(name)))
}

/// The first fault of an exporter beside the common settings, and beside the first one of the same collector.
fn exporter(config: &Config, places: &Places, at: usize, first: &CollectorUrl) -> Option<Fault> {
    let url = config.exporter.get(at)?;
    if !std::ptr::eq(first, url) {
        let place = places.parameter(at, "collector");
        let flag = named(&place, "--collector", "collector").to_owned();
        return Some(Fault::new(
            place,
            format!("{flag} {url} is named twice, as {first} before: name it once"),
        ));
    }
    let refused = |name: &str, error: &dyn std::fmt::Display| {
        Some(Fault::new(places.parameter(at, name), format!("collector {url}: {error}")))
    };
    if let Err(error) = url.check(config.exporting.protocol, &config.tls) {
        return refused(culprit(&error), &error);
    }
    let error = url.choice(&config.record).err()?;
    refused("fields", &error)
}

/// Whether the spool has room for one message of each collector over TCP and TLS.
fn spool(config: &Config, place: &Place) -> Option<String> {
    let (streams, limit) = (config.streams().max(1), config.spool.limit);
    let is_small = config.spool.directory.is_some() && limit / streams < LEAST_SPOOL;
    is_small.then(|| {
        format!(
            "{} {limit} is too small: each collector over TCP or TLS needs {LEAST_SPOOL} octets, and there are \
             {streams}",
            named(place, "--spool-limit", "spool.limit")
        )
    })
}
