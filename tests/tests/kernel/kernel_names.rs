//! Collectors that are known by a name, which stands for another address later.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::books::Count;
use flowxdp_tests::failures::tell;
use flowxdp_tests::flows::Flows;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::peer::Peer;
use flowxdp_tests::stage::{Stage, all_delivered, at_rest, balanced, of};

const LIMIT: Duration = Duration::from_secs(30);
const PORT: u16 = 4_739;
/// A link between the two namespaces, and the address of the other one.
const HERE: &str = "10.77.3.1";
const THERE: Ipv4Addr = Ipv4Addr::new(10, 77, 3, 2);

/// The stage, with another namespace in which the collector may be.
fn stage() -> Result<(Stage, Netns)> {
    let (stage, other) = (Stage::new()?, Netns::new("moved")?);
    let here = &stage.netns;
    here.ip(&format!("link add up0 type veth peer name c0 netns {}", other.name()))?;
    for (netns, link, address) in [(here, "up0", HERE), (&other, "c0", &THERE.to_string())] {
        netns.ip(&format!("addr add {address}/24 dev {link}"))?;
        netns.ip(&format!("link set {link} up"))?;
    }
    name(&stage, &Ipv4Addr::LOCALHOST)?;
    Ok((stage, other))
}

/// From now on the collector's name stands for this address.
fn name(stage: &Stage, address: &Ipv4Addr) -> Result<()> {
    stage.netns.hosts(&format!("127.0.0.1 localhost\n{address} collector.test\n"))
}

/// The local port and the remote address of the one UDP socket that the agent has connected, as the kernel
/// lists it.
fn connected(live: &Live) -> Result<(u16, Ipv4Addr)> {
    let list = std::fs::read_to_string(format!("/proc/{}/net/udp", live.pid()))?;
    let to_collector = format!(":{PORT:04X}");
    let mut found = list.lines().skip(1).filter_map(|line| {
        let mut cells = line.split_whitespace().skip(1);
        let (local, remote) = (cells.next()?, cells.next()?);
        let (local, remote) = (local.split_once(':')?.1, remote.strip_suffix(&to_collector)?);
        let address = u32::from_str_radix(remote, 16).ok()?.to_ne_bytes();
        Some((u16::from_str_radix(local, 16).ok()?, Ipv4Addr::from(address)))
    });
    found.next().filter(|_| found.next().is_none()).with_context(|| format!("not one socket: {list}"))
}

fn received(nfcapd: Nfcapd) -> Result<Count> {
    let (packets, octets) = Flows::by_tuple(&nfcapd.stop()?.clean()?).totals();
    Ok(Count { packets, octets })
}

#[test]
fn over_udp_a_collector_whose_name_moves_is_followed_from_the_same_port() -> Result<()> {
    let (stage, other) = stage()?;
    let before = Nfcapd::start_at(PORT, Some(&stage.netns))?;
    let after = Nfcapd::start_on(THERE, PORT, Some(&other))?;
    let url = format!("udp://collector.test:{PORT}?preset=nfdump");
    let mut live = stage.agent(&[&url], &["--resolve-interval", "1s"])?;
    let mut ports = Vec::new();
    let sent = stage.traffic(200, Duration::from_millis(50), || {
        live.until(LIMIT, "exporting", |books| books.exported.packets > 1_000)?;
        ports.push(connected(&live)?);
        name(&stage, &THERE)?;
        live.until_log(LIMIT, "there", |log| log.contains("it is at 10.77.3.2 now, and was at 127.0.0.1"))?;
        ports.push(connected(&live)?);
        let then = live.status()?.exported.packets;
        live.until(LIMIT, "exporting there", |books| books.exported.packets > then + 1_000)?;
        balanced(&live).map(drop)
    })?;
    at_rest(&mut live, sent)?;
    live.stop()?.success()?;
    let [(port, first), (same, second)] = ports[..] else { anyhow::bail!("{ports:?}") };
    ensure!(port == same && (first, second) == (Ipv4Addr::LOCALHOST, THERE), "the socket: {ports:?}");
    // Both are live all the time: between them they have each record once, and each had its templates.
    let (here, there) = (received(before)?, received(after)?);
    ensure!(here.packets > 0 && there.packets > 0, "{here:?} before, {there:?} afterwards");
    ensure!(here + there == sent, "{here:?} before, {there:?} afterwards, {sent:?} sent");
    tell(&format!("{} packets before the name moved, {} afterwards", here.packets, there.packets));
    Ok(())
}

#[test]
fn over_udp_a_refusal_has_the_name_resolved_again() -> Result<()> {
    let (stage, other) = stage()?;
    let before = Nfcapd::start_at(PORT, Some(&stage.netns))?;
    let url = format!("udp://collector.test:{PORT}?preset=nfdump");
    let mut live = stage.agent(&[&url], &["--resolve-interval", "1h"])?;
    let pause = || {
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    };
    let first = stage.traffic(200, Duration::from_millis(50), pause)?;
    at_rest(&mut live, first)?;
    let here = received(before)?;
    ensure!(here == first, "{here:?} received of {first:?}");
    let second = stage.traffic(200, Duration::from_millis(50), pause)?;
    live.until_log(LIMIT, "refused", |log| log.contains("does not take messages"))?;
    name(&stage, &THERE)?;
    let after = Nfcapd::start_on(THERE, PORT, Some(&other))?;
    at_rest(&mut live, first + second)?;
    live.stop()?.success()?;
    let there = received(after)?;
    ensure!(there == second, "{there:?} received of {second:?}");
    tell(&format!("{} packets here; refused, resolved again: {} there", here.packets, there.packets));
    Ok(())
}

#[test]
fn over_tcp_the_name_is_resolved_at_each_connection() -> Result<()> {
    let (stage, other) = stage()?;
    let mut before = Peer::start(&stage.netns, PORT, None)?;
    let after = Peer::start_on(THERE, &other, PORT, None)?;
    let url = format!("tcp://collector.test:{PORT}");
    let mut live = stage.agent(&[&url], &[])?;
    let mut sessions = Vec::new();
    let sent = stage.traffic(200, Duration::from_millis(50), || {
        live.until(LIMIT, "exporting", |books| books.exported.packets > 1_000)?;
        name(&stage, &THERE)?;
        sessions = before.kill();
        let then = live.status()?.exported.packets;
        live.until(LIMIT, "exporting there", |books| books.exported.packets > then + 1_000)?;
        balanced(&live).map(drop)
    })?;
    let rows = at_rest(&mut live, sent)?;
    live.stop()?.success()?;
    let there = after.sessions();
    ensure!(there.len() == 1 && there.iter().any(|it| !it.octets.is_empty()), "nothing came there");
    sessions.extend(there);
    all_delivered("TCP", of(&rows, "tcp:")?, &sessions)
}
