//! The options records that a snapshot must make, by template and element as the manual has them.

use flowxdp_core::options::{Snapshot, Statistics};

use super::{Options, number};

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

/// The records that an offer makes, in their order.
pub(super) fn awaited(snapshot: &Snapshot, sent: Statistics, is_ipfix: bool) -> Vec<Awaited> {
    let process = u64::from(snapshot.process);
    let numbers = |id, fields: &[(u16, u64)]| {
        Awaited(id, fields.iter().map(|(id, value)| (*id, Value::Number(*value))).collect())
    };
    let scope = |id| (if is_ipfix { id } else { 1 }, process);
    // What the metering process says names its domain, which that of these messages is not.
    let metering = |fields: &[(u16, u64)]| {
        let domain: &[(u16, u64)] = if is_ipfix { &[(149, process)] } else { &[] };
        [domain, &[scope(143)], fields].concat()
    };
    let (ignored, not_sent) = (&snapshot.ignored, &snapshot.not_sent);
    let mut all = vec![
        numbers(272, &metering(&[(41, sent.messages), (42, sent.records), (40, sent.octets)])),
        numbers(
            273,
            &metering(&[
                (164, ignored.total.packets),
                (165, ignored.total.octets),
                (323, ignored.first_ms),
                (323, ignored.last_ms),
            ]),
        ),
        numbers(
            274,
            &[
                scope(144),
                (166, not_sent.total.records),
                (167, not_sent.total.packets),
                (168, not_sent.total.octets),
                (323, not_sent.first_ms),
                (323, not_sent.last_ms),
            ],
        ),
    ];
    for interface in &snapshot.interfaces {
        let mut fields = if is_ipfix { Vec::new() } else { vec![(1, Value::Number(process))] };
        fields.push((10, Value::Number(interface.index.into())));
        fields.push((82, Value::Text(interface.name.clone())));
        fields.push((83, Value::Text(interface.description.clone())));
        all.push(Awaited(276, fields));
    }
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
        all.push(numbers(278, &[(302, 1), (304, 1), (305, 1), (306, 0)]));
    } else {
        all.push(numbers(278, &[(1, process), (48, 1), (49, 1), (50, 1)]));
    }
    all
}

impl Awaited {
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
