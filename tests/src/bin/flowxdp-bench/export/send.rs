//! Our exporter, without pace, to a receiver that only reads.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flowxdp::exporting::exporter::{Exporter, Settings};
use flowxdp::transport::readiness::Readiness;
use flowxdp::transport::tls::TlsSettings;
use flowxdp_core::clock::{AgentTime, SECOND};
use flowxdp_core::elements::options::Subjects;
use flowxdp_core::exporting::protocol::Protocol;
use flowxdp_core::record::FlowRecord;

use super::Turn;
use super::flows::{NOW, SYSTEM_START};
use super::receiver::Receiver;
use super::stream::Stream;
use crate::measure::cpu_time;

/// How messages travel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// Time for whatever must happen before a turn or at its end.
const PATIENCE: Duration = Duration::from_secs(30);

/// An exporter, driven as the agent does.
pub(super) struct Driver {
    pub(super) exporter: Exporter,
    readiness: Arc<Readiness>,
    start: Instant,
}

impl Driver {
    pub(super) fn new(
        url: &str,
        ca: Option<PathBuf>,
        protocol: Protocol,
        udp_segments: usize,
    ) -> Result<Self> {
        let readiness = Arc::new(Readiness::new()?);
        let settings = Settings {
            protocol,
            observation_domain: 1,
            record: flowxdp::config::Record::default(),
            pace: 0,
            udp_segments,
            system_start_ms: SYSTEM_START,
            flow_keys: false,
            options_interval: 60 * SECOND,
            options: Subjects::ALL,
            template_interval: 600 * SECOND,
            template_messages: 20,
            handshake_timeout: 10 * SECOND,
            retry_limit: 10 * SECOND,
            resolve_interval: 0,
            resend_window: 4 << 20,
            resend_after_end: false,
            spool: None,
            readiness: Arc::clone(&readiness),
            ledger: None,
        };
        let tls = TlsSettings { ca, ..TlsSettings::default() };
        let exporter = Exporter::new(url.parse()?, tls, &settings, AgentTime::new(1), NOW.wall_ms)?;
        Ok(Self { exporter, readiness, start: Instant::now() })
    }

    fn real(&self) -> AgentTime {
        AgentTime::new(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Polls once.
    pub(super) fn poll(&mut self) {
        self.exporter.poll(self.real(), NOW, false);
    }

    /// Polls until data can go out.
    pub(super) fn begin(&mut self) -> Result<()> {
        let begin = Instant::now();
        while !self.exporter.is_up() {
            ensure!(begin.elapsed() < PATIENCE, "the receiver cannot be reached");
            self.poll();
            self.readiness.wait(Some(Duration::from_millis(1)))?;
        }
        Ok(())
    }

    /// Polls until nothing is ready, or with `flush` until nothing is left.
    pub(super) fn settle(&mut self, flush: bool) -> Result<()> {
        let begin = Instant::now();
        loop {
            let wake = self.exporter.poll(self.real(), NOW, flush);
            if self.exporter.is_settled(NOW, flush) {
                return Ok(());
            }
            ensure!(begin.elapsed() < PATIENCE, "the receiver takes nothing");
            let wait = wake.map_or(1_000_000, |at| at.since(self.real())).min(1_000_000);
            self.readiness.wait(Some(Duration::from_nanos(wait)))?;
        }
    }

    pub(super) fn close(&mut self) -> Result<()> {
        let begin = Instant::now();
        while !self.exporter.close(self.real()) {
            ensure!(begin.elapsed() < PATIENCE, "the connection does not end");
            self.readiness.wait(Some(Duration::from_millis(1)))?;
        }
        Ok(())
    }
}

/// Sends at least so many records; gives the receiver's count of them too.
pub(crate) fn turn(
    transport: Transport,
    protocol: Protocol,
    records: &[FlowRecord],
    count: u32,
) -> Result<Turn> {
    match transport {
        Transport::Udp => {
            let receiver = Receiver::start()?;
            let url = format!("udp://127.0.0.1:{}", receiver.port());
            let mut turn = send(Driver::new(&url, None, protocol, 1)?, records, count)?;
            turn.received = receiver.finish()?.total.records;
            Ok(turn)
        }
        Transport::Tcp | Transport::Tls => {
            let receiver = Stream::start(transport == Transport::Tls)?;
            let scheme = if transport == Transport::Tls { "tls" } else { "tcp" };
            let url = format!("{scheme}://127.0.0.1:{}", receiver.port());
            let mut turn = send(Driver::new(&url, receiver.ca(), protocol, 1)?, records, count)?;
            turn.received = receiver.finish()?;
            Ok(turn)
        }
    }
}

fn send(mut driver: Driver, records: &[FlowRecord], count: u32) -> Result<Turn> {
    // Connection, handshake and templates come first, and are not measured.
    driver.exporter.push(&records[0], NOW, true);
    driver.settle(true)?;
    let already = driver.exporter.exported_records();
    let mut turn = Turn::default();
    let (wall, start) = (Instant::now(), cpu_time());
    while turn.records < u64::from(count) {
        let before = cpu_time();
        for record in records {
            driver.exporter.push(record, NOW, true);
        }
        turn.push += cpu_time().saturating_sub(before);
        driver.settle(false)?;
        turn.records = driver.exporter.exported_records() - already;
    }
    turn.cpu = cpu_time().saturating_sub(start).max(Duration::from_nanos(1));
    turn.wall = wall.elapsed();
    driver.settle(true)?;
    driver.close()?;
    turn.sent = driver.exporter.exported_records();
    // The receiver empties its buffer before it is asked.
    thread::sleep(Duration::from_millis(1));
    Ok(turn)
}
