//! The spool with folders of its own, closed as a killed process closes it: by being forgotten.

mod files;
mod full;
mod lost;
mod model;
mod restart;

use std::{fs, path::PathBuf, time::Duration};

use flowxdp_core::{
    clock::Now,
    exporting::session::{Message, Session, SessionConfig},
    exporting::spool::begin,
    record::{Addresses, Flow, FlowKey, FlowRecord, RecordTotal},
    samples,
};
use tempfile::TempDir;

use super::{Spool, SpoolSettings, Spooled};

const COLLECTOR: &str = "tcp://192.0.2.1:4739";
/// Milliseconds since 1970.
const START: u64 = 1_700_000_000_000;
const NO_LIMIT: u64 = 1 << 30;

/// An instant, with both clocks in step.
fn at(wall_ms: u64) -> Now {
    Now::new(wall_ms * 1_000_000, wall_ms)
}

/// A folder for spools and a session whose messages go there.
struct Bench {
    directory: TempDir,
    session: Session,
    limit: u64,
    records: u64,
}

impl Bench {
    fn new(limit: u64) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            session: Session::new(SessionConfig::reliable(0)).unwrap(),
            limit,
            records: 0,
        }
    }

    fn settings(&self) -> SpoolSettings {
        SpoolSettings {
            directory: self.directory.path().to_owned(),
            limit: self.limit,
            age: Duration::from_secs(3600),
        }
    }

    fn open(&self) -> Spool {
        Spool::open(self.settings(), COLLECTOR, START).unwrap()
    }

    /// A message with this many records, each with numbers of its own.
    fn message(&mut self, records: u64) -> Message {
        let now = Now::new(0, START);
        for _ in 0..records {
            self.records += 1;
            self.session.push(&record(self.records), now).unwrap();
        }
        let messages =
            std::iter::from_fn(|| Some(Message { next: 0, ..self.session.poll_message(now, true)? }));
        let mut data = messages.filter(|message| !message.templates_only);
        let message = data.next().unwrap();
        assert!(data.next().is_none(), "the records do not fit into one message");
        message
    }

    /// A file's beginning.
    fn templates(&self) -> Vec<u8> {
        begin(1, &self.session.templates(), u32::try_from(START / 1000).unwrap())
    }

    fn append(&self, spool: &mut Spool, message: &Message) {
        spool.append(message, || self.templates(), at(START)).unwrap();
        assert!(on_disk(self) <= self.limit && on_disk(self) == spool.octets());
    }

    /// As many messages, appended.
    fn fill(&mut self, spool: &mut Spool, number: usize) -> Vec<Message> {
        let messages: Vec<Message> = (0..number).map(|at| self.message(1 + at as u64 % 9)).collect();
        messages.iter().for_each(|message| self.append(spool, message));
        messages
    }

    /// The one collector's folder.
    fn folder(&self) -> PathBuf {
        fs::read_dir(self.directory.path()).unwrap().next().unwrap().unwrap().path()
    }

    /// The segments' paths, in order.
    fn segments(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = fs::read_dir(self.folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "ipfix"))
            .collect();
        paths.sort();
        paths
    }
}

fn record(number: u64) -> FlowRecord {
    Flow {
        key: FlowKey {
            addresses: if number.is_multiple_of(3) {
                Addresses::V6 { source: [1; 16], destination: [2; 16] }
            } else {
                Addresses::V4 { source: [192, 0, 2, 1], destination: [192, 0, 2, 2] }
            },
            source_port: u16::try_from(number % 65_536).unwrap(),
            protocol: if number.is_multiple_of(5) { 1 } else { 17 },
            ..samples::KEY
        },
        packets: number,
        octets: number * 60,
        start_ms: START,
        end_ms: START,
        ..samples::FLOW
    }
    .into()
}

/// Octets of all files.
fn on_disk(bench: &Bench) -> u64 {
    fs::read_dir(bench.folder()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn take_all(spool: &mut Spool) -> Vec<Spooled> {
    std::iter::from_fn(|| spool.take().unwrap()).collect()
}

fn sum<'a>(messages: impl IntoIterator<Item = &'a Message>) -> RecordTotal {
    let mut sum = RecordTotal::default();
    messages.into_iter().for_each(|message| sum += message.total);
    sum
}

/// The messages, but for sequence and export time, which are those of the file.
#[track_caller]
fn assert_same(taken: &[Spooled], messages: &[Message]) {
    assert_eq!(taken.len(), messages.len());
    for (spooled, message) in taken.iter().zip(messages) {
        let mut expected = message.clone();
        expected.bytes[4..12].copy_from_slice(&spooled.message.bytes[4..12]);
        assert_eq!(spooled.message, expected);
    }
    assert!(taken.is_sorted_by(|one, other| one.place < other.place));
}
