//! The programs on the demo's gateway: the agent, and two collectors, one for each protocol.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::books::Books;
use super::network::{INTERFACES, Network};
use crate::netns::Namespace;
use crate::process::{Ended, Process};
use crate::{shell, stop};

/// Where IPFIX goes, and is shown as a table.
const IPFIX: u16 = 4739;
/// Where NetFlow v9 goes, and is added up.
const V9: u16 = 2055;

/// In the gateway's own /run, so that no other agent is in the way.
const SOCKET: &str = "/run/flowxdp-demo.sock";

/// How long anything may take to start.
const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct Gateway<'network> {
    program: PathBuf,
    namespace: &'network Namespace,
    agent: Process,
    table: Process,
    lines: Process,
}

/// The results of the three programs.
pub(crate) struct Left {
    pub(crate) agent: Ended,
    pub(crate) table: Ended,
    pub(crate) lines: Ended,
}

impl<'network> Gateway<'network> {
    /// Starts the collectors, then the agent, and waits until it answers.
    pub(crate) fn start(network: &'network Network, program: &Path) -> Result<Self> {
        let namespace = &network.gateway;
        let mut table = Command::new(program);
        table.args(["collect", "--listen", &url(IPFIX)]);
        let mut lines = Command::new(program);
        lines.args(["collect", "--json", "--listen", &url(V9)]);
        let mut agent = Command::new(program);
        let collectors = format!("{},{}?protocol=v9", url(IPFIX), url(V9));
        agent.args(["run", "--interface", &INTERFACES.join(","), "--collector", &collectors]);
        agent.args(["--idle-timeout", "2s", "--active-timeout", "5s", "--flows", "64K", "--socket", SOCKET]);
        let mut table = namespace.start(table)?;
        let mut lines = namespace.start(lines)?;
        for (port, collector) in [(IPFIX, &mut table), (V9, &mut lines)] {
            stop::until("the collector to listen", PATIENCE, || {
                collector.check()?;
                Ok(listens(namespace, port)?.then_some(()))
            })?;
        }
        println!("$ {}", shell::show(&agent));
        let mut agent = namespace.start(agent)?;
        stop::until("the agent to answer", PATIENCE, || {
            agent.check()?;
            Ok(ask(namespace, program, &["--json"]).ok())
        })?;
        Ok(Self { program: program.to_owned(), namespace, agent, table, lines })
    }

    /// The books, as the agent tells them now.
    pub(crate) fn books(&mut self) -> Result<Books> {
        Books::parse(&self.ask(&["--json"])?)
    }

    /// The same for people.
    pub(crate) fn status_text(&mut self) -> Result<String> {
        self.ask(&[])
    }

    fn ask(&mut self, arguments: &'static [&'static str]) -> Result<String> {
        for process in [&mut self.agent, &mut self.table, &mut self.lines] {
            process.check()?;
        }
        ask(self.namespace, &self.program, arguments)
    }

    /// Stops the agent, which sends its flows, and then the collectors.
    pub(crate) fn stop(self) -> Result<Left> {
        let agent = self.agent.stop()?;
        if !agent.status.success() {
            bail!("the agent ended with {}: {}", agent.status, agent.stderr.trim());
        }
        // Messages over loopback are in the collectors' sockets by now; let them read these.
        stop::sleep(Duration::from_millis(500))?;
        Ok(Left { agent, table: self.table.stop()?, lines: self.lines.stop()? })
    }
}

fn url(port: u16) -> String {
    format!("udp://127.0.0.1:{port}")
}

/// Whether a UDP socket is bound to the port.
fn listens(namespace: &Namespace, port: u16) -> Result<bool> {
    let table = namespace.inside(|| Ok(std::fs::read_to_string("/proc/thread-self/net/udp")?))?;
    Ok(table.contains(&format!("0100007F:{port:04X} ")))
}

/// `flowxdp status`, in the gateway's namespaces.
fn ask(namespace: &Namespace, program: &Path, arguments: &'static [&'static str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(["status", "--socket", SOCKET]).args(arguments);
    namespace.inside(move || {
        let output = command.output().context("cannot start flowxdp status")?;
        if !output.status.success() {
            bail!("flowxdp status: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    })
}
