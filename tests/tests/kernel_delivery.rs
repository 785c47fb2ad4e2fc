//! Delivery over TCP and TLS to collectors that die, stall, refuse and come back, with live traffic.
//!
//! Every record must come at least once, and what may have come twice must be named; at every moment what
//! was retired for a collector is exported, queued or lost there; and nothing of it slows the metering.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::Live;
use flowxdp_tests::authority::{self, Authority, Leaf};
use flowxdp_tests::books::{Books, Count};
use flowxdp_tests::delivery::Rows;
use flowxdp_tests::failures::tell;
use flowxdp_tests::judge::sessions::{Received, Session};
use flowxdp_tests::netns::Netns;
use flowxdp_tests::peer::Peer;
use flowxdp_tests::traffic::{Traffic, UDP, generator};

const SENDER: &str = "gen0";
const METERED: &str = "met0";
/// Records are made soon, and many of each flow.
const RUN: [&str; 6] = ["--interface", METERED, "--idle-timeout", "1s", "--active-timeout", "1s"];
const LIMIT: Duration = Duration::from_secs(30);
/// An answer for the books that takes longer is a loop that was blocked.
const PROMPT: Duration = Duration::from_secs(1);

/// A namespace with a veth pair, and certificates.
struct Stage {
    netns: Netns,
    authority: Authority,
    server: Leaf,
    client: Leaf,
}

impl Stage {
    fn new() -> Result<Self> {
        let netns = Netns::new("deliver")?;
        netns.veth(SENDER, METERED)?;
        let authority = Authority::new("an authority")?;
        let server = authority.issue("server", &authority::server(&["collector.test"])?)?;
        let client = authority.issue("client", &authority::client()?)?;
        Ok(Self { netns, authority, server, client })
    }

    fn agent(&self, urls: &[&str], more: &[&str]) -> Result<Live> {
        let mut arguments = RUN.to_vec();
        urls.iter().for_each(|url| arguments.extend(["--collector", url]));
        arguments.extend(more);
        Live::start(&self.netns, &arguments)
    }

    fn tls_url(&self, port: u16) -> String {
        let file = |path: &Path| path.display().to_string();
        format!(
            "tls://127.0.0.1:{port}?name=collector.test&ca={}&cert={}&key={}",
            file(&self.authority.file()),
            file(&self.client.cert_file),
            file(&self.client.key_file)
        )
    }

    fn tcp(&self, port: u16) -> Result<Peer> {
        Peer::start(&self.netns, port, None)
    }

    fn tls(&self, port: u16) -> Result<Peer> {
        Peer::start(&self.netns, port, Some(authority::serving(&self.server, Some(&self.authority))?))
    }

    /// Sends rounds of traffic until `what` is done; gives the packets and octets.
    fn traffic(&self, flows: u32, pause: Duration, what: impl FnOnce() -> Result<()>) -> Result<Count> {
        let round = Traffic { flows, packets: u64::from(flows) * 2, ipv6: false, protocol: UDP, length: 100 };
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let mut sent = Count::default();
                while !done.load(Ordering::Relaxed) {
                    generator().send(&round, &self.netns, SENDER)?;
                    sent = sent + Count { packets: round.packets, octets: round.octets() };
                    std::thread::sleep(pause);
                }
                anyhow::Ok(sent)
            });
            let result = what();
            done.store(true, Ordering::Relaxed);
            let sent = sending.join().map_err(|_| anyhow::anyhow!("the generator panicked"))??;
            result.map(|()| sent)
        })
    }
}

/// The books of this moment: prompt, balanced, and the same retired for every collector.
fn look(live: &Live) -> Result<Books> {
    let asked = Instant::now();
    let books = live.status()?;
    ensure!(asked.elapsed() < PROMPT, "an answer took {:?}", asked.elapsed());
    books.balance()?;
    let retired: Vec<_> = books.collectors.values().map(|collector| collector.rows.retired()).collect();
    ensure!(retired.windows(2).all(|pair| pair[0] == pair[1]), "different for each collector: {books:?}");
    Ok(books)
}

/// Waits until everything that was sent left the table and every queue, and gives each collector's rows.
fn at_rest(live: &mut Live, sent: Count) -> Result<BTreeMap<String, Rows>> {
    live.until(LIMIT, "at rest", |books| {
        let queued = books.collectors.values().map(|collector| collector.rows.queued.records).sum::<u64>();
        books.in_table.packets == 0 && queued == 0
    })?;
    let books = look(live)?;
    ensure!(books.seen == sent, "seen {:?}, sent {sent:?}", books.seen);
    Ok(books.collectors.into_iter().map(|(url, collector)| (url, collector.rows)).collect())
}

/// The rows of the collector whose URL begins so.
fn of<'a>(rows: &'a BTreeMap<String, Rows>, scheme: &str) -> Result<&'a Rows> {
    rows.iter().find(|(url, _)| url.starts_with(scheme)).map(|(_, rows)| rows).context("no such collector")
}

/// What came must be what the books say, with nothing lost.
fn all_delivered(name: &str, rows: &Rows, sessions: &[Session]) -> Result<()> {
    let received = Received::read(sessions).with_context(|| name.to_owned())?;
    rows.delivered(&received).with_context(|| name.to_owned())?;
    ensure!(rows.lost.records == 0 && rows.queued.records == 0, "{name}: not all was sent: {rows:?}");
    tell(&format!(
        "{name}: {} sessions, {} records sent, {} received, {} perhaps twice",
        sessions.len(),
        rows.sent().records,
        received.all().records,
        rows.perhaps_twice.records
    ));
    Ok(())
}

#[test]
fn a_collector_that_dies_ten_times_gets_every_record() -> Result<()> {
    let stage = Stage::new()?;
    let (mut tcp, mut tls) = (stage.tcp(0)?, stage.tls(0)?);
    let (tcp_port, tls_port) = (tcp.port(), tls.port());
    let (tcp_url, tls_url) = (format!("tcp://127.0.0.1:{tcp_port}"), stage.tls_url(tls_port));
    let mut live = stage.agent(&[&tcp_url, &tls_url], &[])?;
    let mut sessions = (Vec::new(), Vec::new());
    let sent = stage.traffic(2_000, Duration::from_millis(200), || {
        for death in 0..10_u64 {
            std::thread::sleep(Duration::from_millis(600 + 37 * death));
            sessions.0.extend(tcp.kill());
            sessions.1.extend(tls.kill());
            look(&live)?;
            std::thread::sleep(Duration::from_millis(41 * death));
            (tcp, tls) = (stage.tcp(tcp_port)?, stage.tls(tls_port)?);
        }
        Ok(())
    })?;
    let rows = at_rest(&mut live, sent)?;
    live.stop()?.success()?;
    sessions.0.extend(tcp.kill());
    sessions.1.extend(tls.kill());
    all_delivered("TCP, ten deaths", of(&rows, "tcp:")?, &sessions.0)?;
    all_delivered("TLS, ten deaths", of(&rows, "tls:")?, &sessions.1)
}

/// Longer than a connection whose other side takes nothing lives.
const STALL: Duration = Duration::from_secs(60);

#[test]
fn a_collector_that_stalls_for_a_minute_gets_every_record() -> Result<()> {
    let stage = Stage::new()?;
    let (mut tcp, mut tls) = (stage.tcp(0)?, stage.tls(0)?);
    let (tcp_url, tls_url) = (format!("tcp://127.0.0.1:{}", tcp.port()), stage.tls_url(tls.port()));
    let mut live = stage.agent(&[&tcp_url, &tls_url], &[])?;
    let sent = stage.traffic(3_000, Duration::from_millis(900), || {
        std::thread::sleep(Duration::from_secs(3));
        tcp.stall(true);
        tls.stall(true);
        let begun = Instant::now();
        while begun.elapsed() < STALL {
            look(&live)?;
            std::thread::sleep(Duration::from_millis(500));
        }
        tcp.stall(false);
        tls.stall(false);
        Ok(())
    })?;
    let rows = at_rest(&mut live, sent)?;
    live.stop()?.success()?;
    all_delivered("TCP, stalled", of(&rows, "tcp:")?, &tcp.kill())?;
    all_delivered("TLS, stalled", of(&rows, "tls:")?, &tls.kill())
}
