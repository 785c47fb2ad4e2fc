//! Streams against peers on the loopback: good ones, and one of each kind of bad ones.

mod certificates;
mod files;
mod handmade;
mod mutual;
mod pki;
mod room;
mod server;
mod tcp;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use flowxdp_core::clock::{AgentTime, MILLISECOND, SECOND};

use super::{Broken, Phase, Stream, StreamSettings};
use crate::{
    collector_url::Host,
    transport::{
        readiness::Readiness,
        tls::{TlsClient, TlsSettings},
    },
};

/// A session's octets, in order.
const RECORDS: &[u8] = b"flow records, for the right collector only";

/// No test waits longer than this for anything.
const LIMIT: Duration = Duration::from_secs(10);

/// A stream and its driver, as an exporter without a runtime is.
struct Driver {
    stream: Stream,
    readiness: Readiness,
    start: Instant,
}

impl Driver {
    fn connect(
        address: SocketAddr,
        settings: &StreamSettings,
        tls: Option<&TlsClient>,
    ) -> Result<Self, Broken> {
        let readiness = Readiness::new().unwrap();
        let stream = Stream::connect(address, settings, tls, &readiness, AgentTime::START)?;
        Ok(Self { stream, readiness, start: Instant::now() })
    }

    fn real(&self) -> AgentTime {
        AgentTime::new(u64::try_from(self.start.elapsed().as_nanos()).unwrap())
    }

    /// Polls at each wake and deadline until `what` gives a value.
    fn until<T>(
        &mut self,
        mut what: impl FnMut(&mut Stream, AgentTime) -> Result<Option<T>, Broken>,
    ) -> Result<T, Broken> {
        loop {
            assert!(self.start.elapsed() < LIMIT, "no answer in time");
            let real = self.real();
            if let Some(found) = what(&mut self.stream, real)? {
                return Ok(found);
            }
            let deadline = self.stream.deadline().unwrap_or(AgentTime::NEVER).min(real.after(SECOND));
            self.readiness.wait(Some(Duration::from_nanos(deadline.since(real)))).unwrap();
        }
    }

    /// Until octets are taken; gives the phases on the way.
    fn ready(&mut self) -> Result<Vec<Phase>, Broken> {
        let mut phases = Vec::new();
        self.until(|stream, real| {
            let phase = stream.poll(real)?;
            if phases.last() != Some(&phase) {
                phases.push(phase);
            }
            Ok((phase == Phase::Ready).then_some(()))
        })?;
        Ok(phases)
    }

    /// Writes all of `octets`, as there is room.
    fn write(&mut self, octets: &[u8]) -> Result<(), Broken> {
        let mut taken = 0;
        self.until(|stream, real| {
            stream.poll(real)?;
            taken += stream.write(&octets[taken..])?;
            Ok((taken == octets.len()).then_some(()))
        })
    }

    fn close(&mut self) -> Result<(), Broken> {
        self.until(|stream, real| Ok(stream.close(real)?.then_some(())))
    }

    /// Closes with a time that stands still, so that only the collector's own end is one.
    fn close_patiently(&mut self) -> Result<(), Broken> {
        self.until(|stream, _| Ok(stream.close(AgentTime::START)?.then_some(())))
    }

    /// The error of a stream that is not written to.
    fn end(&mut self) -> String {
        let end: Result<(), Broken> = self.until(|stream, real| stream.poll(real).map(|_| None));
        end.unwrap_err().to_string()
    }
}

/// A whole session with [`RECORDS`]: the phases, or why it ended.
fn session(address: SocketAddr, tls: Option<&TlsClient>) -> Result<Vec<Phase>, String> {
    let run = || {
        let mut driver = Driver::connect(address, &StreamSettings::default(), tls)?;
        let phases = driver.ready()?;
        driver.write(RECORDS)?;
        driver.close()?;
        Ok(phases)
    };
    run().map_err(|broken: Broken| broken.to_string())
}

/// Settings with a handshake of at most 300 ms.
fn impatient() -> StreamSettings {
    StreamSettings { handshake: 300 * MILLISECOND, ..StreamSettings::default() }
}

fn host(name: &str) -> Host {
    match name.parse() {
        Ok(address) => Host::V4(address),
        Err(_) => Host::Name(name.to_owned()),
    }
}

fn client(settings: TlsSettings) -> TlsClient {
    TlsClient::new(settings, &host("collector.test")).unwrap()
}
