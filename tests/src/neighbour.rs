//! Another's XDP program (`lab_verdict`), which drops UDP over IPv4, bounces IPv6, passes the rest, and
//! counts each. Attached as others attach theirs: on the interface itself, or by a link.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use aya::maps::PerCpuArray;
use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, programs::xdp::XdpLinkId};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::bpffs::Bpffs;
use crate::netns::Netns;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lab_verdict"));

/// How it is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// On the interface itself, as `ip link set` does.
    Interface,
    /// By a link, which ends with its owner.
    Link,
}

/// The program, loaded; its attachments by a link end with this value.
pub struct Neighbour {
    ebpf: Ebpf,
    program: &'static str,
    links: Vec<XdpLinkId>,
}

/// The verdicts that it gave so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// UDP over IPv4.
    pub dropped: u64,
    /// Neither of the others.
    pub passed: u64,
    /// IPv6.
    pub bounced: u64,
}

impl Neighbour {
    /// Loads it.
    pub fn new() -> Result<Self> {
        Self::load("lab_verdict")
    }

    /// Loads the same for packets in several buffers too.
    pub fn big() -> Result<Self> {
        Self::load("lab_verdict_big")
    }

    /// Loads one that passes every packet.
    pub fn without_opinion() -> Result<Self> {
        Self::load("lab_pass")
    }

    fn load(program: &'static str) -> Result<Self> {
        let mut ebpf = Ebpf::load(OBJECT)?;
        xdp(&mut ebpf, program)?.load()?;
        Ok(Self { ebpf, program, links: Vec::new() })
    }

    /// Attaches it.
    pub fn attach(
        &mut self,
        netns: &Netns,
        interface: &str,
        how: How,
        native: bool,
        bpffs: &Bpffs,
    ) -> Result<()> {
        match how {
            How::Link => self.link(netns, interface, native),
            How::Interface => self.set(netns, interface, native, bpffs),
        }
    }

    fn link(&mut self, netns: &Netns, interface: &str, native: bool) -> Result<()> {
        let (index, mode) = (netns.index(interface)?, if native { XdpMode::Driver } else { XdpMode::Skb });
        let namespace = File::open(Path::new("/run/netns").join(netns.name()))?;
        let program = xdp(&mut self.ebpf, self.program)?;
        // A thread of its own moves into the namespace, and ends there.
        let link = std::thread::scope(|scope| {
            let attaching = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                anyhow::Ok(program.attach_to_if_index(index, mode)?)
            });
            attaching.join().map_err(|_| anyhow!("attaching panicked"))?
        })?;
        self.links.push(link);
        Ok(())
    }

    /// In place of the attached program.
    fn set(&mut self, netns: &Netns, interface: &str, native: bool, bpffs: &Bpffs) -> Result<()> {
        let pin = bpffs.join("neighbour");
        xdp(&mut self.ebpf, self.program)?.pin(&pin)?;
        let mode = if native { "xdpdrv" } else { "xdpgeneric" };
        let set = netns.ip(&format!("-force link set dev {interface} {mode} pinned {}", pin.display()));
        std::fs::remove_file(pin)?;
        set.map(drop)
    }

    /// The program's id in the kernel.
    pub fn id(&mut self) -> Result<u32> {
        Ok(xdp(&mut self.ebpf, self.program)?.info()?.id())
    }

    /// The verdicts that it gave so far.
    pub fn verdicts(&self) -> Result<Verdicts> {
        let map = self.ebpf.map("VERDICTS").context("no map VERDICTS")?;
        let map = PerCpuArray::<_, u64>::try_from(map)?;
        let sum = |verdict| anyhow::Ok(map.get(&verdict, 0)?.iter().sum());
        Ok(Verdicts { dropped: sum(1)?, passed: sum(2)?, bounced: sum(3)? })
    }
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    Ok(ebpf.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?)
}
