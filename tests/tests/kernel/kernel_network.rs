//! A live agent whose collector is behind a router: links that go down and come back, a path whose MTU
//! shrinks and grows, ICMP messages that are forged.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use flowxdp::transport::udp::BATCH;
use flowxdp_tests::agent::Live;
use flowxdp_tests::delivery::Rows;
use flowxdp_tests::failures::tell;
use flowxdp_tests::forged::{self, Forgery};
use flowxdp_tests::judge::sessions::{Received, Session};
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::{Program, Running};
use flowxdp_tests::routed::{COLLECTOR, COLLECTOR6, LIMIT, Stage, at_rest, rows};
use flowxdp_tests::stream::messages;
use rustix::process::Signal;

/// Records received over UDP must agree with the books: each at least once, and no more duplicates than are
/// named.
fn delivered(rows: &Rows, octets: &[u8], log: &str) -> Result<Received> {
    let received = Received::read_datagrams(octets)?;
    rows.delivered(&received).with_context(|| log.to_owned())?;
    ensure!(rows.lost.records == 0 && rows.queued.records == 0, "not all was sent: {rows:?}\n{log}");
    Ok(received)
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
    // The router says how it is now and then, and not to everybody: the rest is lost.
    let received = Received::read_datagrams(&std::fs::read(stage.file("UDP-RECV"))?)?.distinct();
    ensure!(received.within(&over_udp.exported), "{received:?} came: {over_udp:?}\n{log}");
    tell(&format!(
        "3 s without a link: TCP {} records, all came; UDP {}",
        over_tcp.exported.records, received.records
    ));
    Ok(())
}

#[test]
fn what_a_router_without_a_way_refuses_comes_when_it_has_one_again() -> Result<()> {
    let stage = Stage::new()?;
    let udp = stage.receive("UDP-RECV", 4_739)?;
    let mut live = stage.start(&[&format!("udp://{COLLECTOR}")], &[])?;
    let sent = stage.traffic(|| {
        std::thread::sleep(Duration::from_secs(2));
        stage.router.ip("link set r1 down")?;
        std::thread::sleep(Duration::from_secs(4));
        live.status()?.balance()?;
        stage.router.ip("link set r1 up")?;
        std::thread::sleep(Duration::from_secs(1));
        Ok(())
    })?;
    at_rest(&mut live, sent)?;
    let rows = rows(&live, "udp:")?;
    let log = live.stop()?.success()?.stderr;
    udp.stop(Signal::TERM, LIMIT)?;
    let received = delivered(&rows, &std::fs::read(stage.file("UDP-RECV"))?, &log)?;
    ensure!(log.contains("unreachable, says 10.77.1.2"), "the router was not heard\n{log}");
    ensure!(log.contains("reached"), "{log}");
    tell(&format!(
        "4 s without a way: all {} records came, and {} are named",
        received.distinct().records,
        rows.perhaps_twice.records
    ));
    Ok(())
}

/// An IP version as the agent's path to its collector.
#[derive(Clone, Copy)]
struct Road {
    host: &'static str,
    /// socat's name of the listening address.
    listen: &'static str,
    /// How tcpdump asks for the router's words.
    control: &'static str,
    /// The path's MTU once it was narrowed; IPv6 knows none below 1,280.
    narrow: u32,
    /// Fields of tshark, an IPv6 length without its header of 40 octets: length, no router may cut it, more
    /// fragments, offset.
    fields: [&'static str; 4],
    header: u32,
    /// A field, and its value where a packet was too large.
    too_large: (&'static str, &'static str),
}

const IPV4: Road = Road {
    host: COLLECTOR,
    listen: "UDP-RECV",
    control: "icmp",
    narrow: 900,
    fields: ["ip.len", "ip.flags.df", "ip.flags.mf", "ip.frag_offset"],
    header: 0,
    too_large: ("icmp.code", "4"),
};

const IPV6: Road = Road {
    host: COLLECTOR6,
    listen: "UDP6-RECV",
    control: "icmp6",
    narrow: 1_300,
    // IPv6 has no flag against fragmenting routers, for none fragments: its version, 6, stands for a set
    // flag.
    fields: ["ipv6.plen", "ipv6.version", "ipv6.fraghdr.more", "ipv6.fraghdr.offset"],
    header: 40,
    too_large: ("icmpv6.type", "2"),
};

/// A packet on the wire between agent and router.
#[derive(Debug)]
struct Packet {
    length: u32,
    /// No router may cut it.
    whole: bool,
    fragment: bool,
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
        let [length, whole, more, offset, word] = line.split('\t').collect::<Vec<_>>()[..] else {
            bail!("not five fields: {line}");
        };
        let [whole, more] = [whole, more].map(|flag| matches!(flag, "1" | "6" | "True"));
        let fragment = more || !matches!(offset, "0" | "");
        let length = length.parse::<u32>()? + road.header;
        Ok(Packet { length, whole, fragment, too_large: word == road.too_large.1 })
    };
    lines.lines().map(packet).collect()
}

/// Captures a link's packets to and from the collector.
fn record(netns: &Netns, link: &str, file: &Path, road: Road) -> Result<Running> {
    let tcpdump = Program::find("tcpdump")?.args(["-i", link, "-n", "--immediate-mode", "-U", "-Z", "root"]);
    let filter = format!("host {} or {}", road.host, road.control);
    let mut running = tcpdump.arg("-w").arg(file).arg(filter).netns(netns).start()?;
    running.until(LIMIT, "listening", |it| Ok(it.stderr().contains("listening on")))?;
    Ok(running)
}

/// A collector at the end of a road, and all that the agent's link carries.
struct Recording {
    udp: Running,
    tcpdump: Running,
    file: PathBuf,
}

impl Recording {
    /// Starts both, and then an agent with these arguments.
    fn start(stage: &Stage, road: Road, more: &[&str]) -> Result<(Self, Live)> {
        let collector = SocketAddr::new(road.host.parse()?, 4_739);
        let udp = stage.receive(road.listen, collector.port())?;
        let file = stage.file("wire.pcap");
        let tcpdump = record(&stage.agent, "up0", &file, road)?;
        let live = stage.start(&[&format!("udp://{collector}")], more)?;
        Ok((Self { udp, tcpdump, file }, live))
    }

    /// Ends both; gives the capture.
    fn end(self) -> Result<PathBuf> {
        self.udp.stop(Signal::TERM, LIMIT)?;
        self.tcpdump.stop(Signal::INT, LIMIT)?.success()?;
        Ok(self.file)
    }
}

/// Seconds in which the traffic alone runs.
fn pause(seconds: u64) -> Result<()> {
    std::thread::sleep(Duration::from_secs(seconds));
    Ok(())
}

/// The outcome of a path that got narrow while records went over it.
struct Narrowed {
    /// All that the agent's link carried.
    packets: Vec<Packet>,
    /// The collector's records.
    octets: Vec<u8>,
    rows: Rows,
    log: String,
}

/// Narrows the path while an agent with these arguments exports over it.
fn narrow(road: Road, more: &[&str]) -> Result<Narrowed> {
    let stage = Stage::new()?;
    let (recording, mut live) = Recording::start(&stage, road, more)?;
    let before = stage.traffic(|| pause(3))?;
    // The first message on the narrow path must be of the next burst, not a remainder of this one.
    at_rest(&mut live, before)?;
    set_mtu(&stage, road.narrow)?;
    let after = stage.traffic(|| pause(4))?;
    at_rest(&mut live, before + after)?;
    let rows = rows(&live, "udp:")?;
    let log = live.stop()?.success()?.stderr;
    let file = recording.end()?;
    // A message dropped for its size must not stop the following ones.
    ensure!(!log.contains("does not take messages"), "{log}");
    let octets = std::fs::read(stage.file(road.listen))?;
    delivered(&rows, &octets, &log)?;
    let packets = packets(&file, road)?;
    whole(&packets)?;
    Ok(Narrowed { packets, octets, rows, log })
}

/// Sets the MTU of the link behind the router.
fn set_mtu(stage: &Stage, mtu: u32) -> Result<()> {
    stage.router.ip(&format!("link set r1 mtu {mtu}"))?;
    stage.collector.ip(&format!("link set c0 mtu {mtu}"))?;
    Ok(())
}

/// No message leaves in fragments, and no router is to cut one.
fn whole(packets: &[Packet]) -> Result<()> {
    let cut = packets.iter().filter(|it| it.fragment).count();
    ensure!(cut == 0, "{cut} of {} packets are fragments", packets.len());
    let loose = packets.iter().filter(|it| !it.whole && !it.too_large).count();
    ensure!(loose == 0, "{loose} of {} packets can be cut by a router", packets.len());
    Ok(())
}

/// A send that the kernel cuts into datagrams is refused by the router as one, and goes out again.
fn taken_as_one(road: Road) -> Result<()> {
    let Narrowed { octets, rows, log, .. } = narrow(road, &["--udp-segments", "16"])?;
    let narrow = usize::try_from(road.narrow)?;
    let large = messages(&octets)?.iter().filter(|message| message.len() > narrow).count();
    ensure!(large > BATCH, "messages were small from the start");
    let (named, all) = (rows.perhaps_twice.records, rows.exported.records);
    ensure!(named > 0 && named < all / 4, "{named} of {all} records are named\n{log}");
    tell(&format!("an MTU of {}, messages taken as one: {named} of {all} records again", road.narrow));
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
    let Narrowed { packets, rows, log, .. } = narrow(road, &[])?;
    let told = packets.iter().position(|packet| packet.too_large).context("no router said anything")?;
    let (before, after) = packets.split_at(told);
    ensure!(before.iter().any(|packet| packet.length > 1_400), "messages were small from the start");
    // No later message.
    let mtu = road.narrow;
    let large = after.iter().filter(|packet| packet.length > mtu).count();
    ensure!(large <= BATCH, "{large} packets were too large afterwards\n{log}");
    let (_, later) = after.split_at(after.len() / 2);
    ensure!(later.iter().all(|packet| packet.length <= mtu), "too large for good\n{log}");
    ensure!(later.iter().any(|packet| packet.length > mtu - 100), "smaller than they need to be");
    let (named, all) = (rows.perhaps_twice.records, rows.exported.records);
    tell(&format!("an MTU of {mtu}: {large} packets too large, {named} of {all} records again"));
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

/// The path is narrow from the start, and the kernel forgets it every second; then it is wide.
fn forgotten(road: Road, more: &[&str]) -> Result<()> {
    let stage = Stage::new()?;
    for version in ["ipv4", "ipv6"] {
        stage.agent.sysctl(&format!("{version}/route/mtu_expires"), "1")?;
    }
    set_mtu(&stage, road.narrow)?;
    let (recording, mut live) = Recording::start(&stage, road, more)?;
    let first = stage.traffic(|| pause(1))?;
    at_rest(&mut live, first)?;
    let named = rows(&live, "udp:")?.perhaps_twice.records;
    let second = stage.traffic(|| pause(3))?;
    at_rest(&mut live, first + second)?;
    let again = rows(&live, "udp:")?.perhaps_twice.records;
    ensure!(named > 0 && again == named, "{named} records are named, and {again} later\n{}", live.log());
    let small = std::fs::metadata(stage.file(road.listen))?.len();
    set_mtu(&stage, 1_500)?;
    let begun = Instant::now();
    let third = stage.traffic(|| {
        // As long as the kernel remembers the narrow path, nothing larger is tried.
        while begun.elapsed() < LIMIT {
            let octets = std::fs::read(stage.file(road.listen))?;
            let new = octets.get(usize::try_from(small)?..).unwrap_or_default();
            if messages(new).is_ok_and(|new| new.iter().filter(|message| message.len() > 1_400).count() > 3) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        bail!("messages stay small on a path that is wide again\n{}", live.log())
    })?;
    at_rest(&mut live, first + second + third)?;
    let rows = rows(&live, "udp:")?;
    let log = live.stop()?.success()?.stderr;
    let file = recording.end()?;
    delivered(&rows, &std::fs::read(stage.file(road.listen))?, &log)?;
    let packets = packets(&file, road)?;
    whole(&packets)?;
    let told = packets.iter().filter(|packet| packet.too_large).count();
    ensure!(told > 2, "the kernel forgot nothing: the router spoke {told} times\n{log}");
    tell(&format!(
        "an MTU of {} that is forgotten: the router spoke {told} times, {named} of {} records went again",
        road.narrow, rows.exported.records
    ));
    Ok(())
}

#[test]
fn a_path_mtu_that_the_kernel_forgets_costs_no_record() -> Result<()> {
    forgotten(IPV4, &[])
}

#[test]
fn a_path_mtu_that_the_kernel_forgets_costs_no_record_in_ipv6() -> Result<()> {
    forgotten(IPV6, &[])
}

#[test]
fn a_path_mtu_that_the_kernel_forgets_costs_no_record_that_is_taken_as_one() -> Result<()> {
    forgotten(IPV4, &["--udp-segments", "16"])
}

/// Records that came so far, each once.
fn distinct(collector: &forged::Collector) -> Result<u64> {
    Ok(Received::read_datagrams(&collector.so_far())?.distinct().records)
}

/// Exports to a collector beside which ICMP messages are forged: that goes on, and every record comes.
fn lied_to(name: &str, forgery: Forgery) -> Result<(Rows, String)> {
    let stage = Stage::new()?;
    let at = SocketAddrV4::new(COLLECTOR.parse()?, 4_739);
    let collector = forged::Collector::start(&stage.collector, at, forgery)?;
    let mut live = stage.start(&[&format!("udp://{at}")], &[])?;
    let sent = stage.traffic(|| {
        let until = |records| {
            let begun = Instant::now();
            while distinct(&collector)? < records {
                ensure!(begun.elapsed() < LIMIT, "{name}: the export has stopped\n{}", live.log());
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        };
        until(500)?;
        collector.forge(true);
        // More than those that were on their way.
        std::thread::sleep(Duration::from_secs(1));
        until(distinct(&collector)? + 1_000)
    })?;
    collector.forge(false);
    at_rest(&mut live, sent)?;
    let rows = rows(&live, "udp:")?;
    let log = live.stop()?.success()?.stderr;
    let (octets, forged) = collector.stop()?;
    ensure!(forged > 20, "{name}: {forged} messages were forged");
    let received = delivered(&rows, &octets, &log).with_context(|| name.to_owned())?;
    tell(&format!(
        "{name}: {forged} forged, {} records exported, {} received, {} named",
        rows.exported.records,
        received.all().records,
        rows.perhaps_twice.records
    ));
    Ok((rows, log))
}

/// Port unreachable, 50 times a second, from the collector's own address.
const PORT: Forgery =
    Forgery { from: Ipv4Addr::new(10, 77, 2, 2), kind: (3, 3), mtu: 0, quotes: false, rate: 50 };
/// An address of the collector's net that nobody has.
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 99);

/// The same for several at once: each has namespaces of its own.
fn each_lied_to<const COUNT: usize>(
    forgeries: [(&'static str, Forgery); COUNT],
    check: impl Fn(&'static str, Rows, String) -> Result<()>,
) -> Result<()> {
    let results = std::thread::scope(|scope| {
        let running = forgeries.map(|(name, forgery)| scope.spawn(move || lied_to(name, forgery)));
        running.map(std::thread::ScopedJoinHandle::join)
    });
    for ((name, _), result) in forgeries.into_iter().zip(results) {
        let (rows, log) = result.map_err(|_| anyhow::anyhow!("{name}: a panic"))??;
        check(name, rows, log)?;
    }
    Ok(())
}

#[test]
fn forged_refusals_stop_nothing() -> Result<()> {
    let forgeries =
        [("the headers quoted", PORT), ("the last message quoted", Forgery { quotes: true, ..PORT })];
    each_lied_to(forgeries, |name, rows, log| {
        ensure!(rows.perhaps_twice.records > 0, "{name}: it took back nothing\n{log}");
        ensure!(log.contains("port unreachable, says 10.77.2.2"), "{name}: no address is said\n{log}");
        ensure!(log.contains("this is forged"), "{name}: it was believed\n{log}");
        let said = log.lines().filter(|line| line.contains(" says 10.77.2.2")).count();
        ensure!(said <= 4, "{name}: {said} lines\n{log}");
        Ok(())
    })
}

#[test]
fn a_refusal_that_the_collector_did_not_send_does_not_count() -> Result<()> {
    let other = Forgery { from: OTHER, ..PORT };
    let forgeries = [("from another address", other), ("with a quote", Forgery { quotes: true, ..other })];
    each_lied_to(forgeries, |name, rows, log| {
        ensure!(rows.perhaps_twice.records == 0, "{name}: it took back {rows:?}\n{log}");
        ensure!(!log.contains("does not take messages"), "{name}: it counted\n{log}");
        let said = log.lines().filter(|line| line.contains("port unreachable, says 10.77.2.99")).count();
        ensure!(said == 1, "{name}: it is said {said} times\n{log}");
        Ok(())
    })
}

#[test]
fn forged_words_of_routers_stop_nothing() -> Result<()> {
    let router = Forgery { from: OTHER, quotes: true, ..PORT };
    let too_large = Forgery { kind: (3, 4), ..router };
    let forgeries = [
        ("host unreachable", Forgery { kind: (3, 1), ..router }),
        ("an MTU of 68", Forgery { mtu: 68, quotes: false, ..too_large }),
        ("an MTU of 0, quoted", too_large),
    ];
    each_lied_to(forgeries, |name, _, log| {
        ensure!(log.contains("10.77.2.99"), "{name}: no address is said\n{log}");
        Ok(())
    })
}
