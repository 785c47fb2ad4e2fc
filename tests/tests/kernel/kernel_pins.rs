//! Pins: an agent ends in any way, metering continues, and the next agent resumes all of it.
//!
//! Records at nfcapd and at a receiver over TCP are compared with the generator's packets: under an agent
//! with `--keep` to the last octet and without a gap in the sequence, under killed agents up to the
//! duplicates that the books name.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::maps::MapData;
use flowxdp::kernel::map::Mapped;
use flowxdp_common::table::TableDescriptor;
use flowxdp_tests::agent::{Live, PROTOCOLS, last_exported, program};
use flowxdp_tests::books::{Books, Count};
use flowxdp_tests::bpffs::Bpffs;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::delivery::Rows;
use flowxdp_tests::failures::{Failures, tell};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::judge::sessions::Received;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::peer::Peer;
use flowxdp_tests::traffic::{Traffic, UDP, generator};
use flowxdp_tests::udp::free_port;

const SENDER: &str = "gen0";
const METERED: &str = "met0";
const LIMIT: Duration = Duration::from_secs(60);
/// The kernel takes several messages as one.
const AS_ONE: &[&str] = &["--udp-segments", "16"];

struct Stage {
    netns: Netns,
    bpffs: Bpffs,
}

impl Stage {
    fn new() -> Result<Self> {
        let netns = Netns::new("pins")?;
        netns.veth(SENDER, METERED)?;
        Ok(Self { netns, bpffs: Bpffs::new()? })
    }

    fn agent(&self, url: &str, more: &[&str]) -> Result<Live> {
        let pins = self.bpffs.pins().display().to_string();
        let mut arguments = vec!["--interface", METERED, "--collector", url, "--pin", &pins];
        arguments.extend(["--idle-timeout", "1s", "--active-timeout", "1s"]);
        arguments.extend(more);
        Live::start(&self.netns, &arguments)
    }

    fn send(&self, traffic: &Traffic) -> Result<()> {
        generator().send(traffic, &self.netns, SENDER)?;
        Ok(())
    }

    /// Sends rounds of traffic while `what` runs; gives the number of rounds.
    fn meanwhile(&self, round: &Traffic, what: impl FnOnce() -> Result<()>) -> Result<u64> {
        round.rounds_while(&self.netns, SENDER, Duration::ZERO, what)
    }

    /// Nothing may be left, neither attached nor pinned.
    fn close(self) -> Result<()> {
        self.netns.expect_clean(METERED)?;
        self.bpffs.expect_clean()
    }
}

fn traffic(flows: u32, packets: u64, ipv6: bool) -> Traffic {
    Traffic { flows, packets, ipv6, protocol: UDP, length: 100 }
}

fn count(traffic: &Traffic, rounds: u64) -> Count {
    Count { packets: traffic.packets * rounds, octets: traffic.octets() * rounds }
}

/// Waits until nothing is in the table or in a queue.
fn at_rest(live: &mut Live) -> Result<Books> {
    live.until(LIMIT, "at rest", |books| books.in_table.packets == 0 && books.queued.packets == 0)?;
    let books = live.status()?;
    books.balance()?;
    Ok(books)
}

fn only(books: &Books) -> Result<&Rows> {
    Ok(&books.collectors.values().next().context("no collector")?.rows)
}

/// `first` are options of the first agent alone, `more` options of the second.
fn kept(protocol: &str, ipv6: bool, first: &[&str], more: &[&str]) -> Result<()> {
    let stage = Stage::new()?;
    let nfcapd = Nfcapd::start(Some(&stage.netns))?;
    let url = nfcapd.url();
    let round = traffic(2_000, 20_000, ipv6);
    let mut arguments = vec!["--protocol", protocol, "--keep"];
    let mut live = stage.agent(&url, &[&arguments[..], first].concat())?;
    stage.send(&round)?;
    live.until(LIMIT, "exporting", |books| books.exported.packets > 0)?;
    stage.send(&round)?;
    live.stop()?.success()?;
    // No agent runs: packets are metered all the same.
    stage.send(&round)?;
    arguments.extend(more);
    let mut live = stage.agent(&url, &arguments)?;
    let books = live.status()?;
    books.balance()?;
    ensure!(books.seen == count(&round, 3), "seen {:?} of {:?}", books.seen, count(&round, 3));
    stage.send(&round)?;
    let books = at_rest(&mut live)?;
    ensure!(books.lost_total().packets == 0 && only(&books)?.perhaps_twice.records == 0, "{books:?}");
    live.stop()?.success()?;
    let mut live = stage.agent(&url, &["--protocol", protocol])?;
    ensure!(live.status()?.exported == count(&round, 4), "{:?}", live.status()?);
    at_rest(&mut live)?;
    live.stop()?.success()?;
    stage.close()?;
    // One exporter to it: no gap in the sequence, no datagram from another port.
    let records = nfcapd.stop()?.clean()?;
    let mut truth = Flows::default();
    for _ in 0..4 {
        truth.merge(&round.truth());
    }
    equal(&truth, &Flows::by_tuple(&records), Columns::WITHOUT_TTL)
}

#[test]
fn a_stop_that_keeps_is_no_gap_to_the_collector() -> Result<()> {
    let mut failures = Failures::default();
    for (protocol, ipv6) in PROTOCOLS.into_iter().zip([false, true]).chain([("v5", false)]) {
        failures.check(protocol, || kept(protocol, ipv6, &[], &[]));
    }
    failures.end()
}

#[test]
fn a_table_of_another_size_takes_over_from_the_one_before() -> Result<()> {
    let mut failures = Failures::default();
    failures.check("smaller", || kept("ipfix", false, &[], &["--flows", "10K"]));
    failures.check("larger", || kept("v9", true, &[], &["--flows", "2M", "--flows6", "20K"]));
    failures.end()
}

/// Tables of few flows, so that packets go through the ring buffer and the spill table too.
#[test]
fn a_table_with_other_groups_of_fields_takes_over_from_the_one_before() -> Result<()> {
    let (mut failures, small) = (Failures::default(), ["--flows", "5K", "--flows6", "5K"]);
    let with = |groups: &'static str| [&small[..], &["--collect", groups]].concat();
    failures.check("none before", || kept("ipfix", false, &small, &with("mac,vlan")));
    failures.check("others before", || kept("v9", true, &with("mac,mpls"), &with("ipv6,mac")));
    failures.end()
}

/// Makes the pinned table one of another version, with a descriptor of its slots.
fn age(stage: &Stage) -> Result<()> {
    let path = stage.bpffs.pins().join("1/SHAPE");
    let mut descriptor: Mapped<TableDescriptor> = Mapped::new(MapData::from_pin(path)?.fd(), 1)?;
    let said = descriptor.read(0);
    descriptor.write(0, &TableDescriptor { layout: said.layout + 95, size: said.size + 8, ..said });
    Ok(())
}

#[test]
fn a_table_of_another_version_is_emptied_before_it_goes() -> Result<()> {
    let stage = Stage::new()?;
    let nfcapd = Nfcapd::start(Some(&stage.netns))?;
    let url = nfcapd.url();
    // A table so small that packets go through the ring buffer, too.
    let (small, round) = (["--flows", "2K", "--keep"], traffic(2_000, 20_000, false));
    let live = stage.agent(&url, &small)?;
    stage.send(&round)?;
    live.stop()?.success()?;
    let exported = {
        // No agent empties the ring now.
        stage.send(&round)?;
        age(&stage)?;
        let mut live = stage.agent(&url, &["--flows", "2K"])?;
        stage.send(&round)?;
        live.until_log(LIMIT, "taking over", |log| log.contains("a table of another version"))?;
        let books = at_rest(&mut live)?;
        ensure!(books.lost_total().packets == 0, "{books:?}");
        live.until_log(LIMIT, "done with it", |log| log.contains("is empty, and removed"))?;
        ensure!(!stage.bpffs.pins().join("1").exists(), "the old table is left");
        live.stop()?.success()?;
        books.exported
    };
    stage.close()?;
    let mut truth = Flows::default();
    (0..3).for_each(|_| truth.merge(&round.truth()));
    let records = nfcapd.stop()?.records;
    equal(&truth, &Flows::by_tuple(&records), Columns::WITHOUT_TTL)?;
    // Records that had left before are in the books of the agent before.
    ensure!(exported.packets <= count(&round, 3).packets, "{exported:?}");
    Ok(())
}

/// Ten kills while packets come in; then everything that was sent must be accounted for.
fn killed(stage: &Stage, url: &str, more: &[&str], round: &Traffic) -> Result<(Books, Count)> {
    // A veth takes the generator's frames once its other end has a program.
    let mut first = Some(stage.agent(url, more)?);
    let rounds = stage.meanwhile(round, || {
        for kill in 0..10 {
            let mut live = first.take().map_or_else(|| stage.agent(url, more), Ok)?;
            let before = live.status()?;
            before.balance().with_context(|| format!("after {kill} kills"))?;
            let exported = before.exported.packets;
            live.until(LIMIT, "exporting", |books| books.exported.packets > exported)?;
            live.status()?.balance()?;
            std::thread::sleep(Duration::from_millis(37 * kill));
            live.kill()?;
        }
        Ok(())
    })?;
    let mut live = stage.agent(url, more)?;
    let books = at_rest(&mut live)?;
    live.stop()?.success()?;
    Ok((books, count(round, rounds)))
}

#[test]
fn ten_kills_over_udp_lose_nothing_and_name_what_came_twice() -> Result<()> {
    let mut failures = Failures::default();
    let cases = [("ipfix", false, &[][..]), ("v9", true, &[][..]), ("ipfix", false, AS_ONE)];
    for (protocol, ipv6, more) in cases {
        failures.check(&format!("{protocol} {more:?}"), || {
            let stage = Stage::new()?;
            let nfcapd = Nfcapd::start(Some(&stage.netns))?;
            let url = nfcapd.url();
            let round = traffic(20_000, 200_000, ipv6);
            let (books, sent) = killed(&stage, &url, &[&["--protocol", protocol], more].concat(), &round)?;
            ensure!(books.seen == sent && books.exported == sent, "sent {sent:?}: {books:?}");
            stage.close()?;
            let verdict = nfcapd.stop()?;
            let (packets, octets) = Flows::by_tuple(&verdict.records).totals();
            let twice = only(&books)?.perhaps_twice;
            let most = Count { packets: sent.packets + twice.packets, octets: sent.octets + twice.octets };
            ensure!(
                (sent.packets..=most.packets).contains(&packets)
                    && (sent.octets..=most.octets).contains(&octets),
                "{packets} packets, {octets} octets came of {sent:?}, and {twice:?} is named"
            );
            tell(&format!("{protocol} {more:?}: {sent:?} sent, {packets} packets came, {twice:?} named"));
            Ok(())
        });
    }
    failures.end()
}

#[test]
fn ten_kills_over_tcp_lose_nothing_and_name_what_came_twice() -> Result<()> {
    let stage = Stage::new()?;
    let peer = Peer::start(&stage.netns, 0, None)?;
    let round = traffic(20_000, 200_000, false);
    let (books, sent) = killed(&stage, &format!("tcp://127.0.0.1:{}", peer.port()), &[], &round)?;
    ensure!(books.seen == sent && books.exported == sent, "sent {sent:?}: {books:?}");
    let rows = only(&books)?;
    let received = Received::read(&peer.sessions())?.all();
    let most = rows.exported + rows.perhaps_twice;
    ensure!(
        rows.exported.within(&received) && received.within(&most),
        "{received:?} came, and at most {most:?} is named"
    );
    tell(&format!("tcp: {sent:?} sent, {:?} named", rows.perhaps_twice));
    stage.close()
}

#[test]
fn a_collector_that_comes_with_a_start_begins_behind_the_records_of_before() -> Result<()> {
    for stays in [false, true] {
        let stage = Stage::new()?;
        let (one, other) = (Nfcapd::start(Some(&stage.netns))?, Nfcapd::start(Some(&stage.netns))?);
        let round = traffic(500, 5_000, false);
        let mut live = stage.agent(&one.url(), &["--keep"])?;
        stage.send(&round)?;
        at_rest(&mut live)?;
        live.stop()?.success()?;
        // These wait in the table, and are owed to the collectors of the next agent.
        stage.send(&round)?;
        let first = one.url();
        let more = if stays { vec!["--collector", first.as_str()] } else { Vec::new() };
        let mut live = stage.agent(&other.url(), &more)?;
        live.status()?.balance()?;
        stage.send(&round)?;
        let books = at_rest(&mut live)?;
        ensure!(books.seen == count(&round, 3), "seen {:?}", books.seen);
        live.stop()?.success()?;
        let rounds = [one, other].map(|nfcapd| nfcapd.store()?.total());
        let [one, other] = rounds;
        let (one, other) = (one?, other?);
        ensure!(other == count(&round, 2), "the new collector has {other:?}");
        ensure!(one == count(&round, if stays { 3 } else { 1 }), "the first collector has {one:?}");
        stage.close()?;
    }
    Ok(())
}

#[test]
fn a_collector_that_goes_with_a_start_leaves_its_share_of_the_books() -> Result<()> {
    let stage = Stage::new()?;
    let (one, other) = (Nfcapd::start(Some(&stage.netns))?, Nfcapd::start(Some(&stage.netns))?);
    let (gone, round) = (one.url(), traffic(500, 5_000, false));
    let balance = ["--strategy", "balance"];
    let mut live = stage.agent(&other.url(), &[&balance[..], &["--keep", "--collector", &gone]].concat())?;
    stage.send(&round)?;
    at_rest(&mut live)?;
    live.stop()?.success()?;
    let mut live = stage.agent(&other.url(), &balance)?;
    live.status()?.balance()?;
    stage.send(&round)?;
    let books = at_rest(&mut live)?;
    ensure!(books.seen == count(&round, 2), "seen {:?}", books.seen);
    live.stop()?.success()?;
    let (one, other) = (one.store()?.total()?, other.store()?.total()?);
    ensure!(one + other == count(&round, 2), "{one:?} and {other:?}");
    ensure!(one.packets > 0 && other.packets > round.packets, "{one:?} and {other:?}");
    stage.close()
}

#[test]
fn a_small_table_whose_collector_is_away_goes_on_metering() -> Result<()> {
    let mut failures = Failures::default();
    for more in [&[][..], AS_ONE] {
        failures.check(&format!("{more:?}"), || away(more));
    }
    failures.end()
}

fn away(more: &[&str]) -> Result<()> {
    let stage = Stage::new()?;
    let port = free_port()?;
    let url = format!("udp://127.0.0.1:{port}?preset=nfdump");
    let mut live = stage.agent(&url, &[&["--flows", "4096", "--flows6", "4096"], more].concat())?;
    // Far more flows than slots, and each is due after a second.
    let round = traffic(200_000, 200_000, false);
    for _ in 0..8 {
        stage.send(&round)?;
        let books = live.status()?;
        books.balance().context("while the collector is away")?;
        std::thread::sleep(Duration::from_millis(1_200));
    }
    let nfcapd = Nfcapd::start_at(port, Some(&stage.netns))?;
    let books = at_rest(&mut live)?;
    let lost = books.lost_total();
    ensure!(books.seen == count(&round, 8) && lost.packets == 0, "{lost:?} lost: {books:?}");
    live.stop()?.success()?;
    stage.close()?;
    let (packets, octets) = Flows::by_tuple(&nfcapd.stop()?.clean()?).totals();
    let sent = count(&round, 8);
    ensure!((packets, octets) == (sent.packets, sent.octets), "{packets} packets came of {sent:?}");
    Ok(())
}

/// Makes pairs of veths, `p0` and `p1`, `p2` and `p3` …, so many links in all; or removes them.
fn pairs(netns: &Netns, links: u32, make: bool) -> Result<()> {
    let lines = (0..links).step_by(2).map(|number| {
        let (one, other) = (format!("p{number}"), format!("p{}", number + 1));
        if make {
            format!("link add {one} up type veth peer name {other}\nlink set {other} up\n")
        } else {
            format!("link del {one}\n")
        }
    });
    let batch = tempfile::NamedTempFile::new()?;
    std::fs::write(batch.path(), lines.collect::<String>())?;
    netns.ip(&format!("-batch {}", batch.path().display())).map(drop)
}

#[test]
fn interfaces_made_anew_under_their_names_have_their_rows_again_and_too_many_are_others() -> Result<()> {
    let stage = Stage::new()?;
    stage.netns.sysctl("ipv6/conf/default/disable_ipv6", "1")?;
    let (nfcapd, pins) = (Nfcapd::start(Some(&stage.netns))?, stage.bpffs.pins().display().to_string());
    let url = nfcapd.url();
    let run = ["--interface", "p*", "--collector", &url, "--pin", &pins, "--idle-timeout", "1s"];
    let round = traffic(100, 1_000, false);
    let (mut first, mut others) = (0, 0);
    // More ifIndexes than rows in all; then more interfaces at once; and fewer again.
    for links in [130, 130, 258, 2] {
        pairs(&stage.netns, links, true)?;
        let mut live = Live::start(&stage.netns, &run).with_context(|| format!("{links} links"))?;
        generator().send(&round, &stage.netns, "p1")?;
        first += 1;
        if links == 258 {
            generator().send(&round, &stage.netns, "p256")?;
            others += 1;
        }
        let all = count(&round, first + others);
        live.until(LIMIT, "done with all", |books| books.exported.packets == all.packets)?;
        let books = at_rest(&mut live)?;
        let seen = |name: &str| books.interfaces.get(name).map_or(Count::default(), |books| books.seen);
        ensure!(books.seen == all, "seen {:?} of {all:?}", books.seen);
        ensure!(seen("p0") == count(&round, first), "p0 has seen {:?} in {first} rounds", seen("p0"));
        ensure!(seen("other") == count(&round, others), "others have seen {:?}", seen("other"));
        live.kill()?;
        pairs(&stage.netns, links, false)?;
    }
    let (packets, octets) = Flows::by_tuple(&nfcapd.stop()?.clean()?).totals();
    let all = count(&round, first + others);
    ensure!(Count { packets, octets } == all, "{packets} packets, {octets} octets came of {all:?}");
    Ok(())
}

#[test]
fn a_second_agent_is_told_who_has_the_pins() -> Result<()> {
    let stage = Stage::new()?;
    let live = stage.agent("udp://127.0.0.1:9", &[])?;
    let pins = stage.bpffs.pins().display().to_string();
    let other = ["run", "--interface", METERED, "--collector", "udp://127.0.0.1:9", "--pin", &pins];
    let refused =
        program()?.args(other).args(["--socket", "/nonexistent/no"]).netns(&stage.netns).run(LIMIT)?;
    ensure!(refused.code == Some(1), "{refused:?}");
    live.stop()?.success()?;
    stage.close()
}

#[test]
fn a_folder_that_keeps_no_pins_is_refused() -> Result<()> {
    let stage = Stage::new()?;
    let folder = tempfile::tempdir()?;
    let run = program()?.args(["run", "--interface", METERED, "--collector", "udp://127.0.0.1:9", "--pin"]);
    let refused = run.arg(folder.path()).netns(&stage.netns).run(LIMIT)?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("is in no BPF file system"), "{refused:?}");
    ensure!(folder.path().is_dir(), "an empty folder that is not the agent's was removed");
    stage.close()
}

#[test]
fn pins_and_folders_that_are_not_the_agents_stay() -> Result<()> {
    let stage = Stage::new()?;
    let pins = stage.bpffs.pins();
    // Made by the operator, and empty: the folder stays.
    std::fs::create_dir(&pins)?;
    stage.agent("udp://127.0.0.1:9", &[])?.stop()?.success()?;
    ensure!(stage.bpffs.left_in("flowxdp")?.is_empty() && pins.is_dir(), "the operator's folder is gone");
    stage.agent("udp://127.0.0.1:9", &["--keep"])?.stop()?.success()?;
    // By name, by kind, and an empty one: a map of this name, another map under ours, a map as an attachment.
    let foreign = ["3/other", "9/FLOWS_V4", "link-77"];
    for folder in ["3", "7", "9"] {
        std::fs::create_dir(pins.join(folder))?;
    }
    for name in foreign {
        MapData::from_pin(pins.join("1/COUNTERS"))?.pin(pins.join(name))?;
    }
    let live = stage.agent("udp://127.0.0.1:9", &[])?;
    let log = live.log();
    for name in foreign {
        let named = log.lines().filter(|line| line.contains(name) && line.contains("stays")).count();
        ensure!(named == 1, "{name} is named {named} times:\n{log}");
    }
    live.stop()?.success()?;
    stage.netns.expect_clean(METERED)?;
    let mut left = stage.bpffs.left_in("flowxdp")?;
    left.sort();
    ensure!(left == ["3", "7", "9", "link-77"], "{left:?}");
    ensure!(pins.join("3/other").exists() && pins.join("9/FLOWS_V4").exists(), "a foreign pin is gone");
    // Where an attachment would be pinned, another's is not replaced.
    let link = format!("link-{}", stage.netns.index(METERED)?);
    std::fs::rename(pins.join("link-77"), pins.join(&link))?;
    let arguments = ["run", "--interface", METERED, "--collector", "udp://127.0.0.1:9", "--socket"];
    let run = program()?.args(arguments).arg(stage.bpffs.join("no.sock")).arg("--pin").arg(&pins);
    let refused = run.netns(&stage.netns).run(LIMIT)?;
    ensure!(refused.code == Some(1), "{refused:?}");
    Ok(())
}

#[test]
fn an_error_in_the_loop_ends_in_a_flush_and_the_books() -> Result<()> {
    let stage = Stage::new()?;
    stage.netns.veth("other0", "other1")?;
    let nfcapd = Nfcapd::start(Some(&stage.netns))?;
    let url = nfcapd.url();
    let round = traffic(1_000, 10_000, false);
    let long = ["--interface", "other1", "--idle-timeout", "10m", "--active-timeout", "10m"];
    let pins = stage.bpffs.pins();
    let arguments = ["--interface", METERED, "--collector", &url, "--pin", pins.to_str().context("a path")?];
    let mut live = Live::start(&stage.netns, &[&arguments[..], &long].concat())?;
    stage.send(&round)?;
    live.until(LIMIT, "seen", |books| books.seen == count(&round, 1))?;
    // An attachment that cannot be taken off: a folder is in the place of its pin.
    let link = pins.join(format!("link-{}", stage.netns.index("other1")?));
    std::fs::remove_file(&link)?;
    std::fs::create_dir(&link)?;
    stage.netns.ip("link del other0")?;
    let ended = live.ended(LIMIT)?;
    ensure!(ended.code == Some(1), "{ended:?}");
    let lines: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with("flowxdp: ")).collect();
    ensure!(lines.len() == 1 && lines[0].contains("link-"), "{}", ended.stderr);
    ensure!(last_exported(&ended, &url)?.packets == round.packets, "{}", ended.stderr);
    stage.netns.expect_clean(METERED)?;
    equal(&round.truth(), &Flows::by_tuple(&nfcapd.stop()?.clean()?), Columns::WITHOUT_TTL)
}
