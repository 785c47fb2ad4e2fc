//! Attaches beside another program, and follows the changes of that program.

use anyhow::{Context, anyhow, bail, ensure};
use flowxdp_common::counter::ROWS;
use flowxdp_core::clock::SECOND;

use super::{
    Beside, Chain, Ended, KINDS, Keep, Program,
    found::{Found, Orphan},
    others,
    place::{self, Refusal, Running},
};
use crate::{
    clock,
    kernel::{
        attach::{Attached, Mode},
        link::Link,
        load::Loaded,
    },
};

/// Changes of the other program that are followed while ours replaces it.
const TRIES: u32 = 5;

/// The time for an ended program to start again. Then ours takes the interface alone, and the kernel refuses the
/// other one.
const COMES_BACK: u64 = 10 * SECOND;

/// The reason why our program did not come beside the other one.
enum Trouble {
    /// The other program was replaced meanwhile: look again.
    Changed,
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

fn chain(loaded: &mut Loaded) -> anyhow::Result<&mut Chain> {
    loaded.chain.as_mut().context("the program was loaded without --chain")
}

/// Attaches our program beside another one on an interface; none if the interface is free.
///
/// # Errors
///
/// One line that names the interface, the obstacle and the remedy.
pub fn attach(loaded: &mut Loaded, link: &Link, mode: Mode) -> anyhow::Result<Option<Attached>> {
    for _ in 0..TRIES {
        match try_attach(loaded, link, mode) {
            Err(Trouble::Changed) => {}
            Err(Trouble::Other(error)) => return Err(error.context(link.name.clone())),
            Ok(attached) => return Ok(attached),
        }
    }
    bail!("{}: its XDP program changes all the time: find out who does that, and stop it", link.name)
}

fn try_attach(loaded: &mut Loaded, link: &Link, mode: Mode) -> Result<Option<Attached>, Trouble> {
    let Some(running) = place::running(link.index)? else {
        chain(loaded)?.is_awaited(link)?;
        return Ok(None);
    };
    let pins = chain(loaded)?.pins.clone();
    let Some(Found { front, orphan }) = Found::at(link.index, running, &pins)? else {
        return Err(Trouble::Changed);
    };
    let held = Program::hold(&front)?;
    let (other, left) = match orphan {
        None => (Program::hold(&front)?, None),
        Some(Orphan { other: Some(other), left }) => (Program::hold(&other)?, left),
        Some(Orphan { other: None, .. }) => return take_away(link, running, &held).map(|()| None),
    };
    check_mode(link, running, mode, &other)?;
    let entry = chain(loaded)?.free_entry()?;
    let (kind, ours) = choose(loaded, entry, &other)?;
    let chain = chain(loaded)?;
    chain.places()?.insert(link.index, entry, 0).context("cannot note the other program")?;
    let own = chain.kinds.get_mut(kind).context("no such kind")?;
    // This run may continue with the array of an earlier one.
    let left = match left {
        Some(left) if left.array.id() == own.id => {
            own.keep = Some(left.keep);
            None
        }
        left => left,
    };
    if own.keep.is_none() {
        own.keep = Some(Keep::new(&pins, &own.array, own.id)?);
    }
    let place = match place::exchange(link.index, running, held.fd(), Some(ours.fd())) {
        Ok(place) => place,
        Err(refusal) => {
            chain.forget(link.index, kind, entry);
            return Err(match refusal {
                Refusal::Changed | Refusal::Gone => Trouble::Changed,
                Refusal::InLink => anyhow!("the kernel says that {} is in a link", held.title).into(),
                Refusal::Other(words) => anyhow!("cannot take the place of {}: {words}", held.title).into(),
            });
        }
    };
    log::info!("{}: metering beside {}, which has the last word", link.name, other.title);
    chain.ended.retain(|ended| ended.index != link.index);
    chain.beside.push(Beside { link: link.clone(), kind, entry, place, ours, other });
    if let Some(left) = left
        && let Err(error) = left.clear(&chain.grace)
    {
        log::warn!("{}: after a killed agent: {error:#}", link.name);
    }
    Ok(Some(if running.native { Attached::Native } else { Attached::Generic }))
}

/// Detaches a program of ours that has no other program.
fn take_away(link: &Link, running: Running, orphan: &Program) -> Result<(), Trouble> {
    match place::exchange(link.index, running, orphan.fd(), None) {
        Ok(_) => {
            log::warn!(
                "{}: took away {}, which a killed agent had left, and nothing of what ran beside it",
                link.name,
                orphan.title
            );
            Ok(())
        }
        Err(Refusal::Changed | Refusal::Gone) => Err(Trouble::Changed),
        Err(Refusal::InLink) => Err(anyhow!(
            "flowxdp's own program {} is attached, by a running agent or by pins: stop that agent, or \
             `flowxdp detach --interface {}`",
            orphan.title,
            link.name
        )
        .into()),
        Err(Refusal::Other(words)) => Err(anyhow!("cannot take {} away: {words}", orphan.title).into()),
    }
}

/// Both programs run in the mode of the first one.
fn check_mode(link: &Link, running: Running, mode: Mode, other: &Program) -> anyhow::Result<()> {
    ensure!(
        running.native || mode != Mode::Native,
        "{} runs in generic mode, and so would both: use --mode auto or generic",
        other.title
    );
    if running.native && mode == Mode::Generic {
        log::warn!("{}: {} runs in native mode, and so do both", link.name, other.title);
    }
    Ok(())
}

/// The program of ours that can call the other one, and calls it from now on.
fn choose(loaded: &mut Loaded, entry: u32, other: &Program) -> anyhow::Result<(usize, Program)> {
    for (at, (name, _)) in KINDS.into_iter().enumerate() {
        let program = loaded.program(name)?;
        let (info, fd) = (program.info()?, program.fd()?.try_clone()?);
        let kind = chain(loaded)?.kinds.get_mut(at).context("no such kind")?;
        if kind.call(entry, other)? {
            return Ok((at, Program { id: info.id(), title: others::title(&info), fd }));
        }
    }
    bail!(
        "the kernel lets no program of ours call {}: it is bound to a device, or was not loaded as one for \
         XDP; load it with libbpf, as `ip link set dev IF xdp obj FILE` does",
        other.title
    )
}

impl Chain {
    /// The lowest free place.
    fn free_entry(&self) -> anyhow::Result<u32> {
        let taken = |entry| self.beside.iter().any(|beside| beside.entry == entry);
        (0..ROWS).find(|entry| !taken(*entry)).context("too many interfaces with another program")
    }

    /// Whether an interface that has, or had, another program has changed.
    pub fn has_changed(&self) -> bool {
        let is_ours = |beside: &Beside| match place::running(beside.link.index) {
            Ok(running) => running.is_some_and(|running| running.program == beside.ours.id),
            // The next look repeats this; the loss of an interface is noticed elsewhere.
            Err(_) => true,
        };
        let is_back = |ended: &Ended| matches!(place::running(ended.index), Ok(Some(_)));
        !self.beside.iter().all(is_ours) || self.ended.iter().any(is_back)
    }

    /// Whether our program has lost its place beside another one; the log says so.
    pub fn is_displaced(&mut self, link: &Link) -> bool {
        let Some(beside) = self.beside.iter().find(|beside| beside.link.index == link.index) else {
            return false;
        };
        let (name, other) = (&link.name, &beside.other.title);
        match link.xdp {
            Some(id) if id == beside.ours.id => return false,
            Some(id) => log::info!("{name}: {} is there now", others::title_of(id)),
            None => {
                log::warn!("{name}: what had attached {other} ended, and the metering there with it");
                self.ended.retain(|ended| ended.index != link.index);
                let since = clock::monotonic();
                self.ended.push(Ended { index: link.index, since, title: other.clone() });
            }
        }
        true
    }

    /// Whether the ended program of a free interface may still come back.
    fn is_awaited(&mut self, link: &Link) -> anyhow::Result<()> {
        let Some(at) = self.ended.iter().position(|ended| ended.index == link.index) else { return Ok(()) };
        if let Some(ended) = self.ended.get(at).filter(|it| clock::monotonic() < it.since + COMES_BACK) {
            bail!("{}: waiting some seconds for {} to come back", link.name, ended.title);
        }
        let ended = self.ended.swap_remove(at);
        log::warn!(
            "{}: metering alone, as {} did not come back: it must start before FlowXDP to run beside it",
            link.name,
            ended.title
        );
        Ok(())
    }
}
