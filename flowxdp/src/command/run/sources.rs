//! The sources of news that a running agent waits for, most urgent first: signals, the ring buffer, collectors'
//! sockets, the kernel's links, the control socket, the clock.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use flowxdp_core::clock::{AgentTime, SECOND};
use tokio::{
    io::unix::AsyncFd,
    signal::unix::{Signal, SignalKind, signal},
};

use super::live::Live;
use crate::{
    agent::{
        control::{Control, socket::Socket},
        engine::{Engine, Event, Wake},
    },
    clock,
    metering::meter::Meter,
    system,
    transport::readiness::Readiness,
};

/// All sources of one agent.
pub(super) struct Sources {
    signals: Signals,
    readiness: Arc<Readiness>,
    /// The same, for the runtime.
    woken: AsyncFd<OwnedFd>,
    /// Readable when a packet found no slot; there once metering has begun.
    ring: Option<AsyncFd<OwnedFd>>,
    control: Control,
}

impl Sources {
    /// Signals are caught from now on, and clients are heard at `socket`.
    ///
    /// # Errors
    ///
    /// The process has too many descriptors open; another agent has the socket.
    pub(super) fn new(readiness: &Arc<Readiness>, socket: &Path) -> anyhow::Result<Self> {
        let signals = Signals::new()?;
        let control = Control::new(Socket::bind(socket)?);
        let woken = woken(readiness).context("cannot wait for sockets")?;
        Ok(Self { signals, readiness: Arc::clone(readiness), woken, ring: None, control })
    }

    /// Waits for packets without a slot too.
    ///
    /// # Errors
    ///
    /// The process has too many descriptors open.
    pub(super) fn follow_ring(&mut self, meter: &Meter) -> anyhow::Result<()> {
        self.ring = Some(meter.ring_readiness()?);
        Ok(())
    }

    /// Waits as `wake` says, and feeds the engine the news.
    ///
    /// # Errors
    ///
    /// The runtime's.
    pub(super) async fn feed(&mut self, engine: &mut Engine<Live>, wake: Wake) -> anyhow::Result<()> {
        let event = self.next(engine, wake).await?;
        let at = clock::reading();
        engine.take(event, &at);
        // The table is scanned once for all who ask at a time.
        while let Some(question) = self.control.waiting() {
            engine.take(Event::Asked(question), &at);
        }
        Ok(())
    }

    async fn next(&mut self, engine: &mut Engine<Live>, wake: Wake) -> anyhow::Result<Event> {
        let instant = match wake {
            Wake::At(instant) => instant,
            Wake::Again | Wake::Idle | Wake::Done => {
                // So that signals and clients are heard, however many packets come in.
                tokio::task::yield_now().await;
                AgentTime::START
            }
        };
        let is_running = engine.is_running();
        let interfaces = &mut engine.metering_mut().interfaces;
        tokio::select! {
            biased;
            event = self.signals.next() => Ok(event),
            ready = readable(self.ring.as_ref()), if is_running => ready,
            ready = readable(Some(&self.woken)) => {
                ready?;
                self.readiness.clear()?;
                Ok(Event::Woken)
            }
            () = interfaces.changed(), if is_running => Ok(Event::Woken),
            question = self.control.next() => Ok(Event::Asked(question)),
            () = until(instant) => Ok(Event::Woken),
        }
    }
}

/// Waits until a descriptor has news; without one for ever.
async fn readable(descriptor: Option<&AsyncFd<OwnedFd>>) -> anyhow::Result<Event> {
    match descriptor {
        Some(descriptor) => descriptor.readable().await?.clear_ready(),
        None => std::future::pending().await,
    }
    Ok(Event::Woken)
}

/// Sleeps until an instant.
async fn until(instant: AgentTime) {
    let left = instant.since(clock::agent_time());
    tokio::time::sleep(Duration::from_nanos(left.min(3600 * SECOND))).await;
}

/// Wakes the runtime when a socket has news.
fn woken(readiness: &Readiness) -> std::io::Result<AsyncFd<OwnedFd>> {
    let descriptor = readiness.as_fd().try_clone_to_owned()?;
    system::readable(descriptor)
}

/// SIGTERM, SIGINT and SIGHUP.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Event {
        tokio::select! {
            _ = self.terminate.recv() => Event::Stop,
            _ = self.interrupt.recv() => Event::Stop,
            _ = self.hangup.recv() => Event::ReadAgain,
        }
    }
}
