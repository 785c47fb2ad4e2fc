//! Network namespaces that vanish with the test, however it ends.
//!
//! Each has a helper shell that waits on a pipe from this process and deletes the namespace when the pipe
//! closes: by drop, by a panic, by ^C or by a kill that leaves nobody to clean up.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::{Finished, Program, find};

const LIMIT: Duration = Duration::from_secs(10);

/// A network namespace of this test's own, with its loopback up.
pub struct Netns {
    name: String,
    janitor: Child,
}

impl AsRef<str> for Netns {
    fn as_ref(&self) -> &str {
        self.name()
    }
}

impl Netns {
    /// Makes one; `label` is a short word that `ip netns` shows meanwhile.
    pub fn new(label: &str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("fx-{label}-{}-{number}", std::process::id());
        let ip = find("ip")?;
        Program::at(&ip).args(["netns", "add", &name]).run(LIMIT)?.success().context("making a namespace")?;
        let janitor = Command::new("/bin/sh")
            .args(["-c", r#"trap "" INT TERM HUP; read -r _; "$0" netns del "$1"; rm -rf "/etc/netns/$1""#])
            .arg(&ip)
            .arg(&name)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting the shell that removes a namespace")?;
        let netns = Self { name, janitor };
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does something in a thread of its own, which is in it.
    pub fn inside<T: Send>(&self, what: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let namespace = File::open(Path::new("/run/netns").join(&self.name))?;
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                what()
            });
            inside.join().map_err(|_| anyhow!("what was done in a namespace panicked"))?
        })
    }

    /// Runs `ip` with these words in it.
    pub fn ip(&self, words: &str) -> Result<String> {
        Ok(self.ip_try(words)?.success().with_context(|| format!("ip {words}"))?.stdout)
    }

    /// Runs `ip` with these words in it and gives its result, also a failure.
    pub fn ip_try(&self, words: &str) -> Result<Finished> {
        Program::find("ip")?.args(["-n", &self.name]).args(words.split_whitespace()).run(LIMIT)
    }

    /// Makes a veth pair that says nothing by itself: no IPv6, no addresses, both ends up.
    pub fn veth(&self, one: &str, other: &str) -> Result<()> {
        self.pair(one, other, "")
    }

    /// The same with so many queues in each direction.
    pub fn veth_with_queues(&self, one: &str, other: &str, queues: usize) -> Result<()> {
        self.pair(one, other, &format!("numtxqueues {queues} numrxqueues {queues}"))
    }

    fn pair(&self, one: &str, other: &str, queues: &str) -> Result<()> {
        self.ip(&format!("link add {one} {queues} type veth peer name {other} {queues}"))?;
        for end in [one, other] {
            self.sysctl(&format!("ipv6/conf/{end}/disable_ipv6"), "1")?;
            self.ip(&format!("link set {end} up"))?;
        }
        Ok(())
    }

    /// Writes a file below /proc/sys/net as it is seen in it.
    pub fn sysctl(&self, file: &str, value: &str) -> Result<()> {
        let shell = Program::find("sh")?.args(["-c", r#"echo "$1" > "/proc/sys/net/$0""#, file, value]);
        shell.netns(self).run(LIMIT)?.success()?;
        Ok(())
    }

    /// Gives it a hosts file of its own, or changes that; programs started in it afterwards see every change.
    pub fn hosts(&self, lines: &str) -> Result<()> {
        let directory = Path::new("/etc/netns").join(&self.name);
        std::fs::create_dir_all(&directory)?;
        // Written in place: the mount over /etc/hosts is of the file, not of its name.
        std::fs::write(directory.join("hosts"), lines).context("a hosts file for a namespace")
    }

    /// The index of an interface in it.
    pub fn index(&self, interface: &str) -> Result<u32> {
        let shown = self.ip(&format!("-j link show {interface}"))?;
        let json: serde_json::Value = serde_json::from_str(&shown)?;
        let index = json.pointer("/0/ifindex").and_then(serde_json::Value::as_u64);
        u32::try_from(index.with_context(|| format!("{interface} has no index"))?).context("ifindex")
    }

    /// One of an interface's own counters, such as `rx_packets`.
    pub fn counter(&self, interface: &str, counter: &str) -> Result<u64> {
        let shown = self.ip(&format!("-j -s link show {interface}"))?;
        let json: serde_json::Value = serde_json::from_str(&shown)?;
        let (direction, name) = counter.split_once('_').context("rx_… or tx_…")?;
        json.pointer(&format!("/0/stats64/{direction}/{name}"))
            .and_then(serde_json::Value::as_u64)
            .with_context(|| format!("{interface} has no counter {counter}"))
    }

    /// Id and name of the XDP program on an interface.
    pub fn xdp(&self, interface: &str) -> Result<Option<(u32, String)>> {
        let shown = self.ip(&format!("-d -j link show {interface}"))?;
        let json: serde_json::Value = serde_json::from_str(&shown)?;
        let Some(program) = json.pointer("/0/xdp/prog") else { return Ok(None) };
        let id = program.get("id").and_then(serde_json::Value::as_u64).context("no id")?;
        let name = program.get("name").and_then(serde_json::Value::as_str).unwrap_or_default();
        Ok(Some((u32::try_from(id)?, name.to_owned())))
    }

    /// Packets that an interface handed to the kernel's stack, of those that are for no host here, as all of
    /// [`crate::traffic`] are.
    pub fn arrived(&self, interface: &str) -> Result<u64> {
        let shown = self.ip(&format!("-j -s -s link show {interface}"))?;
        let json: serde_json::Value = serde_json::from_str(&shown)?;
        let received = json.pointer("/0/stats64/rx").context("no counters")?;
        // Left out while it is zero.
        Ok(received.get("otherhost").and_then(serde_json::Value::as_u64).unwrap_or(0))
    }

    /// Fails when anything is left attached to an interface in it.
    pub fn expect_clean(&self, interface: &str) -> Result<()> {
        let shown = self.ip(&format!("-d link show {interface}"))?;
        ensure!(!shown.contains("xdp"), "something is left attached to {interface}:\n{shown}");
        Ok(())
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // Closing the pipe is the order to delete; wait() closes it and waits until that is done.
        let _ = self.janitor.wait();
    }
}
