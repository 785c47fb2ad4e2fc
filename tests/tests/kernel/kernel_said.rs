//! Names that packets say, flow by flow: those of `explain --names` and of records are tshark's, and none is made up.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::{Live, program};
use flowxdp_tests::captures::{self, Capture};
use flowxdp_tests::failures::{Failures, in_parallel, tell};
use flowxdp_tests::flows::{Flows, Tuple};
use flowxdp_tests::judge::names::{Flow, Named, Names, dissected, explained};
use flowxdp_tests::judge::{collect, nfacctd, tshark};
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::Program;
use flowxdp_tests::replayed::{ONE_RECORD, replay};
use flowxdp_tests::udp::{free_port, until_bound, until_read};
use rustix::process::Signal;

/// The capture of connections that say names, from tests/record-names.sh.
fn recorded() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/recorded-names.pcap")
}

#[test]
fn names_are_those_that_tshark_reads_in_each_flow() -> Result<()> {
    let mut failures = Failures::default();
    let captures = captures::all()?;
    failures.merge(in_parallel(&captures, |capture, failures| {
        failures.check(&capture.name, || {
            let (ours, metered) = explained(&capture.path)?;
            let theirs = dissected(&capture.path, &metered)?;
            for flow in ours.keys().chain(theirs.keys()) {
                let (ours, theirs) = (ours.get(flow), theirs.get(flow));
                ensure!(ours == theirs, "{flow:?}: {ours:?}, tshark {theirs:?}");
            }
            if !ours.is_empty() {
                tell(&format!("{}: the names of {} flows are tshark's", capture.name, ours.len()));
            }
            Ok(())
        });
    }));
    failures.end()
}

#[test]
fn the_capture_of_names_has_every_kind() -> Result<()> {
    let (names, _) = explained(&recorded())?;
    let all: Vec<&Named> = names.values().flatten().collect();
    let hellos = |protocol: &str, name: Option<&str>| {
        let is = |it: &&&Named| matches!(it, Named::Hello(by, named, _) if *by == protocol && named.as_deref() == name);
        all.iter().filter(is).count()
    };
    for name in ["tls13", "tls12", "records", "segments", "curl"] {
        ensure!(hellos("tls", Some(&format!("{name}.names.test"))) == 1, "{name}: {all:?}");
    }
    for name in ["v1", "v2", "long"] {
        ensure!(hellos("quic", Some(&format!("{name}.names.test"))) == 1, "{name}: {all:?}");
    }
    ensure!(hellos("tls", None) == 1, "no hello without a name: {all:?}");
    let hosts = ["www.names.test:8080", "other.names.test"];
    ensure!(hosts.iter().all(|host| all.contains(&&Named::Request(Some((*host).to_owned())))), "{all:?}");
    let server: IpAddr = "198.51.100.2".parse()?;
    let answer = Named::Dns(true, "www.names.test".to_owned(), [server].into());
    ensure!(all.contains(&&answer), "no answer: {all:?}");
    Ok(())
}

#[test]
fn a_flow_without_a_name_has_the_one_that_its_client_resolved() -> Result<()> {
    let explain = program()?.args(["explain", "--names", "--port", "443"]).arg(recorded());
    let lines = explain.run(std::time::Duration::from_secs(60))?.success()?.stdout;
    // The client had asked for an alias of the server's name, in mixed case where it asked over IPv6.
    let of = |words: &str| lines.lines().filter(|line| line.contains(words)).count();
    ensure!(of("; TLS without a server name; resolved as www.names.test") == 1, "{lines}");
    let v6 = lines.lines().find(|line| line.contains("2001:db8:51::2")).context("no IPv6")?;
    ensure!(v6.ends_with("; resolved as www.names.test"), "{v6}");
    ensure!(of("; no name: more packets needed") > 1 && of("; no name: encrypted") > 1, "{lines}");
    Ok(())
}

/// tshark's names of the elements, each with that of `collect`.
const SERVER: (&str, &str) = ("ssl_server_name", "tlsServerName");
const HOST: (&str, &str) = ("http_host", "httpHost");
const DNS: (&str, &str) = ("dns_query", "dnsQuery");

const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// Octets of a text in NetFlow v9.
const FIXED: usize = 64;

/// The names that packets of either direction say, by element.
fn said(names: &Names, of: &Tuple) -> Vec<(&'static str, String)> {
    let there: Flow = (of.src, of.dst, of.sport, of.dport);
    let back: Flow = (of.dst, of.src, of.dport, of.sport);
    let messages = [there, back].into_iter().filter_map(|flow| names.get(&flow)).flatten();
    let texts = messages.filter_map(|message| match message {
        Named::Hello(_, name, _) => Some((SERVER.0, name.clone()?)),
        Named::Request(host) => Some((HOST.0, host.clone()?)),
        Named::Dns(_, question, _) => Some((DNS.0, question.clone())),
    });
    texts.collect()
}

/// Whether an answer to one end of a flow had this name for the other end's address.
fn was_resolved(names: &Names, of: &Tuple, name: &str) -> bool {
    let mut answers = names.iter().flat_map(|(flow, named)| named.iter().map(move |it| (flow.1, it)));
    answers.any(|(client, named)| match named {
        Named::Dns(true, question, addresses) => {
            let ends = [(of.src, of.dst), (of.dst, of.src)];
            question.eq_ignore_ascii_case(name)
                && ends.iter().any(|(end, other)| *end == client && addresses.contains(other))
        }
        _ => false,
    })
}

/// The names of a replay's records, by every judge; gives the number of flows with one. A capture of no names is left
/// to the tests of all captures.
fn recorded_names(capture: &Capture, protocol: &str) -> Result<usize> {
    let (explained, metered) = explained(&capture.path)?;
    if explained.is_empty() {
        return Ok(0);
    }
    let options = [&ONE_RECORD[..], &["--collect", "names"]].concat();
    let replayed = replay(&[&capture.path], protocol, &options)?;
    replayed.books.all_exported()?;
    let exported = (replayed.books.exported.packets, replayed.books.exported.octets);
    let datagrams = &replayed.sniffed.recording.datagrams;
    let nfacctd = nfacctd::judge(replayed.sniffed.file())?;
    for (judge, verdict) in [("nfcapd", &replayed.nfcapd), ("nfacctd", &nfacctd)] {
        let totals = Flows::by_tuple(&verdict.clone().clean()?).totals();
        ensure!(totals == exported, "{judge}: {totals:?} of {exported:?}");
    }
    let names = dissected(&capture.path, &metered)?;
    let cut =
        |text: &str| if protocol == "v9" { text.chars().take(FIXED).collect() } else { text.to_owned() };
    let mut by_tuple = BTreeMap::new();
    for (record, texts) in tshark::named(replayed.sniffed.file(), replayed.sniffed.port)? {
        let of = record.key.tuple;
        let said: Vec<_> = said(&names, &of).into_iter().map(|(name, text)| (name, cut(&text))).collect();
        let texts: Vec<(&str, &String)> = texts.iter().map(|(name, text)| (name.as_str(), text)).collect();
        match texts.as_slice() {
            [] => ensure!(said.is_empty(), "{of:?}: no name, but {said:?} was said"),
            [(name, text)] if !said.is_empty() => {
                ensure!(said.contains(&(name, (*text).clone())), "{of:?}: {name} {text}, said {said:?}");
            }
            [(name, text)] => ensure!(
                *name == DNS.0 && was_resolved(&names, &of, text),
                "{of:?}: {name} {text} was never said"
            ),
            several => anyhow::bail!("{of:?}: several names: {several:?}"),
        }
        if let [(name, text)] = texts.as_slice() {
            by_tuple.insert(of, ((*name).to_owned(), (*text).clone()));
        }
    }
    for (key, line) in collect::flows(datagrams)? {
        let expected = by_tuple.get(&key.tuple).map(|(name, text)| (name.as_str(), text.as_str()));
        let texts = [SERVER, HOST, DNS]
            .into_iter()
            .filter_map(|(name, ours)| Some((name, line.get(ours)?.as_str()?)));
        ensure!(texts.clone().eq(expected), "{line}: {expected:?}");
    }
    Ok(by_tuple.len())
}

#[test]
fn records_have_the_names_that_tshark_reads_in_their_packets() -> Result<()> {
    let mut failures = Failures::default();
    for protocol in ["ipfix", "v9"] {
        failures.merge(in_parallel(&captures::all()?, |capture, failures| {
            let name = format!("{} {protocol}", capture.name);
            if let Some(named @ 1..) = failures.check(&name, || recorded_names(capture, protocol)) {
                tell(&format!("{name}: {named} flows have a name in their record"));
            }
        }));
    }
    failures.end()
}

/// The text of a line of `collect`, by tshark's name of its element.
fn text_of(line: &serde_json::Value) -> Option<(&'static str, String)> {
    let texts = [SERVER, HOST, DNS].into_iter();
    texts.filter_map(|(name, ours)| Some((name, line.get(ours)?.as_str()?.to_owned()))).next()
}

#[test]
fn live_records_have_the_names_that_tshark_reads_in_the_capture_on_the_wire() -> Result<()> {
    let netns = Netns::new("said")?;
    netns.veth("gen0", "met0")?;
    let port = free_port()?;
    let url = format!("udp://127.0.0.1:{port}");
    let collect = program()?.args(["collect", "--json", "--listen", &url]).netns(&netns);
    let mut collector = collect.start()?;
    until_bound(&mut collector, port)?;
    let words = format!(
        "--interface met0 --mode native --collector {url} --collect names --idle-timeout 1s --flows 1000 --flows6 1000"
    );
    let mut live = Live::start(&netns, &words.split(' ').collect::<Vec<_>>())?;
    let tcpreplay =
        Program::find("tcpreplay")?.args(["-q", "-K", "-i", "gen0", "--pps=2000"]).arg(recorded());
    tcpreplay.netns(&netns).run(LIMIT)?.success()?;
    let sent = netns.counter("met0", "rx_packets")?;
    live.until(LIMIT, "done with the records", |books| {
        books.seen.packets == sent && books.in_table.packets == 0 && books.queued.packets == 0
    })?;
    live.status()?.balance()?;
    until_read(&mut collector, port)?;
    live.stop()?.success()?;
    let lines = collector.stop(Signal::TERM, LIMIT)?.success()?.stdout;
    let (_, metered) = explained(&recorded())?;
    let names = dissected(&recorded(), &metered)?;
    let (mut records, mut named) = (0, 0);
    for (key, line) in collect::keyed(&lines)? {
        let said = said(&names, &key.tuple);
        records += 1;
        match text_of(&line) {
            Some(text) if said.is_empty() => {
                ensure!(text.0 == DNS.0 && was_resolved(&names, &key.tuple, &text.1), "{line}: never said");
            }
            Some(text) => ensure!(said.contains(&text), "{line}: said {said:?}"),
            None => ensure!(said.is_empty(), "{line}: no name, but {said:?} was said"),
        }
        named += u64::from(text_of(&line).is_some());
    }
    tell(&format!("{records} live records, {named} with a name"));
    ensure!(named > 20, "{named} of {records} have a name");
    Ok(())
}
