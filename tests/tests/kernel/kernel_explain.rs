//! `explain` on interfaces: each hook against the verdicts that the crafted packets were built with, beside a running
//! agent whose books stay exact, under a flood, and after a kill.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::programs::{SchedClassifier, TcAttachType};
use flowxdp_tests::agent::{Live, program};
use flowxdp_tests::craft::{Frame, Verdict, catalogue};
use flowxdp_tests::failures::{Failures, left_out, tell};
use flowxdp_tests::foreign;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::pcap::Writer;
use flowxdp_tests::process::{Finished, Program, Running};
use flowxdp_tests::traffic::{TCP, Tcpreplay, Traffic, UDP, generator};
use rustix::process::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// Lines a second.
const LINES: u64 = 100;

/// A running `flowxdp explain` on one end of a veth pair.
struct Explain(Running);

impl Explain {
    /// Starts it with these arguments, and waits until its program is attached.
    fn start(netns: &Netns, arguments: &[&str]) -> Result<Self> {
        let explain = program()?.args(["explain", "--interface", "met0", "--seconds", "600"]).args(arguments);
        let mut running = explain.netns(netns).start()?;
        running.until(LIMIT, "attached", |running| Ok(running.stderr().contains("ends after")))?;
        Ok(Self(running))
    }

    /// Ends it as ^C does.
    fn stop(self) -> Result<Explained> {
        Explained::read(self.0.stop(Signal::INT, LIMIT)?.success()?)
    }
}

/// The output of an `explain` that has ended.
struct Explained {
    ended: Finished,
    /// Packets by verdict, as the summary has them; verdicts without a packet are left out.
    packets: BTreeMap<String, u64>,
    explained: u64,
    left_out: u64,
}

impl Explained {
    /// Reads a summary: `9 packets: 5 metered, 4 ignored (truncated 3, malformed 1); 2 explained, 2 left out`.
    fn read(ended: Finished) -> Result<Self> {
        let summary = ended.stderr.lines().last().context("no summary")?.to_owned();
        let (verdicts, lines) = summary.split_once("; ").with_context(|| summary.clone())?;
        let mut packets = BTreeMap::new();
        let number = |text: &str| text.trim().parse::<u64>().with_context(|| summary.clone());
        let (_, verdicts) = verdicts.split_once(": ").context("no verdicts")?;
        let (metered, ignored) = verdicts.split_once(" metered, ").context("no metered packets")?;
        packets.insert("metered".to_owned(), number(metered)?);
        if let Some((_, reasons)) = ignored.split_once(" (") {
            for reason in reasons.trim_end_matches(')').split(", ") {
                let (name, count) = reason.split_once(' ').context("no reason")?;
                packets.insert(name.to_owned(), number(count)?);
            }
        }
        packets.retain(|_, packets| *packets > 0);
        let (explained, left_out) = match lines.split_once(" explained, ") {
            Some((explained, left_out)) => {
                (number(explained)?, number(left_out.trim_end_matches(" left out"))?)
            }
            None => (number(lines.trim_end_matches(" explained"))?, 0),
        };
        Ok(Self { packets, explained, left_out, ended })
    }

    fn lines(&self) -> Vec<&str> {
        self.ended.stdout.lines().collect()
    }
}

/// The packets of a file that was written by `frames`, on their way from one end of the pair to the other.
fn send(netns: &Netns, frames: &[Vec<u8>]) -> Result<()> {
    let count = u32::try_from(frames.len())?;
    let traffic = Traffic { flows: count, packets: count.into(), ipv6: false, protocol: UDP, length: 0 };
    arriving(netns, traffic.packets, || {
        Tcpreplay { cpu: None, rate: 10_000 }.send_frames(frames.iter().cloned(), &traffic, netns, "gen0")
    })
}

/// Sends, and waits until so many packets have arrived: a veth delivers in a softirq, after the sender's call.
fn arriving(netns: &Netns, packets: u64, send: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = netns.counter("met0", "rx_packets")?;
    send()?;
    for _ in 0..6_000 {
        if netns.counter("met0", "rx_packets")? - before >= packets {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    anyhow::bail!("{} of {packets} packets arrived", netns.counter("met0", "rx_packets")? - before)
}

/// The frames of the catalogue that an Ethernet interface can send as they are.
fn crafted() -> Vec<Frame> {
    let frames = catalogue().into_iter().flat_map(|file| file.frames);
    let is_whole = |frame: &Frame| frame.link == 1 && frame.data.len() == frame.wire as usize;
    frames.filter(is_whole).filter(|frame| (14..=1_500).contains(&frame.data.len())).collect()
}

/// Fewer than two octets behind a tag: the kernel drops such a frame in front of its classifiers (`skb_vlan_untag`).
fn has_cut_tag(frame: &Frame) -> bool {
    matches!(frame.data.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8])) && frame.data.len() < 14 + 4 + 2
}

fn by_verdict<'a>(frames: impl Iterator<Item = &'a Frame>) -> BTreeMap<String, u64> {
    let mut packets = BTreeMap::new();
    for frame in frames {
        let name = match frame.verdict {
            Verdict::Metered(_) => "metered",
            Verdict::Ignored(why) => why.name(),
        };
        *packets.entry(name.to_owned()).or_default() += 1;
    }
    packets
}

/// The texts of JSON lines.
fn texts(lines: &[&str]) -> Result<Vec<String>> {
    let text = |line: &&str| {
        let object: Value = serde_json::from_str(line)?;
        Ok(object["text"].as_str().context("no text")?.replace(" (beside the packet)", ""))
    };
    lines.iter().map(text).collect()
}

fn pair(label: &str) -> Result<Netns> {
    let netns = Netns::new(label)?;
    netns.veth("gen0", "met0")?;
    Ok(netns)
}

/// Fails when a classifier is left at the ingress of an interface.
fn no_classifier(netns: &Netns, interface: &str) -> Result<()> {
    let tcx = netns.inside(|| {
        let queried = SchedClassifier::query_tcx(interface, TcAttachType::Ingress);
        // Before Linux 6.6 there is no tcx.
        Ok(queried.map_or(0, |(_, programs)| programs.len()))
    })?;
    ensure!(tcx == 0, "{tcx} programs are left in tcx");
    // A kernel without clsact shows an error, and has no filter.
    let filters = tc(netns, &format!("filter show dev {interface} ingress")).unwrap_or_default();
    ensure!(!filters.contains("flowxdp_explain"), "a filter is left: {filters}");
    Ok(())
}

fn tc(netns: &Netns, words: &str) -> Result<String> {
    Ok(Program::find("tc")?.args(words.split_whitespace()).netns(netns).run(LIMIT)?.success()?.stdout)
}

/// Whether this kernel has the clsact qdisc and its filters; some machines have no modules for them.
fn has_clsact() -> Result<bool> {
    let netns = pair("explain")?;
    let made = tc(&netns, "qdisc add dev met0 clsact");
    Ok(made.is_ok() && foreign::filter(&netns, "met0", "ingress").is_ok())
}

/// The hooks that this kernel has.
fn hooks() -> Result<Vec<(&'static [&'static str], &'static str)>> {
    let clsact = has_clsact()?;
    let is_there = |arguments: &[&str]| match arguments.last() {
        Some(&"tcx") => has_tcx(),
        Some(&"clsact") => clsact,
        _ => true,
    };
    let hooks: Vec<_> = HOOKS.into_iter().filter(|(arguments, _)| is_there(arguments)).collect();
    if hooks.len() < HOOKS.len() {
        tell(&format!("{} of {} hooks: this kernel lacks the others", hooks.len(), HOOKS.len()));
    }
    Ok(hooks)
}

/// Every hook with the words that its line says.
const HOOKS: [(&[&str], &str); 4] = [
    (&[], "met0: explaining by XDP in native mode"),
    (&["--mode", "generic"], "met0: explaining by XDP in generic mode"),
    (&["--hook", "tcx"], "met0: explaining by a classifier (tcx)"),
    (&["--hook", "clsact"], "met0: explaining by a classifier (clsact)"),
];

fn has_tcx() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u32>().ok());
    numbers.next().zip(numbers.next()).is_some_and(|version| version >= (6, 6))
}

#[test]
fn every_hook_gives_each_crafted_packet_its_verdict() -> Result<()> {
    let frames = crafted();
    let mut failures = Failures::default();
    for (arguments, words) in hooks()? {
        failures.check(words, || {
            let is_classifier = arguments.contains(&"--hook");
            let sent: Vec<&Frame> =
                frames.iter().filter(|frame| !is_classifier || !has_cut_tag(frame)).collect();
            let netns = pair("explain")?;
            let explain = Explain::start(&netns, arguments)?;
            send(&netns, &sent.iter().map(|frame| frame.data.clone()).collect::<Vec<_>>())?;
            let explained = explain.stop()?;
            ensure!(explained.ended.stderr.contains(words), "{}", explained.ended.stderr);
            let expected = by_verdict(sent.into_iter());
            ensure!(expected.len() == 4, "not every verdict was sent: {expected:?}");
            ensure!(explained.packets == expected, "{:?}, not {expected:?}", explained.packets);
            netns.expect_clean("met0")?;
            no_classifier(&netns, "met0")?;
            ensure!(
                !tc(&netns, "qdisc show dev met0").unwrap_or_default().contains("clsact"),
                "a qdisc is left"
            );
            Ok(())
        });
    }
    failures.end()
}

/// Some frames, so few that all have a line, and their words by the parser's build for the host.
fn sample(directory: &Path) -> Result<(Vec<Vec<u8>>, Vec<String>)> {
    let frames: Vec<Frame> = crafted().into_iter().filter(|frame| !has_cut_tag(frame)).collect();
    let step = frames.len() / 90 + 1;
    let frames: Vec<Vec<u8>> = frames.into_iter().step_by(step).map(|frame| frame.data).collect();
    let file = directory.join("sample.pcap");
    let mut writer = Writer::create(&file)?;
    for frame in &frames {
        writer.frame(1_700_000_000_000_000, frame)?;
    }
    writer.finish()?;
    let host = program()?.args(["explain", "--all", "--json"]).arg(&file).run(LIMIT)?.success()?;
    let words = texts(&host.stdout.lines().collect::<Vec<_>>())?;
    ensure!(words.len() == frames.len(), "{} of {} frames", words.len(), frames.len());
    Ok((frames, words))
}

#[test]
fn every_hook_says_of_a_packet_the_words_of_the_host() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (frames, words) = sample(directory.path())?;
    let mut failures = Failures::default();
    for (arguments, name) in hooks()? {
        failures.check(name, || {
            let netns = pair("explain")?;
            let explain = Explain::start(&netns, &[&["--all", "--json"], arguments].concat())?;
            send(&netns, &frames)?;
            let explained = explain.stop()?;
            // The order of two packets on two CPUs is nobody's.
            let mut said = texts(&explained.lines())?;
            let mut words = words.clone();
            said.sort_unstable();
            words.sort_unstable();
            for (said, words) in said.iter().zip(&words) {
                ensure!(said == words, "{said:?}, not {words:?}");
            }
            ensure!(said.len() == words.len(), "{} of {} packets", said.len(), words.len());
            Ok(())
        });
    }
    failures.end()
}

#[test]
fn beside_an_agent_its_books_stay_exact() -> Result<()> {
    if !has_tcx() && !has_clsact()? {
        left_out("this kernel has neither tcx nor clsact");
        return Ok(());
    }
    let netns = pair("explain")?;
    let mut live = Live::start(&netns, &["--interface", "met0", "--collector", "udp://127.0.0.1:9"])?;
    let explain = Explain::start(&netns, &["--json"])?;
    let frames: Vec<Frame> = crafted().into_iter().filter(|frame| !has_cut_tag(frame)).collect();
    send(&netns, &frames.iter().map(|frame| frame.data.clone()).collect::<Vec<_>>())?;
    let expected = by_verdict(frames.iter());
    let sent = frames.len() as u64;
    live.until(LIMIT, "done with all", |books| books.seen.packets >= sent)?;
    let explained = explain.stop()?;
    for words in
        ["(tcx) behind the XDP program flowxdp", "packets that this program drops or redirects are unseen"]
    {
        let words = if has_tcx() { words.to_owned() } else { words.replace("tcx", "clsact") };
        ensure!(explained.ended.stderr.contains(&words), "{}", explained.ended.stderr);
    }
    ensure!(explained.packets == expected, "{:?}, not {expected:?}", explained.packets);
    let books = live.status()?;
    books.balance()?;
    ensure!(books.seen.packets == sent, "{} of {sent} packets", books.seen.packets);
    for (reason, count) in &books.ignored {
        let packets = expected.get(reason).copied().unwrap_or(0);
        ensure!(count.packets == packets, "{reason}: {}, not {packets}", count.packets);
    }
    ensure!(
        netns.xdp("met0")?.is_some_and(|(_, name)| name.starts_with("flowxdp")),
        "the agent's program is gone"
    );
    no_classifier(&netns, "met0")?;
    live.stop()?.success()?;
    netns.expect_clean("met0")
}

#[test]
fn beside_another_program_that_one_stays() -> Result<()> {
    if !has_tcx() && !has_clsact()? {
        left_out("this kernel has neither tcx nor clsact");
        return Ok(());
    }
    let netns = pair("explain")?;
    foreign::attach(&netns, "met0")?;
    let before = netns.xdp("met0")?;
    let explain = Explain::start(&netns, &["--all"])?;
    ensure!(netns.xdp("met0")? == before, "another program is attached");
    let traffic = Traffic { flows: 10, packets: 10, ipv6: true, protocol: TCP, length: 100 };
    arriving(&netns, 10, || generator().send(&traffic, &netns, "gen0"))?;
    let explained = explain.stop()?;
    ensure!(explained.packets.get("metered") == Some(&10), "{:?}", explained.packets);
    ensure!(netns.xdp("met0")? == before, "another program is attached");
    let refused =
        program()?.args(["explain", "--interface", "met0", "--hook", "xdp"]).netns(&netns).run(LIMIT)?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("leave --hook out"), "{}", refused.stderr);
    Ok(())
}

#[test]
fn a_filter_is_applied_in_the_kernel() -> Result<()> {
    let netns = pair("explain")?;
    let traffic = Traffic { flows: 1_000, packets: 1_000, ipv6: false, protocol: UDP, length: 100 };
    let one = traffic.key(500);
    let explain = Explain::start(
        &netns,
        &["--json", "--host", &one.src.to_string(), "--port", &one.sport.to_string()],
    )?;
    let frames: Vec<Vec<u8>> = (0..traffic.flows).map(|flow| traffic.frame(flow)).collect();
    send(&netns, &frames)?;
    let explained = explain.stop()?;
    let is_its = |flow: &u32| {
        let key = traffic.key(*flow);
        [key.src, key.dst].contains(&one.src) && [key.sport, key.dport].contains(&one.sport)
    };
    let its = (0..traffic.flows).filter(is_its).count() as u64;
    ensure!((1..LINES).contains(&its), "{its} packets have that address and port: choose another flow");
    ensure!(explained.packets.get("metered") == Some(&1_000), "{:?}", explained.packets);
    // A second of the program may begin meanwhile, but fewer packets than its lines passed the filter.
    ensure!(explained.explained == its && explained.left_out == 0, "{} lines", explained.explained);
    for line in explained.lines() {
        let object: Value = serde_json::from_str(line)?;
        let src = Value::from(one.src.to_string());
        ensure!(object["source"] == src || object["destination"] == src, "{line}");
    }
    Ok(())
}

#[test]
fn a_flood_has_at_most_a_hundred_lines_a_second() -> Result<()> {
    let netns = pair("explain")?;
    let explain = Explain::start(&netns, &["--all", "--json"])?;
    let traffic = Traffic { flows: 1_000, packets: 200_000, ipv6: false, protocol: UDP, length: 100 };
    arriving(&netns, traffic.packets, || generator().send(&traffic, &netns, "gen0"))?;
    let explained = explain.stop()?;
    ensure!(explained.packets.get("metered") == Some(&200_000), "{:?}", explained.packets);
    ensure!(explained.explained + explained.left_out == 200_000, "{}", explained.ended.stderr);
    ensure!(explained.lines().len() as u64 == explained.explained, "{} lines", explained.lines().len());
    let mut by_second: BTreeMap<String, u64> = BTreeMap::new();
    for line in explained.lines() {
        let object: Value = serde_json::from_str(line)?;
        let time = object["time"].as_str().context("no time")?;
        *by_second.entry(time.get(..19).context("a short time")?.to_owned()).or_default() += 1;
    }
    // A second of the wall clock holds parts of two of the program's.
    ensure!(by_second.values().all(|lines| *lines <= 2 * LINES), "{by_second:?}");
    ensure!(explained.explained >= LINES.min(50), "{} lines", explained.explained);
    ensure!(explained.ended.stderr.contains("left out"), "{}", explained.ended.stderr);
    Ok(())
}

#[test]
fn a_kill_leaves_no_program_behind() -> Result<()> {
    for arguments in [&[][..], &["--mode", "generic"], &["--hook", "tcx"]] {
        if arguments.contains(&"tcx") && !has_tcx() {
            continue;
        }
        let netns = pair("explain")?;
        let explain = Explain::start(&netns, arguments)?;
        explain.0.stop(Signal::KILL, LIMIT)?;
        netns.expect_clean("met0")?;
        no_classifier(&netns, "met0")?;
    }
    Ok(())
}

#[test]
fn the_filter_of_a_killed_one_is_removed_and_those_of_others_stay() -> Result<()> {
    if !has_clsact()? {
        left_out("this kernel has no clsact");
        return Ok(());
    }
    let netns = pair("explain")?;
    Explain::start(&netns, &["--hook", "clsact"])?.0.stop(Signal::KILL, LIMIT)?;
    let left = tc(&netns, "filter show dev met0 ingress")?;
    ensure!(left.contains("flowxdp_explain"), "no filter was left, which this test is about: {left}");
    foreign::filter(&netns, "met0", "egress")?;
    let explain = Explain::start(&netns, &["--hook", "clsact"])?;
    let filters = tc(&netns, "filter show dev met0 ingress")?;
    let ours = filters.lines().filter(|line| line.contains("flowxdp_explain")).count();
    ensure!(ours == 1, "{ours} filters: {filters}");
    let second =
        program()?.args(["explain", "--interface", "met0", "--hook", "clsact"]).netns(&netns).run(LIMIT)?;
    ensure!(
        second.code == Some(1) && second.stderr.contains("end that one first"),
        "{:?}: {}",
        second.code,
        second.stderr
    );
    let explained = explain.stop()?;
    ensure!(
        explained.ended.stderr.contains("of a killed flowxdp explain is removed"),
        "{}",
        explained.ended.stderr
    );
    no_classifier(&netns, "met0")?;
    let others = tc(&netns, "filter show dev met0 egress")?;
    ensure!(others.contains("foreign.o"), "another's filter is gone: {others}");
    // A qdisc that it made has another's filter by its end.
    let other = Netns::new("explain")?;
    other.veth("gen0", "met0")?;
    let explain = Explain::start(&other, &["--hook", "clsact"])?;
    foreign::filter(&other, "met0", "ingress")?;
    explain.stop()?;
    let others = tc(&other, "filter show dev met0 ingress")?;
    ensure!(others.contains("foreign.o") && !others.contains("flowxdp_explain"), "{others}");
    Ok(())
}

#[test]
fn an_interface_that_goes_is_no_error() -> Result<()> {
    for (arguments, _) in hooks()? {
        let netns = pair("explain")?;
        let explain = Explain::start(&netns, arguments)?;
        netns.ip("link del met0")?;
        ensure!(explain.stop()?.left_out == 0, "packets of no interface are left out");
    }
    Ok(())
}

#[test]
fn a_request_that_cannot_be_met_is_one_line() -> Result<()> {
    let netns = pair("explain")?;
    netns.ip("tuntap add dev tun0 mode tun")?;
    for (arguments, code, words) in [
        (&["--interface", "none0"][..], 1, "there is no interface none0: name one of "),
        (&["--interface", "met0,met0"], 1, "interface met0 is named twice"),
        (&["--interface", "tun0"], 1, "without Ethernet frames"),
        (&["--interface", "met0", "--reason", "unsupported_link"], 2, "not_ip, truncated and malformed"),
        (&["--interface", "met0", "--seconds", "0"], 2, "a whole number from 1"),
        (&["--interface", "met0", "x.pcap"], 2, "cannot be used with"),
        (&["--seconds", "5", "x.pcap"], 2, "cannot be used with"),
    ] {
        let ended = program()?.arg("explain").args(arguments).netns(&netns).run(LIMIT)?;
        let lines = ended.stderr.lines().count();
        ensure!(
            ended.code == Some(code) && ended.stderr.contains(words) && lines == 1,
            "{arguments:?}: {:?}: {}",
            ended.code,
            ended.stderr
        );
    }
    netns.expect_clean("met0")?;
    // A user without privileges may not reach the built program in its folder.
    let directory = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir()?;
    let copy = directory.path().join("flowxdp");
    fs::copy(program()?.path(), &copy)?;
    let ended = Program::at(&copy).args(["explain", "--interface", "lo"]).plain_user().run(LIMIT)?;
    ensure!(
        ended.code == Some(1) && ended.stderr.contains("no privilege"),
        "{:?}: {}",
        ended.code,
        ended.stderr
    );
    Ok(())
}
