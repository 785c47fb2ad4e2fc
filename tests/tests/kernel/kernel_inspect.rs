//! First packets of flows on their way to the inspector of names: the choice, its budget, and metering that stays exact.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp::kernel::load::{TableSize, load};
use flowxdp_common::{names::PROGRAM, switch::Switches};
use flowxdp_tests::agent::{Live, program};
use flowxdp_tests::books::Count;
use flowxdp_tests::bpffs::Bpffs;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::pcap::Writer;
use flowxdp_tests::process::Program;
use flowxdp_tests::traffic::{TCP, Traffic, UDP, generator};
use serde_json::Value;

const SENDER: &str = "gen0";
const METERED: &str = "met0";
/// Datagrams leave, and no host refuses them.
const NOWHERE: &str = "udp://198.51.100.9:9";
const LIMIT: Duration = Duration::from_secs(60);

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [198, 51, 100, 2];
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

type Frames = Vec<Vec<u8>>;

/// The octets that begin a TLS record of a kind, a QUIC Initial of version 1, and a packet with a short header.
const HELLO: &[u8] = &[22, 3, 1, 0, 200];
const APPLICATION_DATA: &[u8] = &[23, 3, 3, 0, 200];
const INITIAL: &[u8] = &[0xc0, 0, 0, 0, 1, 8];
const SHORT: &[u8] = &[0x40, 1, 2, 3, 4, 5];

fn stage() -> Result<Netns> {
    let netns = Netns::new("inspect")?;
    netns.veth(SENDER, METERED)?;
    netns.ip("route add 198.51.100.9 dev lo")?;
    Ok(netns)
}

fn agent(netns: &Netns, more: &[&str]) -> Result<Live> {
    let words =
        format!("--interface {METERED} --mode native --collector {NOWHERE} --idle-timeout 1s --flows6 1000");
    let words: Vec<&str> = words.split(' ').collect();
    Live::start(netns, &[&words, more].concat())
}

/// An Ethernet frame with an IPv4 packet: `rest` begins with the ports.
fn frame(protocol: u8, [source, destination]: [[u8; 4]; 2], rest: &[u8]) -> Result<Vec<u8>> {
    let [a, b] = u16::try_from(20 + rest.len())?.to_be_bytes();
    let header = [0x45, 0, a, b, 0, 0, 0, 0, 64, protocol, 0, 0];
    Ok([&[2; 12][..], &[8, 0], &header, &source, &destination, rest].concat())
}

fn ports([source, destination]: [u16; 2]) -> [u8; 4] {
    let ([a, b], [c, d]) = (source.to_be_bytes(), destination.to_be_bytes());
    [a, b, c, d]
}

fn datagram(way: [[u8; 4]; 2], between: [u16; 2], payload: &[u8]) -> Result<Vec<u8>> {
    let length = u16::try_from(8 + payload.len())?.to_be_bytes();
    frame(UDP, way, &[&ports(between)[..], &length, &[0, 0], payload].concat())
}

fn segment(way: [[u8; 4]; 2], between: [u16; 2], flags: u8, payload: &[u8]) -> Result<Vec<u8>> {
    let rest = [0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 255, 255, 0, 0, 0, 0];
    frame(TCP, way, &[&ports(between)[..], &rest, payload].concat())
}

/// Packets and octets of frames.
fn count(frames: &[Vec<u8>]) -> Count {
    let octets = frames.iter().map(|frame| frame.len() as u64).sum();
    Count { packets: frames.len() as u64, octets }
}

fn send(netns: &Netns, frames: &[Vec<u8>]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("frames.pcap");
    let mut writer = Writer::create(&file)?;
    for (time, frame) in (0..).zip(frames) {
        writer.frame(time, frame)?;
    }
    writer.finish()?;
    replay(netns, &file)
}

fn replay(netns: &Netns, file: &std::path::Path) -> Result<()> {
    let tcpreplay = Program::find("tcpreplay")?.args(["-q", "-K", "-i", SENDER, "--pps=20000"]);
    tcpreplay.arg(file).netns(netns).run(LIMIT)?.success()?;
    Ok(())
}

/// `names` of `status --json`.
fn names(live: &Live) -> Result<Option<Value>> {
    let status = program()?.args(["status", "--json", "--socket"]).arg(live.socket());
    let books: Value = serde_json::from_str(&status.run(LIMIT)?.success()?.stdout)?;
    Ok(books.get("names").cloned())
}

fn term(names: &Value, path: &str) -> Result<Count> {
    let number = |unit: &str| names.pointer(&format!("/{path}/{unit}")).and_then(Value::as_u64);
    let count = number("packets").zip(number("octets")).with_context(|| format!("no {path}: {names}"))?;
    Ok(Count { packets: count.0, octets: count.1 })
}

/// The terms of the inspector at rest: offered, inspected, and skipped for want of budget or room.
fn terms(live: &mut Live) -> Result<[Count; 4]> {
    let read = |live: &Live| names(live)?.context("no names in the books");
    let deadline = std::time::Instant::now() + LIMIT;
    while term(&read(live)?, "waiting")?.packets > 0 {
        ensure!(std::time::Instant::now() < deadline, "packets wait: {}", read(live)?);
        std::thread::sleep(Duration::from_millis(20));
    }
    let names = read(live)?;
    let [offered, inspected, budget, full] =
        ["offered", "inspected", "skipped/budget", "skipped/ring_full"].map(|path| term(&names, path));
    let (offered, inspected, budget, full) = (offered?, inspected?, budget?, full?);
    ensure!(offered == inspected + budget + full, "the names do not balance: {names}");
    Ok([offered, inspected, budget, full])
}

/// Waits until the books have `packets`, which balance and are the interface's own counters.
fn metered(netns: &Netns, live: &mut Live, packets: u64) -> Result<()> {
    live.until(LIMIT, "done with the packets", |books| books.seen.packets >= packets)?;
    let books = live.status()?;
    books.balance()?;
    let received = netns.counter(METERED, "rx_packets")?;
    ensure!(books.seen.packets == packets && received == packets, "{:?}, {received} received", books.seen);
    Ok(())
}

/// Frames of flows of every class, and of those the frames that the inspector is to have of each flow's first `most`.
fn classes(most: usize) -> Result<(Frames, Frames)> {
    let (up, down) = ([CLIENT, SERVER], [SERVER, CLIENT]);
    let (mut sent, mut offered) = (Vec::new(), Vec::new());
    let mut flow = |frames: Frames, chosen: &dyn Fn(usize) -> bool| {
        let first = frames.iter().enumerate().take(most);
        offered.extend(first.filter(|(at, _)| chosen(*at)).map(|(_, frame)| frame.clone()));
        sent.extend(frames);
    };
    let same = |frame: Vec<u8>, times: usize| vec![frame; times];
    // DNS goes by its port, either way.
    flow(same(datagram(up, [1001, 53], &[1; 30])?, 12), &|_| true);
    flow(same(datagram(down, [53, 1001], &[1; 300])?, 2), &|_| true);
    // QUIC goes by its long header on any port; short headers and others do not.
    flow(same(datagram(up, [1002, 8443], &[INITIAL, &[0; 1194]].concat())?, 3), &|_| true);
    flow(same(datagram(up, [1003, 443], &[SHORT, &[0; 100]].concat())?, 3), &|_| false);
    flow(same(datagram(up, [1004, 9999], &[0; 100])?, 3), &|_| false);
    // Of a stream, each payload that may begin or continue a message of a client.
    let stream = [
        segment(up, [1005, 443], SYN, &[])?,
        segment(up, [1005, 443], ACK, &[])?,
        segment(up, [1005, 443], ACK, &[HELLO, &[0; 500]].concat())?,
        segment(up, [1005, 443], ACK, &[7; 400])?,
        segment(up, [1005, 443], ACK, &[APPLICATION_DATA, &[0; 200]].concat())?,
        segment(up, [1005, 443], ACK, &[])?,
    ];
    flow(stream.to_vec(), &|at| at == 2 || at == 3);
    flow(same(segment(down, [443, 1005], ACK, &[HELLO, &[0; 500]].concat())?, 4), &|_| false);
    flow(same(segment(up, [1006, 7777], ACK, b"GET / HTTP/1.1\r\n\r\n")?, 1), &|_| true);
    // A segment with the first octets of a header that is not there, and a datagram without a payload.
    flow(same(datagram(up, [1007, 53], &[])?, 1), &|_| false);
    Ok((sent, offered))
}

#[test]
fn the_first_packets_of_each_class_reach_the_inspector() -> Result<()> {
    for most in [8, 3] {
        let netns = stage()?;
        let mut live =
            agent(&netns, &["--flows", "1000", "--collect", "names", "--names-packets", &most.to_string()])?;
        let (sent, chosen) = classes(most)?;
        send(&netns, &sent)?;
        metered(&netns, &mut live, sent.len() as u64)?;
        let [offered, inspected, budget, full] = terms(&mut live)?;
        ensure!(offered == count(&chosen), "{most}: offered {offered:?} of {:?}", count(&chosen));
        ensure!(inspected == offered && (budget.packets, full.packets) == (0, 0), "{inspected:?}");
        let status = program()?.args(["status", "--socket"]).arg(live.socket()).run(LIMIT)?.success()?.stdout;
        ensure!(status.contains("names: first packets"), "{status}");
        live.stop()?.success()?;
        netns.expect_clean(METERED)?;
    }
    Ok(())
}

#[test]
fn without_the_group_no_packet_is_offered() -> Result<()> {
    let netns = stage()?;
    let mut live = agent(&netns, &["--flows", "1000", "--collect", "mac"])?;
    let (sent, _) = classes(8)?;
    send(&netns, &sent)?;
    metered(&netns, &mut live, sent.len() as u64)?;
    ensure!(names(&live)?.is_none(), "{:?}", names(&live)?);
    live.stop()?.success()?;
    Ok(())
}

/// A program with or without copies: its instructions behind the verifier, octets.
fn translated(first_packets: u32) -> Result<u32> {
    let switches = Switches { first_packets, copy_budget: 100, ..Switches::DEFAULT };
    let size = TableSize {
        flows_v4: 1000,
        flows_v6: 1000,
        partitions: 1,
        ring: 1 << 16,
        switches,
        ..Default::default()
    };
    let octets = load(&size)?.program(PROGRAM)?.info()?.size_translated();
    octets.context("the kernel does not tell the size")
}

#[test]
fn the_verifier_removes_copies_that_are_off() -> Result<()> {
    let (off, on) = (translated(0)?, translated(8)?);
    flowxdp_tests::failures::tell(&format!("{} instructions without copies, {} with", off / 8, on / 8));
    // The second walk and three classes of copies.
    ensure!(on > off + 300 * 8, "{off} octets without, {on} with");
    Ok(())
}

/// A ClientHello of its own flow.
fn hello(number: u32) -> Result<Vec<u8>> {
    let [_, a, b, c] = number.to_be_bytes();
    // A record that says more than the frame has: the inspector holds it for the next segment.
    segment(
        [[10, a, b, c], SERVER],
        [1024, 443],
        ACK,
        &[&[22, 3, 1, 4, 0, 1, 0, 3, 252, 3, 3], &[7; 500][..]].concat(),
    )
}

#[test]
fn a_flood_costs_its_budget_and_metering_stays_exact() -> Result<()> {
    let netns = stage()?;
    // Of 1,000 a second and CPU each moment has 68.
    let more = ["--collect", "names", "--names-budget", "1000", "--flows", "200K"];
    let mut live = agent(&netns, &more)?;
    let hellos = (0..20_000).map(hello).collect::<Result<Vec<_>>>()?;
    send(&netns, &hellos)?;
    metered(&netns, &mut live, 20_000)?;
    let [offered, inspected, budget, _] = terms(&mut live)?;
    ensure!(offered == count(&hellos), "offered {offered:?}, and not {:?}", count(&hellos));
    ensure!(
        budget.packets > 0 && inspected.packets >= 68,
        "inspected {inspected:?}, over the budget {budget:?}"
    );
    // Garbage at full speed, of many flows, on the port of TLS.
    let garbage = Traffic { flows: 50_000, packets: 200_000, ipv6: false, protocol: TCP, length: 600 };
    generator().send(&garbage, &netns, SENDER)?;
    metered(&netns, &mut live, 220_000)?;
    let [offered, inspected, ..] = terms(&mut live)?;
    // A packet whose window is full has no slot, and is in no slot's first packets.
    let ring = live.status()?.partitions.context("no partitions")?.ring_buffer.packets;
    ensure!(offered.packets == 220_000 - ring, "{offered:?}, {ring} packets without a slot");
    ensure!(
        inspected.packets < 20_000 && ring < 20_000,
        "inspected {inspected:?}, {ring} packets without a slot"
    );
    let resident = resident(live.pid())?;
    ensure!(resident < 400 << 20, "{resident} octets are resident");
    live.stop()?.success()?;
    Ok(())
}

/// The most octets that a process had in memory.
fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? << 10)
}

#[test]
fn a_killed_agent_leaves_a_program_whose_copies_nobody_misses() -> Result<()> {
    let (netns, bpffs) = (stage()?, Bpffs::new()?);
    let pins = bpffs.pins().display().to_string();
    let more = ["--collect", "names", "--flows", "1000", "--pin", &pins];
    let (sent, chosen) = classes(8)?;
    let mut live = agent(&netns, &more)?;
    send(&netns, &sent)?;
    metered(&netns, &mut live, sent.len() as u64)?;
    live.kill()?;
    // The pinned program meters, and copies into a ring that no agent reads.
    send(&netns, &sent)?;
    let mut live = agent(&netns, &more)?;
    metered(&netns, &mut live, 2 * sent.len() as u64)?;
    let [offered, ..] = terms(&mut live)?;
    ensure!(offered.packets == 0, "packets of before the start are offered: {offered:?}");
    live.until(LIMIT, "without flows", |books| books.in_table.packets == 0)?;
    send(&netns, &sent)?;
    metered(&netns, &mut live, 3 * sent.len() as u64)?;
    let [offered, inspected, ..] = terms(&mut live)?;
    ensure!(offered == count(&chosen) && inspected == offered, "{offered:?}, inspected {inspected:?}");
    live.stop()?.success()?;
    netns.expect_clean(METERED)?;
    bpffs.expect_clean()
}

/// A configuration's file, with these lines.
fn write(file: &std::path::Path, lines: &str) -> Result<()> {
    let monitor = format!(
        "[monitor]\ninterface = [\"{METERED}\"]\nmode = \"native\"\nflows = 10000\nidle-timeout = \"1s\"\n"
    );
    Ok(fs::write(file, format!("{monitor}{lines}[[exporter]]\ncollector = \"{NOWHERE}\"\n"))?)
}

#[test]
fn a_reload_turns_copies_on_and_off() -> Result<()> {
    let (netns, folder) = (stage()?, tempfile::tempdir()?);
    let file = folder.path().join("flowxdp.toml");
    write(&file, "")?;
    let mut live = Live::start(&netns, &["--config", &file.display().to_string()])?;
    let (sent, chosen) = classes(8)?;
    let (mut packets, mut offered) = (0, Count::default());
    for (lines, most) in [
        ("", None),
        ("[record]\ncollect = [\"names\"]\n", Some(8)),
        ("[record]\ncollect = [\"names\"]\n[names]\npackets = 3\n", Some(3)),
        ("", None),
        ("[record]\ncollect = [\"names\", \"mac\"]\n", Some(8)),
    ] {
        write(&file, lines)?;
        program()?.args(["reload", "--socket"]).arg(live.socket()).run(LIMIT)?.success()?;
        live.until(LIMIT, "without flows", |books| books.in_table.packets == 0)?;
        send(&netns, &sent)?;
        packets += sent.len() as u64;
        metered(&netns, &mut live, packets)?;
        let Some(most) = most else {
            ensure!(names(&live)?.is_none(), "names are off");
            continue;
        };
        let (_, chosen) = classes(most)?;
        offered = offered + count(&chosen);
        let [now, inspected, ..] = terms(&mut live)?;
        ensure!(now == offered && inspected == offered, "{lines}: {now:?}, and not {offered:?}");
    }
    ensure!(chosen.len() < sent.len(), "all are chosen");
    live.stop()?.success()?;
    netns.expect_clean(METERED)
}
