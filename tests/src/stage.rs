//! A live agent between a generator and collectors over TCP and TLS, and the equations that hold there.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::agent::Live;
use crate::authority::{self, Authority, Leaf};
use crate::books::{Books, Count};
use crate::delivery::Rows;
use crate::failures::tell;
use crate::judge::sessions::{Received, Session};
use crate::netns::Netns;
use crate::peer::Peer;
use crate::traffic::{Traffic, UDP};

const SENDER: &str = "gen0";
const METERED: &str = "met0";
/// Records are made soon, and many of each flow.
const RUN: [&str; 6] = ["--interface", METERED, "--idle-timeout", "1s", "--active-timeout", "1s"];
const LIMIT: Duration = Duration::from_secs(30);

/// A namespace with a veth pair, and certificates.
pub struct Stage {
    /// Where everything is.
    pub netns: Netns,
    /// Whom both sides trust.
    pub authority: Authority,
    /// The collector's certificate.
    pub server: Leaf,
    /// The exporter's.
    pub client: Leaf,
}

impl Stage {
    /// Makes all of it.
    pub fn new() -> Result<Self> {
        let netns = Netns::new("deliver")?;
        netns.veth(SENDER, METERED)?;
        let authority = Authority::new("an authority")?;
        let server = authority.issue("server", &authority::server(&["collector.test"])?)?;
        let client = authority.issue("client", &authority::client()?)?;
        Ok(Self { netns, authority, server, client })
    }

    /// A running agent that exports to these collectors.
    pub fn agent(&self, urls: &[&str], more: &[&str]) -> Result<Live> {
        Live::start(&self.netns, &arguments(urls, more))
    }

    /// The same, started by another program, which runs it as root: its limits, say.
    pub fn agent_by(&self, wrapper: &[&str], urls: &[&str], more: &[&str]) -> Result<Live> {
        Live::start_by(wrapper, 0, &self.netns, &arguments(urls, more))
    }

    /// The same, with a small file system of its own at a folder, which goes with it.
    pub fn agent_on(&self, tmpfs: &str, folder: &Path, urls: &[&str], more: &[&str]) -> Result<Live> {
        Live::start_on(&self.netns, tmpfs, folder, &arguments(urls, more))
    }

    /// The URL of a collector over TLS, with the certificates that both sides trust.
    pub fn tls_url(&self, port: u16) -> String {
        let file = |path: &Path| path.display().to_string();
        format!(
            "tls://127.0.0.1:{port}?name=collector.test&ca={}&cert={}&key={}",
            file(&self.authority.file()),
            file(&self.client.cert_file),
            file(&self.client.key_file)
        )
    }

    /// A collector over TCP, on any port if it is 0.
    pub fn tcp(&self, port: u16) -> Result<Peer> {
        Peer::start(&self.netns, port, None)
    }

    /// A collector over TLS, which asks for a certificate.
    pub fn tls(&self, port: u16) -> Result<Peer> {
        Peer::start(&self.netns, port, Some(authority::serving(&self.server, Some(&self.authority))?))
    }

    /// Sends rounds of traffic until `what` ends; gives the packets and octets.
    pub fn traffic(&self, flows: u32, pause: Duration, what: impl FnOnce() -> Result<()>) -> Result<Count> {
        let round = Traffic { flows, packets: u64::from(flows) * 2, ipv6: false, protocol: UDP, length: 100 };
        Ok(round.times(round.rounds_while(&self.netns, SENDER, pause, what)?))
    }
}

fn arguments<'a>(urls: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = RUN.to_vec();
    urls.iter().for_each(|url| arguments.extend(["--collector", url]));
    arguments.extend(more);
    arguments
}

/// The books of this moment: balanced, and the same retired for every collector.
pub fn balanced(live: &Live) -> Result<Books> {
    // The client itself waits some seconds for an answer and no longer.
    let books = live.status()?;
    books.balance()?;
    let retired: Vec<_> = books.collectors.values().map(|collector| collector.rows.retired()).collect();
    ensure!(retired.windows(2).all(|pair| pair[0] == pair[1]), "different for each collector: {books:?}");
    Ok(books)
}

/// Waits until everything that was sent left the table and every queue, and gives each collector's rows.
pub fn at_rest(live: &mut Live, sent: Count) -> Result<BTreeMap<String, Rows>> {
    live.until(LIMIT, "at rest", |books| {
        let waiting = books.collectors.values().map(|collector| {
            // Records that an earlier run left are in no queue of this one's equation.
            let [found, exported, lost] = collector.rows.inherited.map(|row| row.records);
            collector.rows.queued.records + found - exported - lost
        });
        books.in_table.packets == 0 && waiting.sum::<u64>() == 0
    })?;
    let books = balanced(live)?;
    ensure!(books.seen == sent, "seen {:?}, sent {sent:?}", books.seen);
    Ok(books.collectors.into_iter().map(|(url, collector)| (url, collector.rows)).collect())
}

/// The rows of the collector whose URL begins so.
pub fn of<'a>(rows: &'a BTreeMap<String, Rows>, scheme: &str) -> Result<&'a Rows> {
    rows.iter().find(|(url, _)| url.starts_with(scheme)).map(|(_, rows)| rows).context("no such collector")
}

/// The records that came must equal the books, with none lost.
pub fn all_delivered(name: &str, rows: &Rows, sessions: &[Session]) -> Result<()> {
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
