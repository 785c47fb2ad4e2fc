//! The hook of `explain` on one interface: XDP where that is free, else a classifier behind it.

use std::fmt;

use anyhow::{Context, bail};
use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, ProgramInfo, SchedClassifier, TcAttachType, Xdp, XdpMode,
        tc::{NlOptions, TcAttachOptions},
    },
};
use flowxdp_common::names;

use super::Explain;
use crate::kernel::{
    attach::{self, Mode},
    chain,
    hook::{
        qdisc::{self, Qdisc, Whose},
        root,
    },
    link::Link,
};

/// The owner of the classifier's filter.
const OWN: Whose =
    Whose { filter: names::EXPLAIN_CLASSIFIER, who: "flowxdp explain", at: TcAttachType::Ingress };

/// The hook that the operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Hook {
    /// XDP where no program is attached, else a classifier
    Auto,
    /// XDP, or not at all
    Xdp,
    /// A classifier in a tcx link (Linux 6.6)
    Tcx,
    /// A classifier in a netlink filter of the clsact qdisc
    Clsact,
}

/// The hook on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attached {
    /// XDP in the driver.
    Native,
    /// XDP in the kernel's stack.
    Generic,
    /// A classifier in a tcx link, behind this XDP program, if there is one.
    Tcx(Option<String>),
    /// A classifier in a netlink filter, behind this XDP program, if there is one.
    Clsact(Option<String>),
}

impl fmt::Display for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, other) = match self {
            Self::Native => return f.write_str("by XDP in native mode"),
            Self::Generic => return f.write_str("by XDP in generic mode"),
            Self::Tcx(other) => ("tcx", other),
            Self::Clsact(other) => ("clsact", other),
        };
        write!(f, "by a classifier ({kind})")?;
        if let Some(other) = other {
            write!(
                f,
                " behind the XDP program {other}; packets that this program drops or redirects are unseen"
            )?;
        }
        f.write_str(
            "; GRO may have joined packets, and a VLAN tag beside the packet is shown as if it stood in the frame",
        )
    }
}

impl Explain {
    /// Attaches to one interface.
    ///
    /// # Errors
    ///
    /// One line that names the interface and the refusal.
    pub fn attach(&mut self, link: &Link, choice: Hook, mode: Mode) -> anyhow::Result<Attached> {
        let other = link.xdp.map(chain::title_of);
        match (choice, &other) {
            (Hook::Tcx, _) => return self.classify(link, other, false),
            (Hook::Clsact, _) => return self.classify(link, other, true),
            (Hook::Xdp, Some(other)) => bail!(
                "{}: the XDP program {other} is attached: leave --hook out, and packets are explained behind it",
                link.name
            ),
            (Hook::Auto, Some(_)) => return self.classify_anyhow(link, other),
            (Hook::Auto | Hook::Xdp, None) => {}
        }
        match self.by_xdp(link, mode) {
            Err(error) if choice == Hook::Auto && mode == Mode::Auto => {
                log::warn!("{error:#}: trying a classifier");
                self.classify_anyhow(link, None)
            }
            attached => attached,
        }
    }

    /// XDP in the driver, or else in the kernel's stack; the program for packets in several buffers first where a
    /// packet may need them.
    fn by_xdp(&mut self, link: &Link, mode: Mode) -> anyhow::Result<Attached> {
        let mut refusal = None;
        let modes = [(XdpMode::Driver, Attached::Native), (XdpMode::Skb, Attached::Generic)];
        for (xdp_mode, attached) in modes {
            let is_native = attached == Attached::Native;
            if (is_native && mode == Mode::Generic) || (!is_native && mode == Mode::Native) {
                continue;
            }
            if !is_native && let Some(error) = &refusal {
                log::warn!(
                    "{}: the driver does not take an XDP program ({error}): using generic mode",
                    link.name
                );
            }
            let mut order = [names::EXPLAIN, names::EXPLAIN_FRAGS];
            if !is_native || attach::may_need_buffers(link) {
                order.reverse();
            }
            for name in order {
                let program: &mut Xdp = program(&mut self.ebpf, name)?.try_into()?;
                if program.fd().is_err() {
                    program.load().with_context(|| format!("the kernel does not take the program {name}"))?;
                    verified(name, &program.info()?);
                }
                match program.attach_to_if_index(link.index, xdp_mode) {
                    Ok(_) => return Ok(attached),
                    Err(error) => refusal = Some(root(&error)),
                }
            }
        }
        bail!("{}: cannot attach an XDP program: {}", link.name, refusal.unwrap_or_default())
    }

    /// A tcx link, and before Linux 6.6 a netlink filter.
    fn classify_anyhow(&mut self, link: &Link, other: Option<String>) -> anyhow::Result<Attached> {
        match self.classify(link, other.clone(), false) {
            Err(error) => {
                log::debug!("{error:#}: trying clsact");
                self.classify(link, other, true)
            }
            attached => attached,
        }
    }

    fn classify(&mut self, link: &Link, other: Option<String>, clsact: bool) -> anyhow::Result<Attached> {
        let qdisc = if clsact { Some(Qdisc::cleared(link, OWN)?) } else { None };
        let program: &mut SchedClassifier = program(&mut self.ebpf, names::EXPLAIN_CLASSIFIER)?.try_into()?;
        if program.fd().is_err() {
            program.load().context("the kernel does not take the classifier")?;
            verified(names::EXPLAIN_CLASSIFIER, &program.info()?);
        }
        // The first: a classifier behind one that drops a packet does not see it.
        let options = match clsact {
            true => TcAttachOptions::Netlink(NlOptions { priority: 1, ..NlOptions::default() }),
            false => TcAttachOptions::TcxOrder(LinkOrder::first()),
        };
        let attached = program.attach_with_options(&link.name, TcAttachType::Ingress, options);
        self.qdiscs.extend(qdisc);
        attached.map_err(|error| {
            anyhow::anyhow!("{}: cannot attach a classifier: {}", link.name, root(&error))
        })?;
        Ok(if clsact { Attached::Clsact(other) } else { Attached::Tcx(other) })
    }
}

fn verified(name: &str, info: &ProgramInfo) {
    if let Some(count) = info.verified_instruction_count() {
        log::debug!("program {name}: {count} instructions verified");
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut aya::programs::Program> {
    ebpf.program_mut(name).with_context(|| format!("no program {name} in the object"))
}

/// Unloads the programs, which ends their attachments.
///
/// # Errors
///
/// The kernel's; a program that was not loaded, and an interface or a filter that is gone, are none.
pub(super) fn detach(ebpf: &mut Ebpf) -> anyhow::Result<()> {
    let unloaded = |result: Result<(), ProgramError>| match result {
        Ok(()) | Err(ProgramError::NotLoaded) => Ok(()),
        Err(ProgramError::NetlinkError(error)) if error.raw_os_error().is_some_and(qdisc::is_gone) => Ok(()),
        Err(error) => Err(error),
    };
    for name in [names::EXPLAIN, names::EXPLAIN_FRAGS] {
        let program: &mut Xdp = program(ebpf, name)?.try_into()?;
        unloaded(program.unload()).context("cannot detach the XDP program")?;
    }
    let program: &mut SchedClassifier = program(ebpf, names::EXPLAIN_CLASSIFIER)?.try_into()?;
    unloaded(program.unload()).context("cannot detach the classifier")
}
