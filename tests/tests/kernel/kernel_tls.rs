//! TLS end to end: collectors that refuse us, collectors that we must refuse, and certificates and lists that
//! change under a running agent. A refused side reads nothing at all.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::authority::{self, Authority, Leaf};
use flowxdp_tests::failures::{Failures, tell};
use flowxdp_tests::peer::Peer;
use flowxdp_tests::process::{Program, Running};
use flowxdp_tests::stage::{Stage, all_delivered, at_rest, balanced, of};
use rustix::process::Signal;

const FLOWS: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(200);
const LIMIT: Duration = Duration::from_secs(20);

/// Lines of a log that speak of trouble with a collector.
fn trouble<'a>(log: &'a str, url: &str) -> Vec<&'a str> {
    let of_it = |line: &&str| (line.contains(" WARN ") || line.contains(" ERROR ")) && line.contains(url);
    log.lines().filter(of_it).collect()
}

/// Waits until the log says something.
fn until_said(live: &Live, what: &str) -> Result<()> {
    let begun = Instant::now();
    while !live.log().contains(what) {
        ensure!(begun.elapsed() < LIMIT, "not said: {what}\n{}", live.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn a_collector_that_refuses_our_certificate_reads_nothing_until_it_takes_it() -> Result<()> {
    let stage = Stage::new()?;
    let other = Authority::new("another authority")?;
    let mut refusing = Peer::start(&stage.netns, 0, Some(authority::serving(&stage.server, Some(&other))?))?;
    let (port, mut accepting) = (refusing.port(), None);
    let url = stage.tls_url(port);
    let mut live = stage.agent(&[&url], &[])?;
    let mut refused = Vec::new();
    let sent = stage.traffic(FLOWS, PAUSE, || {
        std::thread::sleep(Duration::from_secs(3));
        balanced(&live)?;
        refused = refusing.kill();
        accepting = Some(stage.tls(port)?);
        Ok(())
    })?;
    let rows = at_rest(&mut live, sent)?;
    let log = live.log();
    live.stop()?.success()?;
    ensure!(refused.len() > 1, "it was tried {} times only", refused.len());
    for session in &refused {
        ensure!(session.octets.is_empty() && session.error.is_some(), "read: {session:?}");
    }
    let rows = of(&rows, "tls:")?;
    all_delivered("TLS, refused first", rows, &accepting.context("no collector")?.kill())?;
    ensure!(rows.perhaps_twice.records == 0, "something was written to one that refuses us: {rows:?}");
    let lines = trouble(&log, "tls://127.0.0.1");
    let about = |line: &&&str| line.contains("certificate");
    ensure!(lines.iter().filter(about).count() == 1, "not one line about the certificate:\n{log}");
    Ok(())
}

/// A certificate, and the text of its one line; none for the good one.
type Row = (&'static str, Leaf, Option<&'static str>);

fn matrix(stage: &Stage, other: &Authority) -> Result<Vec<Row>> {
    let good = authority::server(&["collector.test"])?;
    let issue = |name: &str, params| stage.authority.issue(name, &params);
    let mut expired = good.clone();
    expired.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let mut early = good.clone();
    early.not_before = rcgen::date_time_ymd(2080, 1, 1);
    let mut purpose = good.clone();
    purpose.extended_key_usages = authority::client()?.extended_key_usages;
    let wrong = authority::server(&["other.test"])?;
    let other = other.issue("other", &good)?;
    Ok(vec![
        ("good", issue("good", good.clone())?, None),
        ("expired", issue("expired", expired)?, Some("expired")),
        ("not yet valid", issue("early", early)?, Some("not valid before")),
        ("wrong name", issue("wrong", wrong)?, Some("collector.test")),
        ("another authority", other, Some("authority")),
        ("self-signed", stage.authority.self_signed("self", &good)?, Some("authority")),
        ("a client's", issue("purpose", purpose)?, Some("server")),
    ])
}

/// OpenSSL's server with a certificate; it writes the octets that its application reads.
fn openssl(stage: &Stage, port: u16, leaf: &Leaf) -> Result<Running> {
    let server = Program::find("openssl")?
        .args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-quiet", "-CAfile"])
        .arg(stage.authority.file())
        .args(["-Verify", "1", "-verify_return_error", "-cert"])
        .arg(&leaf.cert_file)
        .arg("-key")
        .arg(&leaf.key_file);
    server.open_stdin().netns(&stage.netns).start()
}

#[test]
fn collectors_with_bad_certificates_get_nothing_and_one_clear_line() -> Result<()> {
    let stage = Stage::new()?;
    let other = Authority::new("another authority")?;
    let rows = matrix(&stage, &other)?;
    let ports = 4_740..;
    let servers = rows.iter().zip(ports.clone()).map(|((_, leaf, _), port)| openssl(&stage, port, leaf));
    let servers: Vec<Running> = servers.collect::<Result<_>>()?;
    std::thread::sleep(Duration::from_millis(300));
    let urls: Vec<String> = rows.iter().zip(ports).map(|(_, port)| stage.tls_url(port)).collect();
    let mut live = stage.agent(&urls.iter().map(String::as_str).collect::<Vec<_>>(), &[])?;
    stage.traffic(FLOWS, PAUSE, || {
        std::thread::sleep(Duration::from_secs(4));
        balanced(&live).map(|_| ())
    })?;
    let good = urls.first().context("no row")?.clone();
    live.until(LIMIT, "exporting to the good one", |books| {
        books.collectors.get(&good).is_some_and(|collector| collector.exported_records > 0)
    })?;
    let log = live.log();
    live.stop()?.success()?;
    let mut failures = Failures::default();
    for (((name, _, reason), url), server) in rows.iter().zip(&urls).zip(&servers) {
        failures.check(name, || {
            let read = fs::metadata(server.stdout_file())?.len();
            let lines = trouble(&log, url);
            let Some(reason) = reason else {
                ensure!(read > 0 && lines.is_empty(), "{read} octets, {lines:?}");
                return Ok(());
            };
            ensure!(read == 0, "{read} octets were read:\n{log}");
            ensure!(lines.len() == 1 && lines.iter().all(|line| line.contains(reason)), "{lines:#?}");
            tell(lines.first().copied().unwrap_or_default().split(": ").nth(1).unwrap_or_default());
            Ok(())
        });
    }
    failures.end()
}

#[test]
fn a_collector_that_is_taken_off_the_list_loses_its_session() -> Result<()> {
    let stage = Stage::new()?;
    let directory = tempfile::tempdir()?;
    let (peers, listed) = (directory.path().join("peers"), format!("{}\n", stage.server.fingerprint()));
    fs::write(&peers, &listed)?;
    let mut collector = stage.tls(0)?;
    let url = format!("{}&peers={}", stage.tls_url(collector.port()), peers.display());
    let mut live = stage.agent(&[&url], &[])?;
    let sent = stage.traffic(FLOWS, PAUSE, || {
        while collector.received() == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        fs::write(&peers, format!("{}\n", "00".repeat(32)))?;
        let changed = Instant::now();
        while !collector.sessions().iter().all(|session| session.ended) {
            ensure!(changed.elapsed() < LIMIT, "the session goes on:\n{}", live.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        tell(&format!("the session ended {:?} after the list had changed", changed.elapsed()));
        let before = collector.received();
        std::thread::sleep(Duration::from_secs(2));
        ensure!(collector.received() == before, "one that is not on the list goes on to be sent records");
        balanced(&live)?;
        fs::write(&peers, &listed)?;
        live.signal(Signal::HUP)
    })?;
    let rows = at_rest(&mut live, sent)?;
    live.stop()?.success()?;
    all_delivered("TLS, off the list and on again", of(&rows, "tls:")?, &collector.kill())
}

#[test]
fn a_sighup_reads_certificates_again() -> Result<()> {
    let stage = Stage::new()?;
    let other = Authority::new("another authority")?;
    let stranger = other.issue("client", &authority::client()?)?;
    let good = [&stage.client.cert_file, &stage.client.key_file].map(fs::read);
    fs::copy(&stranger.cert_file, &stage.client.cert_file)?;
    fs::copy(&stranger.key_file, &stage.client.key_file)?;
    let mut collector = stage.tls(0)?;
    let url = stage.tls_url(collector.port());
    let mut live = stage.agent(&[&url], &[])?;
    let sent = stage.traffic(FLOWS, PAUSE, || {
        until_said(&live, "certificate")?;
        ensure!(collector.received() == 0, "a stranger's records were read");
        for (octets, file) in good.into_iter().zip([&stage.client.cert_file, &stage.client.key_file]) {
            fs::write(file, octets?)?;
        }
        live.signal(Signal::HUP)?;
        until_said(&live, "SIGHUP")
    })?;
    let rows = at_rest(&mut live, sent)?;
    live.stop()?.success()?;
    all_delivered("TLS, a new certificate", of(&rows, "tls:")?, &collector.kill())
}
