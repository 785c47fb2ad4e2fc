//! Data records of a message: their sums, and each one's flow.
//!
//! The reader knows the templates of our exporter, and v5, which has none. Options data are skipped.

use flowxdp_core::elements::Choice;
use flowxdp_core::exporting::template::{Kind, RecordFormat, Template};
use flowxdp_core::exporting::wire::Protocol;
use flowxdp_tests::delivery::Records;

/// Where a field is in a record: offset and octets, none of them where there is no such field.
type Place = (usize, usize);

/// IANA element numbers of packets and octets, and of an IPv4 flow's key.
const SUMS: [u16; 2] = [2, 1];
const KEY: [u16; 5] = [8, 12, 7, 11, 4];

/// One kind of data record.
#[derive(Clone, Default)]
struct Layout {
    length: usize,
    sums: [Place; 2],
    key: [Place; 5],
}

impl Layout {
    fn of(template: &Template) -> Self {
        let mut layout = Self { length: template.record_length(), ..Self::default() };
        let mut at = 0;
        for field in template.fields() {
            let place = (at, usize::from(field.length));
            at += place.1;
            for (ids, places) in [(&SUMS[..], &mut layout.sums[..]), (&KEY, &mut layout.key)] {
                ids.iter().zip(places).filter(|(id, _)| **id == field.id).for_each(|(_, at)| *at = place);
            }
        }
        layout
    }
}

/// A flow as a collector knows it: source and destination address, ports, protocol, packets, octets.
pub(crate) type Flow = [u64; 7];

/// All kinds of data records, by protocol and template id.
pub(crate) struct Layouts {
    ipfix: Vec<(u16, Layout)>,
    v9: Vec<(u16, Layout)>,
    v5: Layout,
}

impl Layouts {
    pub(crate) fn new() -> Self {
        let of = |protocol: Protocol| {
            let kinds =
                |format| Kind::ALL.map(|kind| Template::new(protocol, format, kind, &Choice::default()));
            let all = RecordFormat::ALL.into_iter().flat_map(kinds);
            all.map(|template| (template.id(), Layout::of(&template))).collect()
        };
        // Cisco's flow record of v5.
        let v5 =
            Layout { length: 48, sums: [(16, 4), (20, 4)], key: [(0, 4), (4, 4), (32, 2), (34, 2), (38, 1)] };
        Self { ipfix: of(Protocol::Ipfix), v9: of(Protocol::V9), v5 }
    }

    /// Sums of a message's data records.
    pub(crate) fn sum(&self, message: &[u8]) -> Records {
        let mut total = Records::default();
        self.each(message, |record, layout| {
            let [packets, octets] = layout.sums.map(|place| number(record, place));
            total = total + Records { records: 1, packets, octets };
        });
        total
    }

    /// The flows of its data records, of IPv4.
    pub(crate) fn flows(&self, message: &[u8], flows: &mut Vec<Flow>) {
        self.each(message, |record, layout| {
            let [source, destination, from, to, protocol] = layout.key.map(|place| number(record, place));
            let [packets, octets] = layout.sums.map(|place| number(record, place));
            flows.push([source, destination, from, to, protocol, packets, octets]);
        });
    }

    fn each(&self, message: &[u8], mut what: impl FnMut(&[u8], &Layout)) {
        let (mut at, layouts) = match word(message, 0) {
            10 => (16, &self.ipfix),
            9 => (20, &self.v9),
            _ => {
                let records = message.get(24..).unwrap_or_default();
                return records.chunks_exact(self.v5.length).for_each(|record| what(record, &self.v5));
            }
        };
        while let Some(set) = message.get(at..).filter(|rest| rest.len() > 4 && word(rest, 2) >= 4) {
            let end = usize::from(word(set, 2));
            if let Some((_, layout)) = layouts.iter().find(|(id, _)| *id == word(set, 0)) {
                let records = set.get(4..end).unwrap_or_default();
                records.chunks_exact(layout.length).for_each(|record| what(record, layout));
            }
            at += end;
        }
    }
}

fn word(octets: &[u8], at: usize) -> u16 {
    octets.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u16::from_be_bytes(*word))
}

fn number(record: &[u8], (at, octets): Place) -> u64 {
    let field = record.get(at..at + octets).unwrap_or_default();
    match (field.first_chunk(), field.first_chunk()) {
        (Some(eight), _) => u64::from_be_bytes(*eight),
        (None, Some(four)) => u64::from(u32::from_be_bytes(*four)),
        (None, None) => field.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)),
    }
}
