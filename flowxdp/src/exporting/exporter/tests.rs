//! Exporters against collectors on the loopback: records that are dropped, connections that break or are
//! refused, judged by the collector, the books and the log.

#![expect(clippy::disallowed_methods, reason = "a test may panic where the system has no thread")]

pub(crate) mod collector;
mod ends;
mod killed;
mod patience;
mod said;

use std::{
    ops::Range,
    sync::Arc,
    thread::spawn,
    time::{Duration, Instant},
};

use flowxdp_core::{
    clock::MILLISECOND,
    exporting::protocol::Protocol,
    record::{Flow, FlowKey, FlowRecord},
    samples,
};
use rustls::{ServerConnection, StreamOwned};

use self::collector::{accept, all, listen, not_sent, ports, reset, self_signed, sets};
use super::*;
use crate::{exporting::deliveries::SharedLedger, transport::readiness::Readiness};

/// No test waits longer than this for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// 2026-11-03 10:00:00 UTC.
pub(crate) const T0: u64 = 1_793_700_000_000;

pub(crate) fn settings() -> Settings {
    Settings {
        protocol: Protocol::Ipfix,
        observation_domain: 1,
        record: crate::config::Record::default(),
        pace: 0,
        udp_segments: 1,
        system_start_ms: T0 - 3_600_000,
        flow_keys: false,
        options_interval: 3_600 * SECOND,
        options: flowxdp_core::elements::options::Subjects::ALL,
        template_interval: 600 * SECOND,
        template_messages: 20,
        handshake_timeout: 5 * SECOND,
        retry_limit: 400 * MILLISECOND,
        resolve_interval: 0,
        resend_window: 1 << 22,
        resend_after_end: false,
        spool: None,
        readiness: Arc::new(Readiness::new().unwrap()),
        ledger: None,
    }
}

pub(crate) fn record(port: u16) -> FlowRecord {
    Flow {
        key: FlowKey { source_port: port, ..samples::KEY },
        packets: 3,
        octets: 180,
        start_ms: T0 - 2_000,
        end_ms: T0 - 1_000,
        ..samples::FLOW
    }
    .into()
}

/// An exporter and its driver, like the agent's loop.
struct Driver {
    exporter: Exporter,
    start: Instant,
}

impl Driver {
    fn new(url: &str, tls: TlsSettings) -> Self {
        Self::with(url, tls, &settings())
    }

    fn with(url: &str, tls: TlsSettings, settings: &Settings) -> Self {
        let exporter = Exporter::new(url.parse().unwrap(), tls, settings, AgentTime::START, T0).unwrap();
        Self { exporter, start: Instant::now() }
    }

    fn now(&self) -> Now {
        let monotonic = u64::try_from(self.start.elapsed().as_nanos()).unwrap();
        Now::new(monotonic, T0 + monotonic / MILLISECOND)
    }

    fn real(&self) -> AgentTime {
        AgentTime::new(self.now().monotonic.nanoseconds())
    }

    fn push(&mut self, ports: Range<u16>) {
        let now = self.now();
        ports.for_each(|port| self.exporter.push(&record(port), now, false));
    }

    fn poll(&mut self) {
        let now = self.now();
        self.exporter.poll(self.real(), now, true);
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&Exporter) -> bool) {
        let begun = Instant::now();
        while !done(&self.exporter) {
            assert!(begun.elapsed() < LIMIT, "still not {what}: {:?}", self.exporter.books());
            self.poll();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn exported(&mut self, records: u64) {
        self.until("exported", |exporter| exporter.exported_records() == records);
    }

    /// Sends everything and ends the connection in order.
    fn end(&mut self) -> Collector {
        let now = self.now();
        self.until("settled", |exporter| exporter.is_settled(now, true));
        let begun = Instant::now();
        while !self.exporter.close(self.real()) {
            assert!(begun.elapsed() < LIMIT, "the connection does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.exporter.books()
    }
}

#[test]
fn what_is_dropped_is_told_to_the_collector() {
    let (listener, address) = listen();
    let mut driver = Driver::new(&format!("tcp://{address}"), TlsSettings::default());
    let mut pushed = 0;
    // The collector is connected and reads nothing: first the sockets fill, then the queue.
    while driver.exporter.books().lost.records < 5_000 {
        driver.push(0..20_000);
        pushed += 20_000;
        driver.poll();
        assert!(pushed < 2_000_000, "nothing is ever full");
    }
    let lost = driver.exporter.books().lost_by_reason["queue_full"];
    driver.exporter.tell(&Snapshot::default(), true);
    let reading = spawn(move || all(accept(&listener)));
    let books = driver.end();
    let read = reading.join().unwrap();
    assert_eq!(books.lost_by_reason.len(), 1);
    assert_eq!(books.lost, lost);
    assert_eq!(not_sent(&read), Some([lost.records, lost.packets, lost.octets]));
    assert_eq!((lost.packets, lost.octets), (3 * lost.records, 180 * lost.records));
    assert_eq!((books.exported.records + lost.records, books.queued.records), (pushed, 0));
    assert_eq!(ports(&read).len() as u64, books.exported.records);
}

#[test]
fn a_connection_that_broke_is_made_again() {
    let (listener, address) = listen();
    let mut driver = Driver::new(&format!("tcp://{address}"), TlsSettings::default());
    let collector = spawn(move || {
        let first = reset(accept(&listener), |read| ports(read).len() == 10);
        (first, all(accept(&listener)))
    });
    driver.push(0..10);
    driver.exported(10);
    // Exported records are revoked, as their arrival is unknown.
    driver.until("broken", |exporter| exporter.availability().is_none());
    assert_eq!(driver.exporter.books().queued.records, 10);
    driver.push(10..20);
    driver.exported(20);
    let books = driver.end();
    let (first, second) = collector.join().unwrap();
    assert_eq!(ports(&first), (0..10).collect::<Vec<_>>());
    assert_eq!(ports(&second), (0..20).collect::<Vec<_>>());
    // Each begins with the templates and with number 0.
    for read in [&first, &second] {
        assert_eq!((read[0].sequence, read[0].sets[0].0), (0, 2));
        assert_eq!(read.iter().find(|message| message.domain == 1).map(|message| message.sequence), Some(0));
        assert_eq!(sets(read, 2).count(), 1);
    }
    assert_eq!((books.exported.records, books.perhaps_twice.records), (20, 10));
    assert_eq!((books.queued.records, books.lost.records), (0, 0));
}

#[test]
fn a_reset_is_logged_once() {
    said::listen();
    let (listener, address) = listen();
    let url = format!("tcp://{address}");
    let mut driver = Driver::new(&url, TlsSettings::default());
    let collector = spawn(move || {
        reset(accept(&listener), |read| ports(read).len() == 1);
        all(accept(&listener))
    });
    driver.push(0..1);
    driver.exported(1);
    driver.until("broken", |exporter| exporter.availability().is_none());
    driver.exported(1);
    driver.end();
    collector.join().unwrap();
    let lines = said::of(&url);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("WARN") && lines[0].contains("reset"), "{lines:?}");
    assert!(lines[1].starts_with("INFO") && lines[1].ends_with("reached"), "{lines:?}");
}

#[test]
fn why_a_collector_is_not_used_is_logged_once() {
    said::listen();
    let (listener, address) = listen();
    let (server, _) = self_signed();
    let directory = tempfile::tempdir().unwrap();
    let trusted = directory.path().join("ca.pem");
    std::fs::write(&trusted, self_signed().1).unwrap();
    let url = format!("tls://{address}");
    let mut driver = Driver::new(&url, TlsSettings { ca: Some(trusted), ..TlsSettings::default() });
    // Three tries, and the result of each.
    let collector = spawn(move || {
        let read = (0..3).map(|_| {
            let session = ServerConnection::new(Arc::clone(&server)).unwrap();
            let mut octets = Vec::new();
            let mut stream = StreamOwned::new(session, accept(&listener));
            std::io::Read::read_to_end(&mut stream, &mut octets).unwrap_err();
            octets.len()
        });
        read.sum::<usize>()
    });
    driver.push(0..10);
    driver.until("tried three times", |_| collector.is_finished());
    assert_eq!(collector.join().unwrap(), 0);
    driver.until("refused", |exporter| exporter.availability().is_none());
    let lines = said::of(&url);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("WARN") && lines[0].contains("certificate"), "{lines:?}");
    let books = driver.exporter.books();
    assert_eq!((books.exported.records, books.queued.records, books.lost.records), (0, 10, 0));
}
