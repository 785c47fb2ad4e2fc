//! A live agent whose collector is behind a router: links that go down and come back, a path whose MTU
//! shrinks.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use flowxdp::transport::udp::BATCH;
use flowxdp_tests::failures::tell;
use flowxdp_tests::judge::sessions::{Received, Session};
use flowxdp_tests::judge::wire::Wire;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::{Program, Running};
use flowxdp_tests::routed::{COLLECTOR, COLLECTOR6, LIMIT, Stage, at_rest, rows};
use flowxdp_tests::stream::messages;
use rustix::process::Signal;

/// A number of four octets in a message.
fn word(message: &[u8], place: usize) -> Result<u32> {
    let octets = message.get(place..place + 4).context("a short message")?;
    Ok(u32::from_be_bytes(octets.try_into()?))
}

/// Flow records that came over UDP, and those that the sequence says did not.
fn received_and_missing(octets: &[u8]) -> Result<(u64, u64)> {
    let nowhere = SocketAddr::from(([0; 4], 0));
    // Repeated templates and gaps are findings over a stream; here the records count alone.
    let mut wire = Wire::of_stream();
    let (mut next, mut missing) = (0, 0);
    for message in messages(octets)? {
        let before = wire.flows.len();
        wire.message(nowhere, nowhere, message);
        if word(message, 12)? == 1 {
            let sequence = word(message, 8)?;
            let Some(gap) = sequence.checked_sub(next) else { bail!("{sequence} comes after {next}") };
            missing += u64::from(gap);
            next = sequence + u32::try_from(wire.flows.len() - before)?;
        }
    }
    Ok((wire.flows.len() as u64, missing))
}

#[test]
fn a_link_that_goes_down_and_comes_back() -> Result<()> {
    let stage = Stage::new()?;
    let (tcp, udp) = (stage.receive("TCP-LISTEN", 4_739)?, stage.receive("UDP-RECV", 4_740)?);
    let urls = [format!("tcp://{COLLECTOR}"), format!("udp://{COLLECTOR}:4740")];
    let mut live = stage.start(&[&urls[0], &urls[1]], &[])?;
    let sent = stage.traffic(|| {
        std::thread::sleep(Duration::from_secs(3));
        stage.router.ip("link set r1 down")?;
        for _ in 0..15 {
            live.status()?.balance()?;
            std::thread::sleep(Duration::from_millis(200));
        }
        stage.router.ip("link set r1 up")?;
        std::thread::sleep(Duration::from_secs(3));
        live.status()?.balance()
    })?;
    at_rest(&mut live, sent)?;
    let (over_tcp, over_udp) = (rows(&live, "tcp:")?, rows(&live, "udp:")?);
    let log = live.stop()?.success()?.stderr;
    tcp.wait(LIMIT)?.success()?;
    udp.stop(Signal::TERM, LIMIT)?;
    let octets = std::fs::read(stage.file("TCP-LISTEN"))?;
    let session = Session { octets, ended: true, ..Session::default() };
    let received = Received::read(std::slice::from_ref(&session)).context("TCP")?;
    over_tcp.delivered(&received).with_context(|| format!("over TCP\n{log}"))?;
    // The same connection goes on: nothing may have come twice.
    ensure!(over_tcp.perhaps_twice.records == 0, "{over_tcp:?}\n{log}");
    let (came, missing) = received_and_missing(&std::fs::read(stage.file("UDP-RECV"))?)?;
    ensure!(missing > 0, "nothing was lost while the link was down: {over_udp:?}\n{log}");
    ensure!(came + missing == over_udp.exported.records, "{came} came, {missing} are missing: {over_udp:?}");
    tell(&format!(
        "3 s without a link: TCP {} records, all came; UDP {came}, and {missing} missing",
        received.all().records
    ));
    Ok(())
}

/// An IP version as the agent's path to its collector.
#[derive(Clone, Copy)]
struct Road {
    host: &'static str,
    /// socat's word for what listens.
    listen: &'static str,
    /// How tcpdump asks for the router's words.
    control: &'static str,
    /// The path's MTU once it was narrowed; IPv6 knows none below 1,280.
    narrow: u32,
    /// Fields of tshark, an IPv6 length without its header of 40 octets: length, no router may cut it, more
    /// fragments, offset, identification.
    fields: [&'static str; 5],
    header: u32,
    /// A field, and its value where a packet was too large.
    too_large: (&'static str, &'static str),
}

const IPV4: Road = Road {
    host: COLLECTOR,
    listen: "UDP-RECV",
    control: "icmp",
    narrow: 900,
    fields: ["ip.len", "ip.flags.df", "ip.flags.mf", "ip.frag_offset", "ip.id"],
    header: 0,
    too_large: ("icmp.code", "4"),
};

const IPV6: Road = Road {
    host: COLLECTOR6,
    listen: "UDP6-RECV",
    control: "icmp6",
    narrow: 1_300,
    // It has no flag against routers that cut, for none does: its version, 6, stands for one that is set.
    fields: ["ipv6.plen", "ipv6.version", "ipv6.fraghdr.more", "ipv6.fraghdr.offset", "ipv6.fraghdr.ident"],
    header: 40,
    too_large: ("icmpv6.type", "2"),
};

/// A packet on the wire between agent and router.
#[derive(Debug)]
struct Packet {
    length: u32,
    /// No router may cut it.
    whole: bool,
    fragment_of: Option<String>,
    /// The router's word that a packet was too large.
    too_large: bool,
}

/// All packets of a recording.
fn packets(file: &Path, road: Road) -> Result<Vec<Packet>> {
    let [length, ..] = road.fields;
    let options = ["-n", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-E", "occurrence=f"];
    let mut tshark = Program::find("tshark")?.args(options).arg("-r").arg(file);
    tshark = tshark.args(["-Y", length, "-T", "fields"]);
    for field in road.fields.into_iter().chain([road.too_large.0]) {
        tshark = tshark.args(["-e", field]);
    }
    let lines = tshark.run(LIMIT)?.success()?.stdout;
    let packet = |line: &str| {
        let [length, whole, more, offset, id, word] = line.split('\t').collect::<Vec<_>>()[..] else {
            bail!("not six fields: {line}");
        };
        let [whole, more] = [whole, more].map(|flag| matches!(flag, "1" | "6" | "True"));
        let fragment = more || !matches!(offset, "0" | "");
        let fragment_of = fragment.then(|| id.to_owned());
        let length = length.parse::<u32>()? + road.header;
        Ok(Packet { length, whole, fragment_of, too_large: word == road.too_large.1 })
    };
    lines.lines().map(packet).collect()
}

/// Writes down what a link carries to and from the collector.
fn record(netns: &Netns, link: &str, file: &Path, road: Road) -> Result<Running> {
    let tcpdump = Program::find("tcpdump")?.args(["-i", link, "-n", "--immediate-mode", "-U", "-Z", "root"]);
    let filter = format!("host {} or {}", road.host, road.control);
    let mut running = tcpdump.arg("-w").arg(file).arg(filter).netns(netns).start()?;
    running.until(LIMIT, "listening", |it| Ok(it.stderr().contains("listening on")))?;
    Ok(running)
}

/// What came of a path that got narrow while records went over it.
struct Narrowed {
    /// All that the agent's link carried.
    packets: Vec<Packet>,
    /// Messages that left in fragments, by IP identification.
    fragmented: BTreeSet<String>,
    /// What the collector received.
    octets: Vec<u8>,
    /// Records that are missing there, of those exported.
    missing: u64,
    exported: u64,
    log: String,
}

/// Narrows the path while an agent with these arguments exports over it.
fn narrow(road: Road, more: &[&str]) -> Result<Narrowed> {
    let stage = Stage::new()?;
    let collector = SocketAddr::new(road.host.parse()?, 4_739);
    let udp = stage.receive(road.listen, collector.port())?;
    let file = stage.file("wire.pcap");
    let tcpdump = record(&stage.agent, "up0", &file, road)?;
    let mut live = stage.start(&[&format!("udp://{collector}")], more)?;
    let pause = |seconds| {
        std::thread::sleep(Duration::from_secs(seconds));
        Ok(())
    };
    let before = stage.traffic(|| pause(3))?;
    // So that the first to meet the narrow path is not what a burst left over, but the next burst.
    at_rest(&mut live, before)?;
    stage.router.ip(&format!("link set r1 mtu {}", road.narrow))?;
    stage.collector.ip(&format!("link set c0 mtu {}", road.narrow))?;
    let after = stage.traffic(|| pause(4))?;
    at_rest(&mut live, before + after)?;
    let exported = rows(&live, "udp:")?.exported.records;
    let log = live.stop()?.success()?.stderr;
    udp.stop(Signal::TERM, LIMIT)?;
    tcpdump.stop(Signal::INT, LIMIT)?.success()?;
    // Not what was dropped for its size is to stop what follows.
    ensure!(!log.contains("does not take messages"), "{log}");
    let octets = std::fs::read(stage.file(road.listen))?;
    let (came, missing) = received_and_missing(&octets)?;
    ensure!(came + missing == exported, "{came} came, {missing} are missing of {exported}");
    let packets = packets(&file, road)?;
    let fragmented: BTreeSet<_> = packets.iter().filter_map(|packet| packet.fragment_of.clone()).collect();
    // What one call was to hand over was made for the larger path: it leaves, in fragments, and is not lost.
    ensure!(fragmented.len() <= BATCH, "{} messages left in fragments\n{log}", fragmented.len());
    Ok(Narrowed { packets, fragmented, octets, missing, exported, log })
}

/// What the kernel would cut apart is cut for the path as it was: it refuses that, and each goes by itself.
fn taken_as_one(road: Road) -> Result<()> {
    let Narrowed { packets, fragmented, octets, missing, exported, log } =
        narrow(road, &["--udp-segments", "16"])?;
    ensure!(
        missing > 0 && missing < exported / 4,
        "the router dropped {missing} of {exported} records\n{log}"
    );
    // No router is to cut a message.
    let loose = packets.iter().filter(|it| !it.whole && it.fragment_of.is_none() && !it.too_large).count();
    ensure!(loose == 0, "{loose} of {} packets can be cut by a router", packets.len());
    let large = messages(&octets)?.iter().filter(|message| message.len() > 1_400).count();
    ensure!(large > fragmented.len(), "messages were small from the start");
    let mtu = road.narrow;
    tell(&format!("an MTU of {mtu}, messages taken as one: {missing} of {exported} records dropped"));
    Ok(())
}

#[test]
fn messages_taken_as_one_follow_a_path_mtu_that_shrinks() -> Result<()> {
    taken_as_one(IPV4)
}

#[test]
fn messages_taken_as_one_follow_a_path_mtu_that_shrinks_in_ipv6() -> Result<()> {
    taken_as_one(IPV6)
}

fn one_by_one(road: Road) -> Result<()> {
    let Narrowed { packets, missing, exported, log, .. } = narrow(road, &[])?;
    let told = packets.iter().position(|packet| packet.too_large).context("no router said anything")?;
    let (before, after) = packets.split_at(told);
    ensure!(before.iter().any(|packet| packet.length > 1_400), "messages were small from the start");
    ensure!(before.iter().all(|packet| packet.fragment_of.is_none()), "fragments on a path that was large");
    // Nothing of what was made later.
    let mtu = road.narrow;
    let large = after.iter().filter(|packet| packet.length > mtu).count();
    ensure!(large <= BATCH, "{large} packets were too large afterwards\n{log}");
    let (_, later) = after.split_at(after.len() / 2);
    let fits = |packet: &Packet| packet.length <= mtu && packet.fragment_of.is_none();
    ensure!(later.iter().all(fits), "too large for good\n{log}");
    ensure!(later.iter().any(|packet| packet.length > mtu - 100), "smaller than they need to be");
    tell(&format!(
        "an MTU of {mtu}: {large} packets too large, {missing} of {exported} records dropped by the router"
    ));
    Ok(())
}

#[test]
fn messages_follow_a_path_mtu_that_shrinks() -> Result<()> {
    one_by_one(IPV4)
}

#[test]
fn messages_follow_a_path_mtu_that_shrinks_in_ipv6() -> Result<()> {
    one_by_one(IPV6)
}
