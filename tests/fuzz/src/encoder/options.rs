//! The options records that a snapshot must make, by template and element as the manual has them.

use flowxdp_core::elements::application::APPLICATIONS;
use flowxdp_core::exporting::options::{Interface, Snapshot, Statistics};
use flowxdp_core::exporting::protocol::Protocol;
use flowxdp_core::exporting::session::{Preset, SessionConfig};

use super::{Options, input, number};

/// A value that is told.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Number(u64),
    /// Cut where it is too long.
    Text(String),
}

/// A record that must come: template, then element and value of each field.
#[derive(Clone, Debug)]
pub(super) struct Awaited(u16, Vec<(u16, Value)>);

/// The records of an offer, in order: first the process's, then the flows' domain's.
pub(super) fn awaited(snapshot: &Snapshot, sent: Statistics, config: &SessionConfig) -> Vec<Awaited> {
    let is_ipfix = config.protocol == Protocol::Ipfix;
    let mut flows = vec![sampler(is_ipfix)];
    flows.extend(snapshot.interfaces.iter().map(|interface| of_interface(interface, is_ipfix)));
    if input::has_names(config) {
        flows.extend(applications(is_ipfix));
        flows.extend(types().filter(|_| is_ipfix));
    }
    let mut process = of_process(snapshot, sent, is_ipfix);
    let reliability = process.split_off(process.len() - 2);
    if is_ipfix && config.preset == Some(Preset::Nfdump) {
        // No interfaces, applications and types, as it cannot read their names.
        process.extend(flows.drain(..).take(1));
    }
    [process, reliability, flows].concat()
}

fn numbers(id: u16, fields: &[(u16, u64)]) -> Awaited {
    Awaited(id, fields.iter().map(|(id, value)| (*id, Value::Number(*value))).collect())
}

/// Every packet is selected.
fn sampler(is_ipfix: bool) -> Awaited {
    if is_ipfix {
        let probability = 1_f64.to_bits();
        numbers(279, &[(302, 0), (304, 4), (311, probability), (34, 1), (305, 1), (306, 0)])
    } else {
        numbers(279, &[(1, 0), (34, 1), (48, 0), (49, 2), (50, 1)])
    }
}

fn applications(is_ipfix: bool) -> impl Iterator<Item = Awaited> {
    APPLICATIONS.into_iter().map(move |it| {
        let mut fields = if is_ipfix { Vec::new() } else { vec![(1, Value::Number(0))] };
        fields.push((95, Value::Number(it.application.number().into())));
        fields.push((96, Value::Text(it.name.to_owned())));
        Awaited(283, fields)
    })
}

/// Of ntop's elements: strings, with the default semantics.
fn types() -> impl Iterator<Item = Awaited> {
    [(188, "tlsServerName"), (187, "httpHost"), (205, "dnsQuery")].into_iter().map(|(element, name)| {
        let mut record = numbers(284, &[(346, 35_632), (303, element), (339, 13), (344, 0)]);
        record.1.push((341, Value::Text(name.to_owned())));
        record
    })
}

fn of_interface(interface: &Interface, is_ipfix: bool) -> Awaited {
    let mut fields = if is_ipfix { Vec::new() } else { vec![(1, Value::Number(0))] };
    fields.push((10, Value::Number(interface.index.into())));
    fields.push((82, Value::Text(interface.name.clone())));
    fields.push((83, Value::Text(interface.description.clone())));
    Awaited(276, fields)
}

/// The last two are those of reliability.
fn of_process(snapshot: &Snapshot, sent: Statistics, is_ipfix: bool) -> Vec<Awaited> {
    let process = u64::from(snapshot.process);
    // v9 has System as its scope. In IPFIX the metering process's records name their domain, which is not the
    // domain of these messages.
    let metering = |fields: &[(u16, u64)]| {
        let scope = if is_ipfix { (149, process) } else { (1, 0) };
        [&[scope, (143, process)], fields].concat()
    };
    let exporting = |fields: &[(u16, u64)]| {
        let scope: &[(u16, u64)] = if is_ipfix { &[] } else { &[(1, 0)] };
        [scope, &[(144, process)], fields].concat()
    };
    let (ignored, not_sent) = (&snapshot.ignored, &snapshot.not_sent);
    let statistics = [(41, sent.messages), (42, sent.records), (40, sent.octets)];
    let mut all = vec![numbers(280, &metering(&statistics))];
    if is_ipfix {
        let mut exporter = numbers(
            277,
            &[
                (144, process),
                (160, snapshot.system_start_ms),
                (214, 10),
                (215, snapshot.transport.into()),
                (217, snapshot.port.into()),
            ],
        );
        exporter.1.insert(1, (300, Value::Text(snapshot.name.clone())));
        all.push(exporter);
    }
    all.push(numbers(
        281,
        &metering(&[
            (164, ignored.total.packets),
            (165, ignored.total.octets),
            (323, ignored.first_ms),
            (323, ignored.last_ms),
        ]),
    ));
    all.push(numbers(
        282,
        &exporting(&[
            (166, not_sent.total.records),
            (167, not_sent.total.packets),
            (168, not_sent.total.octets),
            (323, not_sent.first_ms),
            (323, not_sent.last_ms),
        ]),
    ));
    all
}

impl Awaited {
    /// Whether it belongs to the flows' own domain.
    pub(super) fn is_of_flows(&self, config: &SessionConfig) -> bool {
        let miscounts = config.protocol == Protocol::Ipfix && config.preset == Some(Preset::Nfdump);
        matches!(self.0, 276 | 279 | 283 | 284) && !miscounts
    }

    /// Holds a record that was read to this; `room` octets of a text always have a place.
    pub(super) fn check(&self, read: &Options, is_ipfix: bool, room: usize) {
        assert_eq!(self.0, read.template);
        assert_eq!(self.1.len(), read.values.len());
        for ((id, value), (read_id, octets)) in self.1.iter().zip(&read.values) {
            assert_eq!(id, read_id, "template {}", self.0);
            match value {
                Value::Number(value) => assert_eq!(number(octets), *value, "element {id}"),
                Value::Text(text) => {
                    let most = match id {
                        _ if is_ipfix => room.min(254),
                        82 => 16,
                        96 => 24,
                        _ => 64,
                    };
                    told(text, octets, most, is_ipfix);
                }
            }
        }
    }
}

/// Text is whole if there is room for it, and else ends with a whole character.
fn told(text: &str, octets: &[u8], most: usize, is_ipfix: bool) {
    let cut = |most: usize| text.floor_char_boundary(most);
    if is_ipfix {
        let end = octets.len();
        assert!(end >= cut(most) && end <= cut(254) && end > 0, "{text:?} is cut at {end}, of {most}");
        assert_eq!(text.get(..end).map(str::as_bytes), Some(octets));
    } else {
        let mut whole = text.as_bytes()[..cut(most)].to_vec();
        whole.resize(most, 0);
        assert_eq!(octets, whole);
    }
}
