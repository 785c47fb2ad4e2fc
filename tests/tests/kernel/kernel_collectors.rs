//! Several collectors at once, live: each gets every record, its share, or nothing while another is there.
//!
//! One of them stalls or goes away. Rounds of the same flows are sent, each after the last has left, so
//! that the time of a record tells its round.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::books::{Books, Collector, Count};
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::flows::{Flows, Record, Tuple};
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::judge::{tshark, wire};
use flowxdp_tests::netns::Netns;
use flowxdp_tests::sniff::Sniffer;
use flowxdp_tests::stream::{Received, Receiver};
use flowxdp_tests::traffic::{Traffic, UDP, generator};

const SENDER: &str = "gen0";
const METERED: &str = "met0";
const LIMIT: Duration = Duration::from_secs(30);

/// A namespace with a veth pair, and small buffers for TCP: so that a reader that stalls is soon felt.
fn stage() -> Result<Netns> {
    let netns = Netns::new("many")?;
    netns.veth(SENDER, METERED)?;
    for buffer in ["tcp_rmem", "tcp_wmem"] {
        netns.sysctl(&format!("ipv4/{buffer}"), "4096 16384 65536")?;
    }
    Ok(netns)
}

fn agent(netns: &Netns, urls: &[&str], more: &[&str]) -> Result<Live> {
    let urls = urls.join(",");
    let arguments = ["--interface", METERED, "--mode", "native", "--collector", &urls];
    let timeouts = ["--idle-timeout", "1s", "--active-timeout", "2s"];
    Live::start(netns, &[&arguments[..], &timeouts, more].concat())
}

const fn traffic(flows: u32, packets: u64) -> Traffic {
    Traffic { flows, packets, ipv6: false, protocol: UDP, length: 100 }
}

fn now_ms() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

fn of<'a>(books: &'a Books, url: &str) -> Result<&'a Collector> {
    books.collectors.get(url).with_context(|| format!("no {url}: {books:?}"))
}

/// At each collector, everything that left the table is exported, queued or lost.
fn each_balances(books: &Books) -> Result<()> {
    books.balance()?;
    for (url, collector) in &books.collectors {
        let here = collector.total() + books.in_table + books.ignored_total();
        ensure!(here == books.seen, "{url} accounts for {here:?}: {books:?}");
    }
    Ok(())
}

/// Records that have left, wherever to; a record that went again counts once.
fn exported(books: &Books) -> u64 {
    books.collectors.values().map(|collector| collector.exported.packets).sum()
}

#[test]
fn one_that_stalls_costs_the_others_nothing() -> Result<()> {
    let netns = stage()?;
    let (tcp, v9, v5) =
        (Receiver::tcp(Some(&netns))?, Nfcapd::start(Some(&netns))?, Nfcapd::start(Some(&netns))?);
    let ports = [v9.port(), v5.port()];
    let sniffer =
        Sniffer::start_with(&ports.map(|port| format!("udp dst port {port}")).join(" or "), Some(&netns))?;
    let tcp_url = format!("tcp://127.0.0.1:{}", tcp.port());
    let (v9_url, v5_url) = (v9.url_of("v9"), v5.url_of("v5"));
    let mut live = agent(&netns, &[&tcp_url, &v9_url, &v5_url], &[])?;
    live.until(LIMIT, "at the stream", |_| !tcp.so_far().is_empty())?;
    tcp.stall()?;
    let traffic = traffic(5_000, 50_000);
    let sent = Count { packets: traffic.packets, octets: traffic.octets() };
    generator().send(&traffic, &netns, SENDER)?;
    live.until(Duration::from_secs(10), "done with the two that read", |books| {
        [&v9_url, &v5_url].iter().all(|url| of(books, url).is_ok_and(|it| it.exported == sent))
    })?;
    let books = live.status()?;
    each_balances(&books)?;
    let stalled = of(&books, &tcp_url)?;
    ensure!(stalled.queued.packets > 0 && stalled.lost.packets == 0, "it did not stall: {stalled:?}");
    tcp.resume()?;
    live.until(LIMIT, "done with the third", |books| {
        of(books, &tcp_url).is_ok_and(|it| it.exported == sent)
    })?;
    each_balances(&live.status()?)?;
    live.stop()?.success()?;
    let (received, sniffed) = (tcp.finish()?, sniffer.stop()?);
    wire::judge_stream(&received.octets)?;
    let columns = Columns::WITHOUT_TTL;
    equal(&traffic.truth(), &Flows::by_tuple(&tshark::judge_file(received.file())?.clean()?), columns)?;
    for nfcapd in [v9, v5] {
        equal(&traffic.truth(), &Flows::by_tuple(&nfcapd.stop()?.clean()?), columns)?;
    }
    on_time(sniffed.file(), ports)
}

/// Ended flows left a few seconds later, and were on the wire at their message's export time.
fn on_time(recording: &std::path::Path, ports: [u16; 2]) -> Result<()> {
    for record in tshark::judge_ports(recording, &ports)?.clean()? {
        let (last, left) = record.sums.last_ms.zip(record.exported_s).context("no times")?;
        // A second of idleness, one between two looks, one for the message to fill, and one of rounding.
        ensure!(left * 1000 <= last + 4_000, "it left late: {record:?}");
    }
    let ages = tshark::ages(recording, &ports)?;
    // The whole second of v9 is rounded up where a record ends within it.
    let late = ages.iter().filter(|age| !(-1.0..3.0).contains(*age)).collect::<Vec<_>>();
    ensure!(!ages.is_empty() && late.is_empty(), "seconds on the way: {late:?}");
    Ok(())
}

/// Sends, and waits until everything is at its collector; gives the time before.
fn round(traffic: &Traffic, netns: &Netns, live: &mut Live) -> Result<u64> {
    let (before, start) = (exported(&live.status()?), now_ms()?);
    generator().send(traffic, netns, SENDER)?;
    live.until(LIMIT, "done with a round", |books| exported(books) == before + traffic.packets)?;
    each_of_a_divided(&live.status()?)?;
    Ok(start)
}

/// Where each record goes to one collector, they balance together.
fn each_of_a_divided(books: &Books) -> Result<()> {
    books.balance()?;
    let retired: Count = books.collectors.values().map(Collector::total).sum();
    let all = retired + books.in_table + books.ignored_total();
    ensure!(all == books.seen, "all collectors account for {all:?}: {books:?}");
    Ok(())
}

/// The records of the rounds that began at these times.
fn rounds(records: &[Record], starts: &[u64]) -> Result<Vec<Vec<Record>>> {
    let mut rounds = vec![Vec::new(); starts.len()];
    for record in records {
        let first = record.sums.first_ms.context("no time")?;
        let number = starts.iter().filter(|start| **start <= first).count().checked_sub(1);
        rounds.get_mut(number.context("before all rounds")?).context("a round")?.push(record.clone());
    }
    Ok(rounds)
}

fn keys(records: &[Record]) -> BTreeSet<Tuple> {
    records.iter().map(|record| record.key.tuple).collect()
}

fn read(received: &Received, starts: &[u64]) -> Result<Vec<Vec<Record>>> {
    wire::judge_stream(&received.octets)?;
    rounds(&tshark::judge_file(received.file())?.clean()?, starts)
}

/// Kills a receiver that has everything, sends a round without it, starts it anew, and sends another.
fn without_and_with(
    tcp: Receiver,
    traffic: &Traffic,
    netns: &Netns,
    live: &mut Live,
) -> Result<(Vec<u64>, Received, Receiver)> {
    let (first, port) = (round(traffic, netns, live)?, tcp.port());
    let lost = |log: &str| log.matches("is lost: others take its share").count();
    ensure!(lost(&live.log()) == 0, "{}", live.log());
    let url = format!("tcp://127.0.0.1:{port}");
    live.until(LIMIT, "done with reading", |books| {
        let read = wire::judge_stream(&tcp.so_far()).map(|seen| seen.data_records);
        of(books, &url).is_ok_and(|it| read.is_ok_and(|read| read == it.exported_records))
    })?;
    let killed = tcp.kill()?;
    live.until_log(LIMIT, "aware of it", |log| lost(log) == 1)?;
    let before = exported(&live.status()?);
    let second = now_ms()?;
    generator().send(traffic, netns, SENDER)?;
    live.until(LIMIT, "done without it", |books| exported(books) == before + traffic.packets)?;
    each_of_a_divided(&live.status()?)?;
    let tcp = Receiver::tcp_at(port, Some(netns))?;
    live.until_log(LIMIT, "back at it", |log| log.contains("takes its share again"))?;
    live.until(LIMIT, "done with what it had", |books| exported(books) == 2 * traffic.packets)?;
    Ok((vec![first, second, round(traffic, netns, live)?], killed, tcp))
}

#[test]
fn a_share_for_each_and_only_that_of_the_lost_one_moves() -> Result<()> {
    let netns = stage()?;
    let (tcp, one, two) =
        (Receiver::tcp(Some(&netns))?, Nfcapd::start(Some(&netns))?, Nfcapd::start(Some(&netns))?);
    let tcp_url = format!("tcp://127.0.0.1:{}", tcp.port());
    let (one_url, two_url) = (one.url_of("v9"), two.url());
    let more = ["--strategy", "balance", "--failover-hold", "1s"];
    let mut live = agent(&netns, &[&tcp_url, &one_url, &two_url], &more)?;
    let traffic = traffic(3_000, 30_000);
    let (starts, killed, tcp) = without_and_with(tcp, &traffic, &netns, &mut live)?;
    let books = live.status()?;
    live.stop()?.success()?;
    let old = read(&killed, &starts[..1])?;
    let new = read(&tcp.finish()?, &starts)?;
    let [one, two] = [one, two].map(|nfcapd| rounds(&nfcapd.stop()?.clean()?, &starts));
    let (one, two) = (one?, two?);
    let truth = traffic.truth();
    for (number, third) in [&old[0], &vec![], &new[2]].into_iter().enumerate() {
        let all = [&one[number], &two[number], third];
        let shares = all.map(|records| keys(records));
        let sum: usize = shares.iter().map(BTreeSet::len).sum();
        ensure!(sum == 3_000, "round {number}: {sum} keys for 3000 flows");
        equal(&truth, &Flows::by_tuple(all.into_iter().flatten()), Columns::WITHOUT_TTL)
            .with_context(|| format!("round {number}"))?;
    }
    for share in [keys(&one[0]), keys(&two[0]), keys(&old[0])] {
        ensure!((500..1_500).contains(&share.len()), "a share of {} of 3000 flows", share.len());
    }
    ensure!(keys(&one[1]).is_superset(&keys(&one[0])), "more than the lost share has moved");
    ensure!(keys(&two[1]).is_superset(&keys(&two[0])), "more than the lost share has moved");
    ensure!(keys(&one[2]) == keys(&one[0]) && keys(&two[2]) == keys(&two[0]), "a share is another now");
    once(of(&books, &tcp_url)?, &new[0])
}

/// The killed one had read all, so its kernel ended the connection in order: nothing came again, and nothing is
/// named.
fn once(collector: &Collector, again: &[Record]) -> Result<()> {
    let named = collector.perhaps_twice_records;
    ensure!(named == 0 && again.is_empty(), "{} came again, {named} are named", again.len());
    Ok(())
}

#[test]
fn the_second_has_everything_while_the_first_is_away() -> Result<()> {
    let netns = stage()?;
    let (tcp, second) = (Receiver::tcp(Some(&netns))?, Nfcapd::start(Some(&netns))?);
    let (tcp_url, second_url) = (format!("tcp://127.0.0.1:{}", tcp.port()), second.url());
    let more = ["--strategy", "failover", "--failover-hold", "1s"];
    let mut live = agent(&netns, &[&tcp_url, &second_url], &more)?;
    let traffic = traffic(2_000, 20_000);
    let (starts, killed, tcp) = without_and_with(tcp, &traffic, &netns, &mut live)?;
    let books = live.status()?;
    live.stop()?.success()?;
    let old = read(&killed, &starts[..1])?;
    let new = read(&tcp.finish()?, &starts)?;
    let second = rounds(&second.stop()?.clean()?, &starts)?;
    for records in [&old[0], &second[1], &new[2]] {
        equal(&traffic.truth(), &Flows::by_tuple(records), Columns::WITHOUT_TTL)?;
    }
    ensure!(second[0].is_empty() && second[2].is_empty(), "the second was given what the first can have");
    ensure!(new[1].is_empty(), "the first has {} records of the time without it", new[1].len());
    once(of(&books, &tcp_url)?, &new[0])
}
