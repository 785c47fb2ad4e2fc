//! A replay over TCP: to a collector that dies in the middle, to one that resets each connection, to one that
//! never comes, and the next one that delivers the records that the first left on disk.

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::{self, LIMIT};
use flowxdp_tests::books::{Books, Count};
use flowxdp_tests::delivery::{Records, Rows};
use flowxdp_tests::failures::tell;
use flowxdp_tests::judge::sessions::Received;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::pcap::Writer;
use flowxdp_tests::peer::Peer;
use flowxdp_tests::process::{Finished, Program, patient};
use flowxdp_tests::stage::all_delivered;
use flowxdp_tests::traffic::{Traffic, UDP};

/// 2023-11-14, in microseconds.
const START: u64 = 1_700_000_000_000_000;
/// The namespace has no other process.
const URL: &str = "tcp://127.0.0.1:4739";
const PORT: u16 = 4_739;
/// Octets after which the collector reads no more: a small part of a long capture's records.
const MIDDLE: usize = 1 << 20;

/// A packet for each flow, a little after one another.
fn capture(path: &Path, flows: u32, start: u64) -> Result<Count> {
    let traffic = Traffic { flows, packets: flows.into(), ipv6: false, protocol: UDP, length: 60 };
    let mut writer = Writer::create(path)?;
    for flow in 0..flows {
        writer.frame(start + u64::from(flow) * 10, &traffic.frame(flow))?;
    }
    writer.finish()?;
    Ok(Count { packets: traffic.packets, octets: traffic.octets() })
}

fn replay(file: &Path, netns: &Netns, more: &[&str]) -> Result<Program> {
    Ok(agent::replay(&[file], URL, "ipfix")?.args(more).netns(netns))
}

/// The books of a replay that ended with this status.
fn ended(replay: Finished, code: i32) -> Result<(Books, Rows)> {
    ensure!(replay.code == Some(code), "ended with {:?}, not {code}:\n{}", replay.code, replay.stderr);
    let books = agent::books(&replay)?;
    books.balance()?;
    let rows = books.collectors.get(URL).context("no such collector")?.rows.clone();
    Ok((books, rows))
}

#[test]
fn a_collector_that_dies_in_the_middle_of_a_replay_gets_all_of_it() -> Result<()> {
    let (netns, directory) = (Netns::new("replay")?, tempfile::tempdir()?);
    let file = directory.path().join("long.pcap");
    // More than the buffers of two sockets hold.
    let sent = capture(&file, 250_000, START)?;
    let mut collector = Peer::start(&netns, PORT, None)?;
    collector.stall_at(MIDDLE);
    let mut running = replay(&file, &netns, &[])?.start()?;
    running.until(LIMIT, "in the middle", |_| Ok(collector.received() >= MIDDLE))?;
    std::thread::sleep(Duration::from_secs(1));
    ensure!(running.alive()?, "all of it fits into the buffers");
    let mut sessions = collector.kill();
    std::thread::sleep(Duration::from_secs(1));
    let mut collector = Peer::start(&netns, PORT, None)?;
    let (books, rows) = ended(running.wait(LIMIT)?, 0)?;
    sessions.extend(collector.kill());
    ensure!(books.exported == sent, "exported {:?}, sent {sent:?}", books.exported);
    all_delivered("a replay over TCP", &rows, &sessions)
}

/// Reads a little of each connection and resets it, until `done`.
fn resetting(listener: &TcpListener, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        let Ok((mut stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        // Unread octets make the kernel reset it.
        drop(stream.set_nonblocking(false).and_then(|()| stream.read(&mut [0; 200])));
    }
}

#[test]
fn patience_with_a_collector_that_resets_goes_by_time_and_not_by_the_capture() -> Result<()> {
    /// Each of so many moments of the long capture has something to send, and none waits ten seconds anew.
    const MOMENTS: u64 = 40;
    let directory = tempfile::tempdir()?;
    let (short, long) = (directory.path().join("short.pcap"), directory.path().join("long.pcap"));
    capture(&short, 10, START)?;
    let traffic = Traffic { flows: 1, packets: 1, ipv6: false, protocol: UDP, length: 60 };
    let mut writer = Writer::create(&long)?;
    for moment in 0..MOMENTS {
        writer.frame(START + moment * 20_000_000, &traffic.frame(0))?;
    }
    writer.finish()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let url = format!("tcp://{}", listener.local_addr()?);
    let done = AtomicBool::new(false);
    let replay = |file: &Path| {
        let begun = Instant::now();
        let finished = agent::replay(&[file], &url, "ipfix")?.run(patient(Duration::from_secs(90)))?;
        ensure!(finished.code == Some(1), "it ended with {:?}:\n{}", finished.code, finished.stderr);
        ensure!(finished.stderr.contains("given up"), "{}", finished.stderr);
        agent::books(&finished)?.balance()?;
        anyhow::Ok(begun.elapsed())
    };
    let took = std::thread::scope(|scope| {
        scope.spawn(|| resetting(&listener, &done));
        let took = [&short, &long].map(|file| scope.spawn(|| replay(file)));
        let took = took.map(std::thread::ScopedJoinHandle::join);
        done.store(true, Ordering::Relaxed);
        took
    });
    for (name, took) in ["short", "long"].iter().zip(took) {
        let took = took.map_err(|_| anyhow::anyhow!("{name}: a panic"))??;
        ensure!(took >= Duration::from_secs(10), "{name}: given up after {took:?} already");
        tell(&format!("{name}: given up after {took:?}"));
    }
    Ok(())
}

#[test]
fn what_a_replay_cannot_deliver_is_lost_or_on_disk_for_the_next() -> Result<()> {
    let (netns, directory) = (Netns::new("replay")?, tempfile::tempdir()?);
    let (first, second) = (directory.path().join("first.pcap"), directory.path().join("second.pcap"));
    let (sent, more) = (capture(&first, 20_000, START)?, capture(&second, 1_000, START + 60_000_000)?);
    let folder = directory.path().join("spool").display().to_string();
    let spool = ["--spool", &folder];
    let (lost, stored) = (replay(&first, &netns, &[])?.start()?, replay(&first, &netns, &spool)?.start()?);
    let (_, without) = ended(lost.wait(LIMIT)?, 1)?;
    let (_, with) = ended(stored.wait(LIMIT)?, 1)?;
    let all = Records { records: 20_000, packets: sent.packets, octets: sent.octets };
    ensure!(without.lost_by_reason.get("collector_unreachable") == Some(&all), "{without:?}");
    ensure!(without.lost == all && with.queued == all && with.lost == Records::default(), "{with:?}");
    let mut collector = Peer::start(&netns, PORT, None)?;
    let (_, rows) = ended(replay(&second, &netns, &spool)?.run(LIMIT)?, 0)?;
    let received = Received::read(&collector.kill())?;
    rows.delivered(&received)?;
    ensure!(rows.inherited == [all, all, Records::default()], "{rows:?}");
    ensure!(rows.exported.packets == more.packets && rows.perhaps_twice.records == 0, "{rows:?}");
    tell("20,000 records of a replay without a collector came with the next one");
    Ok(())
}
