//! An agent whose collector is behind a router: three namespaces, traffic, and the messages that came.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::agent::Live;
use crate::books::Count;
use crate::delivery::Rows;
use crate::netns::Netns;
use crate::process::{Program, Running};
use crate::traffic::{Traffic, UDP};

/// Where traffic is sent out.
pub const SENDER: &str = "gen0";
/// Where it is metered.
pub const METERED: &str = "met0";
/// The collector's address.
pub const COLLECTOR: &str = "10.77.2.2";
/// Its other one.
pub const COLLECTOR6: &str = "fd77:2::2";
/// How long anything may take.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The agent's namespace, a router's, and the collector's.
pub struct Stage {
    /// Where the agent runs, and the traffic is.
    pub agent: Netns,
    /// Between `r0` and `r1`.
    pub router: Netns,
    /// Behind it, with [`COLLECTOR`] and [`COLLECTOR6`].
    pub collector: Netns,
    directory: TempDir,
}

impl Stage {
    /// Three namespaces and the links between them.
    pub fn new() -> Result<Self> {
        let (agent, router, collector) = (Netns::new("agent")?, Netns::new("router")?, Netns::new("far")?);
        agent.veth(SENDER, METERED)?;
        agent.ip(&format!("link add up0 type veth peer name r0 netns {}", router.name()))?;
        router.ip(&format!("link add r1 type veth peer name c0 netns {}", collector.name()))?;
        let links = [
            (&agent, "up0", "10.77.1.1", "fd77:1::1"),
            (&router, "r0", "10.77.1.2", "fd77:1::2"),
            (&router, "r1", "10.77.2.1", "fd77:2::1"),
            (&collector, "c0", COLLECTOR, COLLECTOR6),
        ];
        router.sysctl("ipv4/ip_forward", "1")?;
        router.sysctl("ipv6/conf/all/forwarding", "1")?;
        for (netns, link, address, address6) in links {
            netns.ip(&format!("addr add {address}/24 dev {link}"))?;
            netns.ip(&format!("addr add {address6}/64 dev {link} nodad"))?;
            netns.ip(&format!("link set {link} up"))?;
        }
        for (netns, gateway) in
            [(&agent, ["10.77.1.2", "fd77:1::2"]), (&collector, ["10.77.2.1", "fd77:2::1"])]
        {
            for address in gateway {
                netns.ip(&format!("route add default via {address}"))?;
            }
        }
        Ok(Self { agent, router, collector, directory: tempfile::tempdir()? })
    }

    /// A file that goes with it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A program in the collector's namespace that writes down the octets that come by a protocol of socat's.
    pub fn receive(&self, protocol: &str, port: u16) -> Result<Running> {
        let socat = Program::find("socat")?.args(["-u", "-b", "65536", &format!("{protocol}:{port}")]);
        let socat = socat.arg(format!("CREATE:{}", self.file(protocol).display()));
        let mut running = socat.netns(&self.collector).start()?;
        let sockets = ["ss", "-Hlntu", "sport", "=", &format!(":{port}")].map(str::to_owned);
        running.until(LIMIT, "listening", |_| {
            let ip = Program::find("ip")?.args(["netns", "exec", self.collector.name()]).args(&sockets);
            Ok(!ip.run(LIMIT)?.success()?.stdout.is_empty())
        })?;
        Ok(running)
    }

    /// An agent for these collectors that makes records soon, and many of each flow.
    pub fn start(&self, urls: &[&str], more: &[&str]) -> Result<Live> {
        let mut arguments = vec!["--interface", METERED, "--idle-timeout", "1s", "--active-timeout", "1s"];
        urls.iter().for_each(|url| arguments.extend(["--collector", url]));
        arguments.extend(more);
        Live::start(&self.agent, &arguments)
    }

    /// Sends rounds of packets until `what` ends; gives how many.
    pub fn traffic(&self, what: impl FnOnce() -> Result<()>) -> Result<Count> {
        let round = Traffic { flows: 1_000, packets: 2_000, ipv6: false, protocol: UDP, length: 100 };
        let pause = Duration::from_millis(100);
        Ok(round.times(round.rounds_while(&self.agent, SENDER, pause, what)?))
    }
}

/// Waits until all of this has left.
pub fn at_rest(live: &mut Live, sent: Count) -> Result<()> {
    live.until(LIMIT, "at rest", |books| {
        let queued = books.collectors.values().map(|collector| collector.queued_records).sum::<u64>();
        books.seen.packets >= sent.packets && books.in_table.packets == 0 && queued == 0
    })?;
    let books = live.status()?;
    books.all_exported()?;
    ensure!(books.seen == sent, "seen {:?}, sent {sent:?}", books.seen);
    Ok(())
}

/// The rows of the collector whose URL begins so.
pub fn rows(live: &Live, scheme: &str) -> Result<Rows> {
    let collectors = live.status()?.collectors;
    let found = collectors.into_iter().find(|(url, _)| url.starts_with(scheme));
    Ok(found.with_context(|| format!("no {scheme}"))?.1.rows)
}
