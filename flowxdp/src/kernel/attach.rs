//! Attaching a program to interfaces, and how many partitions their packets need.

use std::os::fd::AsFd as _;

use anyhow::{Context, bail};
use aya::programs::{ProgramError, XdpMode, loaded_programs};
use flowxdp_common::names;

use super::{
    chain, cpus,
    link::{self, Link},
    load::Loaded,
    pin::Place,
    refusal,
};

/// How the operator wants the program attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// In the driver where it can, else in the kernel's stack, with a warning.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the kernel's stack: slower, works everywhere.
    Generic,
}

/// The outcome of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// In the driver.
    Native,
    /// In the kernel's stack.
    Generic,
    /// A classifier in a tcx link (Linux 6.6).
    Tcx,
    /// A classifier in a netlink filter.
    Clsact,
}

impl Attached {
    /// The hook in one word, as `status` has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }

    /// Whether the hook is an XDP program's.
    pub const fn is_xdp(self) -> bool {
        matches!(self, Self::Native | Self::Generic)
    }
}

/// Above this MTU a packet may need several buffers, octets: a page, less the kernel's headroom and tailroom.
const ONE_BUFFER: u32 = 3000;

/// Whether a packet of an interface may need several buffers in the driver.
pub(super) const fn may_need_buffers(link: &Link) -> bool {
    link.mtu > ONE_BUFFER
}

/// Which of the programs is tried first, and which where the kernel or the driver refuses that one.
const ONE_BUFFER_FIRST: [&str; 2] = [names::PROGRAM, names::PROGRAM_FRAGS];
const SEVERAL_BUFFERS_FIRST: [&str; 2] = [names::PROGRAM_FRAGS, names::PROGRAM];

/// Partitions for packets of `links`: CPUs that can receive, as far as it is known before attaching.
///
/// # Errors
///
/// The number of CPUs cannot be read.
pub fn partitions(links: &[Link], mode: Mode) -> anyhow::Result<u32> {
    let online = cpus::online()?;
    let by_queue = |link: &Link| {
        link.kind.is_none() && link.has_ethernet_frames() && link.name != "lo" && !threaded(&link.name)
    };
    if mode == Mode::Generic || !links.iter().all(by_queue) {
        return Ok(online);
    }
    let queues = links.iter().fold(0_u32, |sum, link| sum.saturating_add(link.rx_queues.max(1)));
    Ok(online.min(queues))
}

/// Whether the interface's queues are served by threads, which run on any CPU.
fn threaded(name: &str) -> bool {
    std::fs::read_to_string(format!("/sys/class/net/{name}/threaded")).is_ok_and(|text| text.trim() != "0")
}

/// Attaches to one interface; the attachment ends with the process.
///
/// # Errors
///
/// One line that names the interface, the obstacle and the remedy.
pub fn attach(loaded: &mut Loaded, link: &Link, mode: Mode) -> anyhow::Result<Attached> {
    if !link.has_ethernet_frames() {
        let is_filter = loaded.classify(names::INGRESS_IP, link, Place::Ingress)?;
        return Ok(if is_filter { Attached::Clsact } else { Attached::Tcx });
    }
    let order = if link.generic { SEVERAL_BUFFERS_FIRST } else { ONE_BUFFER_FIRST };
    if loaded
        .take_over(link.index, order)
        .with_context(|| format!("{}: cannot go on with its attachment", link.name))?
    {
        return Ok(if link.generic { Attached::Generic } else { Attached::Native });
    }
    if loaded.chain.is_some() {
        if let Some(attached) = chain::attach(loaded, link, mode)? {
            return Ok(attached);
        }
    } else if let Some(id) = link.xdp {
        bail!("{}", occupied(link, id));
    }
    if mode != Mode::Generic {
        let order = if may_need_buffers(link) { SEVERAL_BUFFERS_FIRST } else { ONE_BUFFER_FIRST };
        let mut refusal = None;
        for program in order {
            match loaded.attach(program, link.index, XdpMode::Driver)? {
                Ok(()) => return Ok(Attached::Native),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        if let Some(above) = refusal.as_ref().and_then(errno).and_then(|errno| above(link, errno)) {
            bail!("{}: {above}", link.name);
        }
        let refusal = why(loaded, link, order, refusal.as_ref());
        if mode == Mode::Native {
            bail!(
                "{}: the driver does not take an XDP program ({refusal}): use --mode generic or auto",
                link.name
            );
        }
        log::warn!(
            "{}: the driver does not take an XDP program ({refusal}): metering in generic mode, which is slower",
            link.name
        );
    }
    attach_generic(loaded, link)?;
    Ok(Attached::Generic)
}

/// Attaches in the kernel's stack, where every packet may be large: GRO and a veth's sender join segments.
///
/// For a program that takes one buffer the kernel copies such a packet into one, and drops it where no memory
/// of that size is free in one piece. For one that takes several it leaves it in pages (Linux 6.9).
fn attach_generic(loaded: &mut Loaded, link: &Link) -> anyhow::Result<()> {
    let Err(frags) = loaded.attach(names::PROGRAM_FRAGS, link.index, XdpMode::Skb)? else { return Ok(()) };
    loaded
        .attach(names::PROGRAM, link.index, XdpMode::Skb)?
        .map_err(|error| anyhow::anyhow!("{}: cannot attach: {}", link.name, explain(link, Some(&error))))?;
    log::warn!(
        "{}: the kernel takes no program for packets in several buffers ({}): it copies each large packet into \
         one buffer, and drops it where memory is short; `ethtool -K {} gro off` makes fewer of them",
        link.name,
        explain(link, Some(&frags)),
        link.name
    );
    Ok(())
}

/// Whether packets of an interface may need more buffers than its program takes, which was attached when the
/// MTU was smaller.
pub fn is_outgrown(loaded: &Loaded, link: &Link) -> bool {
    let is_beside = loaded.chain.as_ref().is_some_and(|chain| chain.program(link.index).is_some());
    may_need_buffers(link) && !is_beside && loaded.attached(link.index) == Some(names::PROGRAM)
}

/// Replaces the program on an interface by the one for packets in several buffers.
///
/// # Errors
///
/// The kernel refused. Nothing is attached then.
pub fn outgrow(loaded: &mut Loaded, link: &Link) -> anyhow::Result<()> {
    loaded
        .replace(names::PROGRAM_FRAGS, link.index)?
        .map_err(|error| anyhow::anyhow!("{}", explain(link, Some(&error))))
}

/// The refusal where another program is attached already.
fn occupied(link: &Link, id: u32) -> String {
    if chain::is_ours(id) {
        return format!(
            "{0}: flowxdp's own program (id {id}) is attached, of an agent that runs or was killed: stop that \
             agent, or take away what a killed one left with `flowxdp detach --interface {0}`",
            link.name
        );
    }
    // The kernel does not name it to an agent without capabilities.
    let name = loaded_programs()
        .flatten()
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(|name| format!(", {name}")))
        .unwrap_or_default();
    format!(
        "{0}: another XDP program{name} (id {id}) is attached: run beside it with --chain, stop what attached \
         it, or take it away with `ip link set dev {0} xdp off`",
        link.name
    )
}

/// The driver's own words and the remedy, or else the kernel's.
fn why(loaded: &mut Loaded, link: &Link, order: [&str; 2], error: Option<&ProgramError>) -> String {
    let said = order.into_iter().find_map(|program| {
        let program = loaded.program(program).ok()?;
        refusal::words(link, program.fd().ok()?.as_fd())
    });
    match said {
        Some(words) => match refusal::remedy(&link.name, &words) {
            Some(remedy) => format!("{words}; {remedy}"),
            None => words,
        },
        None => explain(link, error),
    }
}

/// The kernel's refusal in words, without the names of system calls.
fn explain(link: &Link, error: Option<&ProgramError>) -> String {
    let Some(error) = error else { return "no reason given".to_owned() };
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let errno = errno(error);
    if let Some(above) = errno.and_then(|errno| above(link, errno)) {
        return above;
    }
    match errno {
        Some(libc::EOPNOTSUPP) => "it has no native XDP".to_owned(),
        Some(libc::EBUSY | libc::EEXIST) => "another XDP program is attached".to_owned(),
        Some(libc::ENODEV) => format!("{} is gone", link.name),
        _ => cause.to_string(),
    }
}

fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        _ => None,
    }
}

/// The kernel takes no program below an interface that has one: names that interface where a refusal with
/// this number comes of it.
fn above(link: &Link, errno: i32) -> Option<String> {
    if ![libc::EBUSY, libc::EEXIST].contains(&errno) {
        return None;
    }
    let all = link::all().ok()?;
    let (upper, id) = all.iter().filter(|it| it.is_upon(link)).find_map(|it| Some((&it.name, it.xdp?)))?;
    let whose = if chain::is_ours(id) { "flowxdp's own" } else { "an" };
    Some(format!(
        "{upper}, which stands above it, has {whose} XDP program (id {id}), and the kernel takes none below: on \
         both each packet would count twice; leave {} out, or take that program away",
        link.name
    ))
}
