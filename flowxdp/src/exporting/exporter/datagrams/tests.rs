//! Bursts to a collector on loopback that comes and goes: no record is lost, and only named ones come twice.

use std::{
    io::ErrorKind,
    net::UdpSocket,
    sync::Arc,
    time::{Duration, Instant},
};

use flowxdp_core::{
    clock::{AgentTime, Now, SECOND},
    exporting::protocol::Protocol,
    record::{Flow, FlowKey, FlowRecord},
    samples,
};

use crate::{
    exporting::exporter::{Exporter, Settings},
    transport::{readiness::Readiness, tls::TlsSettings},
};

const NOW: Now = Now::new(SECOND, 1_700_000_000_000);

/// Octets of a record of NetFlow v5, and of the header.
const RECORD: usize = 48;
const HEADER: usize = 24;

struct Pair {
    exporter: Exporter,
    begin: Instant,
    port: u16,
}

impl Pair {
    fn new(port: u16, pace: u32, segments: usize) -> Self {
        let settings = Settings {
            protocol: Protocol::V5,
            observation_domain: 1,
            record: crate::config::Record::default(),
            pace,
            udp_segments: segments,
            system_start_ms: NOW.wall_ms - 60_000,
            flow_keys: false,
            options_interval: SECOND,
            options: flowxdp_core::elements::options::Subjects::ALL,
            template_interval: 600 * SECOND,
            template_messages: 20,
            handshake_timeout: SECOND,
            retry_limit: SECOND,
            resolve_interval: 0,
            resend_window: 0,
            resend_after_end: false,
            spool: None,
            readiness: Arc::new(Readiness::new().unwrap()),
            ledger: None,
        };
        let url = format!("udp://127.0.0.1:{port}").parse().unwrap();
        let exporter =
            Exporter::new(url, TlsSettings::default(), &settings, AgentTime::START, NOW.wall_ms).unwrap();
        Self { exporter, begin: Instant::now(), port }
    }

    fn push(&mut self, ports: std::ops::Range<u16>) {
        for port in ports {
            self.exporter.push(&record(port), NOW, true);
        }
    }

    /// Polls until everything is sent, or something is refused.
    fn settle(&mut self) {
        loop {
            let real = AgentTime::new(u64::try_from(self.begin.elapsed().as_nanos()).unwrap());
            self.exporter.poll(real, NOW, true);
            self.exporter.judge_last(real);
            if self.exporter.is_settled(NOW, true) || self.exporter.availability().is_none() {
                return;
            }
            assert!(self.begin.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Polls until everything is sent.
    fn deliver(&mut self) {
        while !self.exporter.is_settled(NOW, true) {
            self.settle();
        }
    }

    fn bind(&self) -> UdpSocket {
        let socket = UdpSocket::bind(("127.0.0.1", self.port)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }
}

fn record(port: u16) -> FlowRecord {
    Flow {
        key: FlowKey { source_port: port, ..samples::KEY },
        start_ms: NOW.wall_ms - 1000,
        end_ms: NOW.wall_ms,
        ..samples::FLOW
    }
    .into()
}

/// The source ports of all records that a collector got, whose messages follow each other from `sequence`.
fn received(collector: &UdpSocket, mut sequence: u32) -> Vec<u16> {
    let (mut ports, mut octets) = (Vec::new(), [0; 2000]);
    loop {
        let length = match collector.recv(&mut octets) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return ports,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(octets[16..20], sequence.to_be_bytes());
        for record in octets[HEADER..length].chunks_exact(RECORD) {
            ports.push(u16::from_be_bytes([record[32], record[33]]));
            sequence += 1;
        }
    }
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn all_bursts_arrive_in_order() {
    for (pace, segments) in [(0, 1), (16_000, 1), (500, 1), (0, 16), (500, 5)] {
        let mut pair = Pair::new(free_port(), pace, segments);
        let collector = pair.bind();
        pair.push(0..2500);
        pair.deliver();
        assert!(received(&collector, 0).into_iter().eq(0..2500), "pace {pace}, {segments}");
        assert_eq!(pair.exporter.books().exported.records, 2500);
    }
}

#[test]
fn what_a_burst_met_a_closed_port_with_comes_once_when_it_opens() {
    for (pace, segments) in [(0, 1), (16_000, 1), (0, 16), (16_000, 3)] {
        let mut pair = Pair::new(free_port(), pace, segments);
        let collector = pair.bind();
        pair.push(0..300);
        pair.deliver();
        assert!(received(&collector, 0).into_iter().eq(0..300), "pace {pace}, {segments}");
        drop(collector);
        pair.push(300..2300);
        pair.settle();
        let books = pair.exporter.books();
        assert_eq!((books.exported.records, books.queued.records), (300, 2000), "pace {pace}, {segments}");
        let collector = pair.bind();
        pair.deliver();
        assert!(received(&collector, 300).into_iter().eq(300..2300), "pace {pace}, {segments}");
        let books = pair.exporter.books();
        assert_eq!((books.exported.records, books.queued.records, books.refused), (2300, 0, 1));
    }
}

/// Polls once for each 50 ms of a time that passes faster than the clock's.
fn pass(pair: &mut Pair, seconds: std::ops::Range<u64>) {
    for real in (seconds.start * SECOND..seconds.end * SECOND).step_by(50_000_000) {
        pair.exporter.poll(AgentTime::new(real), NOW, true);
        // For the resolver's thread.
        std::thread::sleep(Duration::from_micros(300));
    }
}

#[test]
fn a_port_that_stays_closed_is_offered_another_message_now_and_then_and_loses_none() {
    let mut pair = Pair::new(free_port(), 0, 1);
    pair.push(0..900);
    pass(&mut pair, 0..60);
    let books = pair.exporter.books();
    assert_eq!((books.exported.records, books.queued.records, books.lost.records), (0, 900, 0));
    // Each refusal names the revoked records: one message each second or so, as there are no templates.
    assert_eq!(books.perhaps_twice.records, books.refused * 30);
    assert!((10..=100).contains(&books.refused), "{}", books.refused);
    let collector = pair.bind();
    pass(&mut pair, 60..64);
    let mut ports = received(&collector, 0);
    assert!(ports[0] != 0, "the first message was offered again and again");
    ports.sort_unstable();
    assert!(ports.into_iter().eq(0..900));
    assert_eq!(pair.exporter.books().exported.records, 900);
}
