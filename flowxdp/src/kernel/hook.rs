//! Classifiers on interfaces: in a tcx link, and before Linux 6.6 in a netlink filter of the clsact qdisc.
//!
//! Ours stands first, as a classifier that drops a packet hides it from those behind; other classifiers stay. A tcx link
//! ends with its last descriptor or pin; a netlink filter outlives its process.

pub(super) mod qdisc;

use anyhow::{Context, bail};
use aya::programs::{
    LinkOrder, ProgramError, SchedClassifier, TcAttachType,
    links::{FdLink, Link as _, PinnedLink},
    tc::{NlOptions, SchedClassifierLink, TcAttachOptions},
};
use flowxdp_common::names;

use self::qdisc::{Qdisc, Whose};
use super::{
    chain,
    link::Link,
    load::CLASSIFIERS,
    pin::{Pins, Place},
};

/// A classifier on an interface.
pub struct Classifier {
    program: &'static str,
    index: u32,
    place: Place,
    /// The way it is attached; `None` once it is left to a later agent.
    link: Option<SchedClassifierLink>,
    /// Of a netlink filter.
    qdisc: Option<Qdisc>,
}

impl Classifier {
    /// Attaches a loaded program by a tcx link, pinned if pins outlive the agent, or else by a netlink filter.
    ///
    /// # Errors
    ///
    /// One line that names the interface and the obstacle.
    pub(super) fn attach(
        loaded: &mut SchedClassifier,
        program: &'static str,
        link: &Link,
        place: Place,
        pins: Option<&Pins>,
    ) -> anyhow::Result<Self> {
        refuse_second(link, place)?;
        let name = &link.name;
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        match loaded.attach_with_options(name, attach_type(place), options) {
            Ok(id) => {
                let mut attached = loaded.take_link(id)?;
                if let Some(pins) = pins.filter(|pins| pins.outlive_the_agent()) {
                    let pinned = FdLink::try_from(attached)?.pin(pins.link(place, link.index));
                    attached = FdLink::from(pinned.context("cannot pin the attachment")?).try_into()?;
                }
                Ok(Self { program, index: link.index, place, link: Some(attached), qdisc: None })
            }
            Err(error) if errno(&error) == Some(libc::EINVAL) => Self::filter(loaded, program, link, place),
            Err(error) => bail!("{name}: cannot attach a classifier: {}", root(&error)),
        }
    }

    fn filter(
        loaded: &mut SchedClassifier,
        program: &'static str,
        link: &Link,
        place: Place,
    ) -> anyhow::Result<Self> {
        let name = &link.name;
        let whose = Whose { filter: program, who: "flowxdp agent", at: attach_type(place) };
        let qdisc = Qdisc::clsact(link, whose)?;
        let left = qdisc.filter().with_context(|| format!("{name}: cannot list its filters"))?;
        let attached = match left {
            Some((priority, handle)) => {
                let left = SchedClassifierLink::attached(name, whose.at, priority, handle.into(), None)?;
                loaded.attach_to_link(left)
            }
            // Without a priority the kernel takes one in front of all others.
            None => {
                let options = TcAttachOptions::Netlink(NlOptions::default());
                loaded.attach_with_options(name, whose.at, options)
            }
        };
        match attached {
            Ok(id) => Ok(Self {
                program,
                index: link.index,
                place,
                link: Some(loaded.take_link(id)?),
                qdisc: Some(qdisc),
            }),
            Err(error) => {
                qdisc.remove()?;
                bail!("{name}: cannot attach a classifier: {}", root(&error))
            }
        }
    }

    /// Puts the program behind a pinned link; `None` where the link's interface is gone.
    ///
    /// # Errors
    ///
    /// The pin is there and cannot be used.
    pub(super) fn recover(
        loaded: &mut SchedClassifier,
        program: &'static str,
        index: u32,
        place: Place,
        pins: &Pins,
    ) -> anyhow::Result<Option<Self>> {
        let path = pins.link(place, index);
        let pinned = PinnedLink::from_pin(&path).with_context(|| path.display().to_string())?;
        match loaded.attach_to_link(FdLink::from(pinned).try_into()?) {
            Ok(id) => {
                let link = Some(loaded.take_link(id)?);
                Ok(Some(Self { program, index, place, link, qdisc: None }))
            }
            Err(error) if errno(&error) == Some(libc::ENOLINK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts another program of the same name in its place.
    ///
    /// # Errors
    ///
    /// The kernel's; nothing is attached then.
    pub(super) fn exchange(mut self, loaded: &mut SchedClassifier) -> anyhow::Result<Self> {
        let link = self.link.take().context("the classifier was left to another agent")?;
        let id = loaded.attach_to_link(link)?;
        self.link = Some(loaded.take_link(id)?);
        Ok(self)
    }

    /// Detaches it; an interface or a filter that is gone is no error.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub(super) fn detach(mut self) -> anyhow::Result<()> {
        match self.link.take().map(|link| link.detach()) {
            None | Some(Ok(())) => {}
            Some(Err(error)) if errno(&error).is_some_and(qdisc::is_gone) => {}
            Some(Err(error)) => return Err(error).context("cannot detach a classifier"),
        }
        self.qdisc.take().map_or(Ok(()), Qdisc::remove)
    }

    /// Leaves a netlink filter to the next agent.
    pub(super) fn leave(&mut self) {
        if self.qdisc.is_some() {
            std::mem::forget(self.link.take());
        }
    }

    /// ifIndex of the interface.
    pub(super) const fn index(&self) -> u32 {
        self.index
    }

    /// Where on the interface.
    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// The name of the program.
    pub(super) const fn program(&self) -> &'static str {
        self.program
    }

    /// Whether it is a netlink filter, which an administrator may remove.
    pub(super) const fn is_filter(&self) -> bool {
        self.qdisc.is_some()
    }

    /// Whether a netlink filter is still there; a link always is.
    pub(super) fn is_there(&self) -> bool {
        // A kernel that does not answer says nothing about the filter.
        self.qdisc.as_ref().is_none_or(|qdisc| qdisc.filter().map_or(true, |found| found.is_some()))
    }
}

const fn attach_type(place: Place) -> TcAttachType {
    match place {
        Place::Ingress | Place::Xdp => TcAttachType::Ingress,
    }
}

/// Whether a program is one of our classifiers, or cannot be asked for.
pub(super) fn may_be_ours(program: u32) -> bool {
    chain::program(program).is_none_or(|program| {
        program.name_as_str().is_some_and(|name| CLASSIFIERS.contains(&name))
            && chain::map_of(&program, names::FLOWS_V4).is_some()
    })
}

/// Refuses an interface that another agent's classifier meters.
fn refuse_second(link: &Link, place: Place) -> anyhow::Result<()> {
    // Without tcx, and to an agent that gave its capabilities up, the kernel lists none.
    let Ok((_, programs)) = SchedClassifier::query_tcx(&link.name, attach_type(place)) else { return Ok(()) };
    let ours = programs.iter().find(|program| {
        program.name_as_str().is_some_and(|name| CLASSIFIERS.contains(&name)) && may_be_ours(program.id())
    });
    match ours {
        Some(program) => bail!(
            "{0}: flowxdp's own classifier (id {1}) is attached, of an agent that runs or was killed: stop that \
             agent, or take away what a killed one left with `flowxdp detach --interface {0}` and its --pin folder",
            link.name,
            program.id()
        ),
        None => Ok(()),
    }
}

/// The result of [`release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// No classifier of ours is there.
    Nothing,
    /// A netlink filter is removed.
    Removed,
    /// A running agent or a pin holds it.
    Held,
}

/// Removes netlink filters that a killed agent left on an interface.
///
/// # Errors
///
/// Netlink's.
pub fn release(link: &Link) -> anyhow::Result<Released> {
    let mut released = Released::Nothing;
    for program in CLASSIFIERS {
        let whose = Whose { filter: program, who: "flowxdp agent", at: attach_type(Place::Ingress) };
        if qdisc::find(link.index, &whose).with_context(|| link.name.clone())?.is_some() {
            let Ok(qdisc) = Qdisc::clsact(link, whose) else { return Ok(Released::Held) };
            qdisc.clear()?;
            qdisc.remove_unused()?;
            released = Released::Removed;
        }
    }
    if released == Released::Nothing && refuse_second(link, Place::Ingress).is_err() {
        return Ok(Released::Held);
    }
    Ok(released)
}

/// The error number of a refusal.
pub(super) fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::NetlinkError(error) => error.raw_os_error(),
        _ => None,
    }
}

/// The kernel's own words at the root of a refusal.
pub(super) fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
