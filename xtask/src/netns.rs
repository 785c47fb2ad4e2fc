//! Network namespaces without names: a thread each, and the kernel forgets them with the last user.
//!
//! Nothing is written where another program would find it. A namespace has no entry under
//! /run/netns, its interfaces are made inside it, and /run and /sys are its own, so that nothing is
//! left behind however xtask ends, and any number of demos run side by side.

use std::process::Command;
use std::sync::mpsc::{Sender, channel};

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;

use crate::process::Process;
use crate::{shell, stop};

type Job = Box<dyn FnOnce() + Send>;

/// A namespace: jobs are done by the thread that is inside it.
pub(crate) struct Namespace {
    name: &'static str,
    jobs: Sender<Job>,
    thread: i32,
}

/// The packets that an interface has received, as the kernel counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) packets: u64,
    pub(crate) octets: u64,
}

impl Namespace {
    /// A new namespace, with loopback up.
    pub(crate) fn new(name: &'static str) -> Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let (entered, inside) = channel();
        let thread = move || {
            let result = enter().map(|()| rustix::thread::gettid().as_raw_nonzero().get());
            if entered.send(result).is_ok() {
                queue.into_iter().for_each(|job| job());
            }
        };
        std::thread::Builder::new().name(name.into()).spawn(thread).context("cannot start a thread")?;
        let thread =
            stop::receive(&inside)?.with_context(|| format!("cannot make the namespace of the {name}"))?;
        let namespace = Self { name, jobs, thread };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Does something inside and waits for it. Sockets that are opened there stay there.
    pub(crate) fn inside<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T> + Send + 'static,
    {
        let (done, answer) = channel();
        let job = Box::new(move || {
            // No loop waits any more once a signal came.
            let _ = done.send(job());
        });
        if self.jobs.send(job).is_err() {
            bail!("the thread of the {} has ended", self.name);
        }
        stop::receive(&answer)?.with_context(|| format!("on the {}", self.name))
    }

    /// Starts a program inside.
    pub(crate) fn start(&self, command: Command) -> Result<Process> {
        self.inside(move || Process::start(command))
    }

    /// `ip ARGUMENTS`, inside.
    pub(crate) fn ip(&self, arguments: &str) -> Result<()> {
        let mut command = Command::new("ip");
        command.args(arguments.split_whitespace());
        self.inside(move || shell::quietly(&mut command))
    }

    /// Sets a switch of the namespace's own kernel settings, named as sysctl names it with slashes.
    pub(crate) fn set(&self, key: &str, value: &'static str) -> Result<()> {
        let file = format!("/proc/sys/net/{key}");
        self.inside(move || std::fs::write(&file, value).with_context(|| format!("cannot write {file}")))
    }

    /// A cable from an interface here to one in another namespace, both down.
    pub(crate) fn cable(&self, here: &str, other: &Self, there: &str) -> Result<()> {
        self.ip(&format!("link add {here} type veth peer name {there} netns {}", other.thread))
    }

    /// The kernel's own counters of an interface.
    pub(crate) fn received(&self, interface: &str) -> Result<Received> {
        // Not /sys, nor /proc/net: the one shows where it was mounted, the other the first thread.
        let table = self.inside(|| Ok(std::fs::read_to_string("/proc/thread-self/net/dev")?))?;
        let row = table.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'));
        let mut fields = row.unwrap_or_default().split_whitespace().map_while(|field| field.parse().ok());
        match (fields.next(), fields.next()) {
            (Some(octets), Some(packets)) => Ok(Received { packets, octets }),
            _ => bail!("the kernel shows no counters of {interface}"),
        }
    }
}

/// Moves the calling thread into new network and mount namespaces.
fn enter() -> Result<()> {
    // SAFETY: only CLONE_FILES would be unsafe, which would part this thread from descriptors that
    // another one opened.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }
        .context("unshare")?;
    let alone = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", alone).context("cannot part from the machine's mounts")?;
    // As `ip netns exec` does it: /sys/class/net shows the interfaces of this namespace.
    mount("none", "/sys", "sysfs", MountFlags::empty(), None).context("cannot mount /sys")?;
    mount("none", "/run", "tmpfs", MountFlags::empty(), None).context("cannot mount /run")
}
