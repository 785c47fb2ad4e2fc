//! The rounds of a plan, one after the other, and the conditions of each.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flowxdp_tests::books::Count;
use flowxdp_tests::traffic::{Traffic, UDP};
use rustix::process::Signal;

use crate::clock::Step;
use crate::field::Field;
use crate::last::Last;
use crate::plan::{End, Event, PAIRS, Plan, Round};
use crate::stop;
use crate::tally::Tally;
use crate::watch::same_for_all;

/// The time in which the records of a flood must be exported.
const SETTLE: Duration = Duration::from_secs(120);

/// How long an agent may take to notice that a collector is away.
const NOTICE: Duration = Duration::from_secs(30);

/// The agent's log line for a refused datagram.
const REFUSED: &str = "does not take messages";

/// The interval between two lines of progress.
const TELL: Duration = Duration::from_secs(5);

/// Runs rounds for so long, then ends in order.
pub(crate) fn run(
    field: &mut Field<'_>,
    plan: &mut Plan,
    time: Duration,
    calm: bool,
    tally: &mut Tally,
) -> Result<()> {
    let (begun, mut told) = (Instant::now(), Instant::now());
    begin(field, plan)?;
    while begun.elapsed() < time {
        let round = plan.round();
        one(field, plan, &round, calm, tally)
            .with_context(|| format!("round {}, {round:?}", round.number))?;
        tally.rounds += 1;
        if told.elapsed() >= TELL {
            println!("{}", tally.line(begun.elapsed(), field.watch.answers()));
            told = Instant::now();
        }
    }
    let last = || "after the last round";
    finish(field, calm, false, tally).with_context(last)?;
    if tally.is_left() {
        // Records that a flush left on disk for the collector over TCP are the next agent's.
        begin(field, plan)?;
        field.at_rest(SETTLE)?;
        finish(field, calm, false, tally).with_context(last)?;
    }
    tally.end()?;
    println!("{}", tally.line(begun.elapsed(), field.watch.answers()));
    field.expect_clean()
}

/// A new table.
fn begin(field: &mut Field<'_>, plan: &mut Plan) -> Result<()> {
    field.size = plan.size();
    field.protocol = if plan.coin() { "ipfix" } else { "v9" };
    field.watch.new_life();
    field.start(true)
}

fn one(field: &mut Field<'_>, plan: &mut Plan, round: &Round, calm: bool, tally: &mut Tally) -> Result<()> {
    stop::check()?;
    field.watch.check()?;
    field.note(&format!("{round:?}"))?;
    if let Some((pair, metered)) = round.flap {
        field.flap(pair, metered)?;
        *tally.events.entry("link flaps").or_default() += 1;
    }
    let before = lost(field)?;
    let pause = Duration::from_millis(round.pause);
    let sent = field.meanwhile(&round.traffic, pause, round.event != Event::Quiet && !round.flood, |field| {
        field.wait(round.delay)?;
        event(field, round.event, tally)
    });
    tally.sent = tally.sent + sent?;
    if round.flood {
        *tally.events.entry("floods").or_default() += 1;
        let books = field.at_rest(SETTLE).context("after a flood")?;
        same_for_all(&books)?;
        ensure!(books.seen == tally.sent, "seen {:?}, sent {:?}: {books:?}", books.seen, tally.sent);
    } else {
        let after = lost(field)?;
        ensure!(after == before, "{after:?} is lost, and {before:?} was before");
    }
    field.collectors.read()?;
    if round.end != End::On {
        flush(field, plan, round.end == End::FlushToDisk, calm, tally)?;
    }
    field.watch.check()
}

/// Lost so far, anywhere, in this life of the table: packets in the kernel, records at each collector.
fn lost(field: &mut Field<'_>) -> Result<(Count, Vec<u64>)> {
    let books = field.live()?.status()?;
    let kernel = books.interfaces.values().map(|interface| interface.lost).sum();
    let records = books.collectors.values().map(|collector| collector.rows.lost.records);
    Ok((kernel, records.collect()))
}

fn event(field: &mut Field<'_>, event: Event, tally: &mut Tally) -> Result<()> {
    field.note(&format!("{event:?}"))?;
    *tally.events.entry(name(event)).or_default() += 1;
    match event {
        Event::Quiet => Ok(()),
        Event::Keep(size) => {
            field.stop()?;
            field.size = size.unwrap_or(field.size);
            tally.restarts += 1;
            field.start(true)
        }
        Event::Kill(times, early) => {
            for time in 0..times {
                kill(field, tally)?;
                if time + 1 < times {
                    // The kill may come before the agent is ready.
                    field.launch(true)?;
                    field.wait(early)?;
                }
            }
            field.start(true)
        }
        Event::Suspend(time) => {
            field.live()?.signal(Signal::STOP)?;
            let waited = field.wait(time);
            field.live()?.signal(Signal::CONT)?;
            waited
        }
        Event::UdpAway(time, killed) => udp_away(field, time, killed, tally),
        Event::TcpAway(time, killed) => {
            field.collectors.tcp_away()?;
            // A kill before the break is known would lose records on their way, which TCP reports to no other
            // process.
            field.live()?.until_log(NOTICE, "broken", is_broken)?;
            // An answer: by then the agent has handled the break.
            field.live()?.status()?;
            away(field, time, killed, tally)?;
            field.collectors.tcp_back(field.netns)
        }
        Event::TcpStall(time) => {
            field.collectors.stall(true);
            let waited = field.wait(time);
            field.collectors.stall(false);
            waited
        }
        Event::Reload(draft, killed) => {
            field.draft = draft;
            let Some(wait) = killed else { return field.reload() };
            let asking = field.ask_to_reload()?;
            field.wait(wait)?;
            kill(field, tally)?;
            asking.wait(NOTICE)?;
            field.start(true)
        }
        Event::Clock(seconds) => {
            let _step = Step::by(seconds)?;
            field.wait(1_000)
        }
    }
}

fn kill(field: &mut Field<'_>, tally: &mut Tally) -> Result<()> {
    tally.kills += 1;
    tally.restarts += 1;
    field.kill()
}

fn away(field: &mut Field<'_>, time: u64, killed: bool, tally: &mut Tally) -> Result<()> {
    field.wait(time / 2)?;
    if killed {
        kill(field, tally)?;
        field.start(true)?;
    }
    field.wait(time / 2)
}

/// Whether the last that an agent said of the collector over TCP is that it has trouble with it.
fn is_broken(log: &str) -> bool {
    let trouble = |line: &str| line.contains("records are kept");
    let last =
        log.lines().rfind(|line| line.contains("tcp://") && (trouble(line) || line.ends_with("reached")));
    last.is_some_and(trouble)
}

/// nfcapd ends while the agent is halted, so that every datagram is read or refused, and none lies unread in
/// a socket that closes.
fn udp_away(field: &mut Field<'_>, time: u64, killed: bool, tally: &mut Tally) -> Result<()> {
    let refusals = |log: &str| log.lines().filter(|line| line.contains(REFUSED)).count();
    let live = field.live()?;
    let before = refusals(&live.log());
    live.signal(Signal::STOP)?;
    let ended = field.collectors.udp_away();
    field.live()?.signal(Signal::CONT)?;
    ended?;
    field.note("nfcapd has ended")?;
    // A kill before the refusal is known would lose refused records, which UDP reports to no other process.
    field.live()?.until_log(NOTICE, "refused", |log| refusals(log) > before)?;
    away(field, time, killed, tally)?;
    field.collectors.udp_back(field.netns)?;
    // Only then can the agent say again that it is away.
    let back =
        |log: &str| log.lines().filter(|line| line.contains("udp://") && line.ends_with("reached")).count();
    field.live()?.until_log(NOTICE, "reached", |log| back(log) >= refusals(log))
}

/// The agent ends with the flows that the table holds at this moment, and the next one begins with none.
fn flush(field: &mut Field<'_>, plan: &mut Plan, to_disk: bool, calm: bool, tally: &mut Tally) -> Result<()> {
    finish(field, calm, to_disk, tally)?;
    tally.restarts += 1;
    begin(field, plan)
}

fn finish(field: &mut Field<'_>, calm: bool, to_disk: bool, tally: &mut Tally) -> Result<()> {
    // The one that runs would keep its table.
    field.stop()?;
    tally.restarts += 1;
    field.start(false)?;
    if to_disk {
        field.collectors.tcp_away()?;
    }
    let burst = Traffic { flows: 1_000, packets: 100_000, ipv6: false, protocol: UDP, length: 100 };
    let traffic: [_; PAIRS] = [vec![burst], vec![Traffic { ipv6: true, ..burst }]];
    let sent = field.meanwhile(&traffic, Duration::ZERO, false, |_| Ok(()))?;
    tally.sent = tally.sent + sent;
    let log = field.stop()?;
    *tally.events.entry("flushes").or_default() += 1;
    let last = Last::read(&log)?;
    let came = field.collectors.sums()?;
    tally.life(&last, came, calm)?;
    field.collectors.udp_back(field.netns)?;
    field.collectors.tcp_back(field.netns)
}

const fn name(event: Event) -> &'static str {
    match event {
        Event::Quiet => "quiet rounds",
        Event::Keep(None) => "stops that keep",
        Event::Keep(Some(_)) => "tables of another size",
        Event::Kill(..) => "rounds with kills",
        Event::Suspend(_) => "suspensions",
        Event::UdpAway(..) => "times without nfcapd",
        Event::TcpAway(..) => "times without the receiver over TCP",
        Event::TcpStall(_) => "stalls over TCP",
        Event::Reload(..) => "reloads",
        Event::Clock(_) => "clock steps",
    }
}

impl Field<'_> {
    /// Waits for milliseconds, unless something failed or a signal came.
    fn wait(&self, time: u64) -> Result<()> {
        let end = Instant::now() + Duration::from_millis(time);
        loop {
            stop::check()?;
            self.watch.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}
