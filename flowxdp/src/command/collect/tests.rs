//! Messages of every version, and broken ones.

use super::*;
use crate::committed::compare;

/// A message in the making: big-endian numbers, one after the other.
#[derive(Clone, Default)]
struct Octets(Vec<u8>);

impl Octets {
    fn u8s(mut self, octets: &[u8]) -> Self {
        self.0.extend(octets);
        self
    }
    fn u16s(mut self, numbers: &[u16]) -> Self {
        numbers.iter().for_each(|number| self.0.extend(number.to_be_bytes()));
        self
    }
    fn u32s(mut self, numbers: &[u32]) -> Self {
        numbers.iter().for_each(|number| self.0.extend(number.to_be_bytes()));
        self
    }
    fn u64s(mut self, numbers: &[u64]) -> Self {
        numbers.iter().for_each(|number| self.0.extend(number.to_be_bytes()));
        self
    }
    fn set(self, id: u16, body: Self) -> Self {
        let length = u16::try_from(body.0.len() + 4).unwrap();
        self.u16s(&[id, length]).u8s(&body.0)
    }
}

fn ipfix(sequence: u32, domain: u32, sets: Octets) -> Vec<u8> {
    let length = u16::try_from(sets.0.len() + 16).unwrap();
    Octets::default().u16s(&[10, length]).u32s(&[1_700_000_000, sequence, domain]).u8s(&sets.0).0
}

fn v9(sequence: u32, uptime: u32, sets: Octets) -> Vec<u8> {
    Octets::default().u16s(&[9, 1]).u32s(&[uptime, 1_700_000_000, sequence, 7]).u8s(&sets.0).0
}

/// Template 256: addresses, ports, protocol, packets, octets, flags, times, reason, MAC, unknown, reverse.
fn template() -> Octets {
    let fields = [8, 4, 12, 4, 7, 2, 11, 2, 4, 1, 2, 4, 1, 8, 6, 2, 152, 8, 153, 8, 136, 1, 56, 6, 32000, 2];
    let head = Octets::default().u16s(&[256, 14]).u16s(&fields);
    Octets::default().set(2, head.u16s(&[0x8001, 4]).u32s(&[29305]))
}

fn flow(protocol: u8, destination_port: u16) -> Octets {
    Octets::default()
        .u8s(&[192, 0, 2, 1, 198, 51, 100, 7])
        .u16s(&[49152, destination_port])
        .u8s(&[protocol])
        .u32s(&[12])
        .u64s(&[3456])
        .u16s(&[0x1b])
        .u64s(&[1_699_999_990_123, 1_699_999_999_456])
        .u8s(&[3, 2, 0, 0, 0, 0, 1, 0xab, 0xcd, 0, 0, 0, 5])
}

fn collector(format: Format) -> Collector<Vec<u8>> {
    Collector {
        streams: Streams::default(),
        format,
        table: table::Table::default(),
        out: BufWriter::new(Vec::new()),
    }
}

/// All lines shown of these messages, and the totals.
fn collected(format: Format, messages: &[Vec<u8>]) -> (String, Summary) {
    let mut collector = collector(format);
    for message in messages {
        collector.message(([192, 0, 2, 9], 4739).into(), message, 0).unwrap();
    }
    let summary = collector.streams.summary();
    (String::from_utf8(collector.out.into_inner().unwrap()).unwrap(), summary)
}

#[test]
fn ipfix_as_json() {
    let message = ipfix(0, 1, template().set(256, flow(6, 443)));
    let (text, summary) = collected(Format::Json, &[message]);
    compare("src/command/collect/snapshots/ipfix_as_json.txt", &text);
    let totals = Totals { messages: 1, data_records: 1, packets: 12, octets: 3456, ..Totals::default() };
    assert_eq!(summary.total(), totals);
}

#[test]
fn options_are_marked() {
    let fields = Octets::default().u16s(&[300, 3, 1, 149, 4, 41, 8, 82, 8]);
    let data = Octets::default().u32s(&[5]).u64s(&[9]).u8s(b"eth0\0\x1b\0\0");
    let messages = [ipfix(0, 0, Octets::default().set(3, fields).set(300, data))];
    let (text, summary) = collected(Format::Json, &messages);
    compare("src/command/collect/snapshots/options_are_marked.txt", &text);
    assert_eq!(summary.total().options_records, 1);
    let (text, _) = collected(Format::Table, &messages);
    assert_eq!(
        text,
        "# options of 192.0.2.9:4739 domain 0: observationDomainId=5 exportedMessageTotalCount=9 \
         interfaceName=eth0\\0\\u{1b}\n"
    );
}

#[test]
fn v9_scopes_and_uptimes() {
    let template = Octets::default().u16s(&[256, 5, 8, 4, 12, 4, 2, 4, 22, 4, 21, 4]);
    let options = Octets::default().u16s(&[257, 4, 4, 1, 4, 42, 4, 0]);
    let sets = Octets::default()
        .set(0, template)
        .set(1, options)
        .set(256, Octets::default().u8s(&[10, 0, 0, 1, 10, 0, 0, 2]).u32s(&[3, u32::MAX - 999, 500]))
        .set(257, Octets::default().u8s(&[127, 0, 0, 1]).u32s(&[77]));
    let (text, summary) = collected(Format::Json, &[v9(4, 1000, sets)]);
    compare("src/command/collect/snapshots/v9_scopes_and_uptimes.txt", &text);
    assert_eq!((summary.total().malformed, summary.streams[0].1), (0, 7));
}

#[test]
fn v5_and_v7_as_json() {
    let record = Octets::default()
        .u8s(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 0])
        .u16s(&[1, 2])
        .u32s(&[10, 1000, 5_000, 9_500])
        .u16s(&[1234, 53])
        .u8s(&[0, 0, 17, 0xb8])
        .u16s(&[64512, 64513])
        .u8s(&[24, 16, 0, 0]);
    let head = |version| Octets::default().u16s(&[version, 1]).u32s(&[10_000, 1_700_000_000, 250_000_000, 8]);
    let v5 = head(5).u8s(&[1, 2, 0, 0]).u8s(&record.0).0;
    let v7 = head(7).u32s(&[0]).u8s(&record.0).u8s(&[192, 0, 2, 200]).0;
    let (text, summary) = collected(Format::Json, &[v5, v7]);
    compare("src/command/collect/snapshots/v5_and_v7_as_json.txt", &text);
    assert_eq!((summary.total().data_records, summary.total().malformed), (2, 0));
}

#[test]
fn v1_as_json() {
    let record = Octets::default()
        .u8s(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 0])
        .u16s(&[1, 2])
        .u32s(&[10, 1000, 5_000, 9_500])
        .u16s(&[1234, 53, 0])
        .u8s(&[17, 0xb8, 0x1b, 0, 0, 0, 0, 0, 0, 0]);
    let head = |count| Octets::default().u16s(&[1, count]).u32s(&[10_000, 1_700_000_000, 250_000_000]);
    let (right, cut) = (head(1).u8s(&record.0).0, head(2).u8s(&record.0).0);
    let (text, summary) = collected(Format::Json, &[right, cut]);
    compare("src/command/collect/snapshots/v1_as_json.txt", &text);
    let total = summary.total();
    assert_eq!((total.data_records, total.malformed, total.gaps), (1, 1, 0));
}

#[test]
fn a_table_reads_well() {
    let v6 = Octets::default().u16s(&[300, 8, 27, 16, 28, 16, 7, 2, 11, 2, 4, 1, 2, 8, 1, 8, 10, 4]);
    let long =
        |last| [0x20, 1, 0xd, 0xb8, 0xff, 0xff, 0xee, 0xee, 0xdd, 0xdd, 0xcc, 0xcc, 0xbb, 0xbb, 0xaa, last];
    let row = |protocol: u8, port: u16| {
        let ends = Octets::default().u8s(&long(1)).u8s(&long(2)).u16s(&[0, port]).u8s(&[protocol]);
        ends.u64s(&[1, 1500]).u32s(&[3])
    };
    let flows = flow(6, 443).u8s(&flow(1, 0x0800).0).u8s(&flow(47, 0).0).u8s(&flow(200, 0).0);
    let sets = template().set(2, v6).set(256, flows).set(300, row(58, 0x8700).u8s(&row(17, 53).0));
    let (text, _) = collected(Format::Table, &[ipfix(0, 1, sets.set(256, flow(17, 53)))]);
    compare("src/command/collect/snapshots/a_table_reads_well.txt", &text);
}

#[test]
fn gaps_unknown_templates_and_faults_are_counted() {
    let data = || Octets::default().set(256, flow(6, 443).u8s(&flow(17, 53).0));
    let mut cut = ipfix(13, 1, data());
    cut.truncate(60);
    let messages = [
        ipfix(0, 1, template().u8s(&data().0)),
        ipfix(5, 1, data()),
        ipfix(7, 1, Octets::default().set(400, flow(6, 80))),
        ipfix(9, 1, data()),
        ipfix(11, 1, Octets::default().u16s(&[256, 200]).u32s(&[0])),
        cut,
        ipfix(15, 1, Octets::default().set(256, flow(6, 80).u8s(&[1]))),
        vec![0; 7],
    ];
    let (_, summary) = collected(Format::Json, &messages);
    compare(
        "src/command/collect/snapshots/gaps_unknown_templates_and_faults_are_counted.txt",
        &summary.to_string(),
    );
}

#[test]
fn templates_belong_to_their_domain() {
    let messages = [ipfix(0, 1, template()), ipfix(0, 2, Octets::default().set(256, flow(6, 80)))];
    let (text, summary) = collected(Format::Json, &messages);
    assert_eq!((text.as_str(), summary.total().unknown_template), ("", 1));
}

#[test]
fn padding_is_no_fault() {
    let padded = ipfix(0, 1, template().set(256, flow(6, 443).u8s(&[0, 0, 0])));
    let (_, summary) = collected(Format::Json, &[padded]);
    assert_eq!((summary.total().malformed, summary.total().data_records), (0, 1));
}

#[test]
fn a_reader_that_went_away_is_told_from_a_full_disk() {
    struct Failing(io::ErrorKind);
    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for (kind, quiet) in [(io::ErrorKind::BrokenPipe, true), (io::ErrorKind::StorageFull, false)] {
        for format in [Format::Json, Format::Table] {
            let out = BufWriter::with_capacity(0, Failing(kind));
            let (streams, table) = (Streams::default(), table::Table::default());
            let mut collector = Collector { streams, format, table, out };
            let message = ipfix(0, 1, template().set(256, flow(6, 443)));
            let error = collector.message(([192, 0, 2, 9], 4739).into(), &message, 0).unwrap_err();
            assert_eq!(is_broken_pipe(&error), quiet, "{error:#}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_message_panics(
        version in 4u16..12,
        octets in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        at in 0usize..144,
        octet: u8,
    ) {
        let mut noise = version.to_be_bytes().to_vec();
        noise.extend(octets);
        let mut bent = ipfix(0, 1, template().set(256, flow(6, 443)));
        bent[at] = octet;
        for format in [Format::Json, Format::Table] {
            collected(format, &[noise.clone(), bent.clone(), noise.clone()]);
        }
    }
}

/// Nanoseconds of this thread's processor time that `records` records of 512 octets cost as JSON, as records of
/// `fields` fields.
fn cost(fields: u16) -> u64 {
    let specifiers: Vec<u16> = (0..fields).flat_map(|_| [82, 1]).collect();
    let template = Octets::default().set(2, Octets::default().u16s(&[256, fields]).u16s(&specifiers));
    let data = Octets::default().u8s(&[b'x'; 120 * 512]);
    let message = ipfix(0, 1, template.set(256, data));
    let spent = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let begun = spent();
    let (text, summary) = collected(Format::Json, &[message]);
    let taken = spent() - begun;
    assert_eq!(summary.total().data_records, 120 * 512 / u64::from(fields));
    assert!(text.contains(&format!("\"interfaceName#{fields}\":\"x\"")));
    u64::try_from(taken.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(taken.tv_nsec).unwrap()
}

/// With a search from the first name on, each value of a record of 512 costs 60 times one of a record of 8.
#[test]
fn a_value_costs_the_same_in_a_record_with_many_of_its_element() {
    let least = |fields| (0..3).map(|_| cost(fields)).min().unwrap();
    let (many, few) = (least(512), least(8));
    assert!(many < few * 10, "{many} ns for records of 512 fields, {few} ns for records of 8");
}

#[test]
fn no_control_character_reaches_the_terminal() {
    let template = Octets::default().set(2, Octets::default().u16s(&[256, 1, 82, 16]));
    let name = "a\u{1b}[2J\u{9b}\u{7f}\u{202e}";
    let mut octets = name.as_bytes().to_vec();
    octets.resize(16, 0);
    let (text, _) =
        collected(Format::Json, &[ipfix(0, 1, template.set(256, Octets::default().u8s(&octets)))]);
    assert!(text.contains(r"a\u001b[2J\u009b\u007f\u202e"), "{text}");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["interfaceName"], name);
}

/// A flood of messages that cost much must not keep the signals waiting.
#[test]
fn a_batch_ends_when_its_time_is_over() {
    let (mut collector, mut buffer) = (collector(Format::Json), [0; 16]);
    let flood = |buffer: &mut [u8]| {
        buffer.copy_from_slice(&ipfix(0, 1, Octets::default()));
        Ok((16, ([192, 0, 2, 9], 4739).into()))
    };
    assert!(collector.drain(flood, &mut buffer, 0).unwrap());
    assert_eq!(collector.streams.summary().total().messages, 1);
    assert!(collector.drain(flood, &mut buffer, u64::MAX).unwrap());
    assert_eq!(collector.streams.summary().total().messages, 1 + BATCH as u64);
    let silence = |_: &mut [u8]| Err(io::ErrorKind::WouldBlock.into());
    assert!(!collector.drain(silence, &mut buffer, u64::MAX).unwrap());
}
