//! Names that packets say, flow by flow: those of `explain --names` are tshark's, and none is made up.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::program;
use flowxdp_tests::captures;
use flowxdp_tests::failures::{Failures, in_parallel, tell};
use flowxdp_tests::judge::names::{Named, dissected, explained};

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
