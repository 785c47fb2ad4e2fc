//! The program on an interface: a foreign one, or one of ours that a killed agent left.

use std::path::Path;

use anyhow::{Context, bail};
use aya::{
    maps::{Map, MapData, MapInfo, ProgramArray},
    programs::ProgramInfo,
};
use flowxdp_common::{counter::ROWS, names};

use super::{
    KINDS, Program,
    keep::{self, Keep, Owner},
    others,
    place::{self, Refusal, Running},
};
use crate::kernel::{grace::Grace, link::Link};

/// The program on an interface.
pub(super) struct Found {
    /// The attached program.
    pub(super) front: ProgramInfo,
    /// The program is ours, and its agent is gone.
    pub(super) orphan: Option<Orphan>,
}

/// A program of ours without an agent.
pub(super) struct Orphan {
    /// The program beside which it runs.
    pub(super) other: Option<ProgramInfo>,
    /// The array that names the other program.
    pub(super) left: Option<Left>,
}

/// An array that an agent left filled.
pub(super) struct Left {
    /// The array.
    pub(super) array: MapInfo,
    entry: u32,
    /// Its pin.
    pub(super) keep: Keep,
}

/// The kind of ours that a program is, if any.
fn kind(program: &ProgramInfo) -> Option<&'static str> {
    let name = program.name_as_str()?;
    let (_, array) = KINDS.iter().find(|(its, _)| *its == name)?;
    others::map_of(program, names::FLOWS_V4).map(|_| *array)
}

/// Whether a program is one of ours, of any agent.
pub fn is_ours(program: u32) -> bool {
    others::program(program).is_some_and(|program| kind(&program).is_some())
}

/// The same, where a program that cannot be asked for may be one.
pub fn may_be_ours(program: u32) -> bool {
    others::program(program).is_none_or(|program| kind(&program).is_some())
}

impl Found {
    /// The program on the interface; none if the program has changed since.
    ///
    /// # Errors
    ///
    /// The program is ours, and its agent runs, or its pins are in another folder.
    pub(super) fn at(index: u32, running: Running, pins: &Path) -> anyhow::Result<Option<Self>> {
        let Some(front) = others::program(running.program) else { return Ok(None) };
        let Some(array) = kind(&front) else { return Ok(Some(Self { front, orphan: None })) };
        let array = others::map_of(&front, array);
        let entry = others::map_of(&front, names::BESIDE)
            .and_then(|places| others::number(&places, index).transpose())
            .transpose()
            .context("cannot read beside what an earlier agent runs")?;
        let Some((array, entry)) = array.zip(entry) else {
            return Ok(Some(Self { front, orphan: Some(Orphan { other: None, left: None }) }));
        };
        let other = others::number(&array, entry).context("cannot read a killed agent's array")?;
        let shown = pins.display();
        let left = match keep::owner(pins, array.id()).with_context(|| format!("cannot look into {shown}"))? {
            Owner::Gone(keep) => Some(Left { array, entry, keep }),
            Owner::Runs => bail!("a running flowxdp agent meters it: stop that one first"),
            Owner::Unknown if other.is_some() => bail!(
                "flowxdp's own program {} is attached, and {shown} does not have its pins: stop its agent, \
                 or name the --pin folder of that one",
                others::title(&front)
            ),
            Owner::Unknown => None,
        };
        let other = other.and_then(others::program);
        Ok(Some(Self { front, orphan: Some(Orphan { other, left }) }))
    }
}

impl Left {
    /// Removes the program from the array, and the array's pin when that was the last program.
    ///
    /// # Errors
    ///
    /// The kernel's; the other program runs all the same.
    pub(super) fn clear(self, grace: &Grace) -> anyhow::Result<()> {
        // A packet may still be on its way from one program to the other.
        grace.wait()?;
        let mut array = Map::ProgramArray(MapData::from_id(self.array.id())?);
        ProgramArray::try_from(&mut array)?.clear_index(&self.entry)?;
        for entry in 0..ROWS {
            if others::number(&self.array, entry)?.is_some() {
                return Ok(());
            }
        }
        self.keep.remove().context("cannot remove a killed agent's pins")
    }
}

/// The result of [`release`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// The interface has no XDP program.
    Nothing,
    /// The interface has a program that is not ours; its name.
    NotOurs(String),
    /// Our program is detached, and there was no other one.
    Alone,
    /// Our program is detached, and the other one is back; its name.
    PutBack(String),
    /// Our program is attached by a link: of a running agent, or pinned.
    InLink,
}

/// Detaches a program of ours that a killed agent left on an interface, and puts the other one back.
///
/// # Errors
///
/// One line that names the obstacle and the remedy.
pub fn release(link: &Link, pins: &Path) -> anyhow::Result<Released> {
    let name = &link.name;
    loop {
        let Some(running) = place::running(link.index)? else { return Ok(Released::Nothing) };
        let Some(Found { front, orphan }) =
            Found::at(link.index, running, pins).with_context(|| name.clone())?
        else {
            bail!("{name}: cannot look at its XDP program: run as root (sudo)");
        };
        let Some(orphan) = orphan else { return Ok(Released::NotOurs(others::title(&front))) };
        let front = Program::hold(&front)?;
        let other = orphan.other.as_ref().map(Program::hold).transpose()?;
        match place::exchange(link.index, running, front.fd(), other.as_ref().map(Program::fd)) {
            Ok(_) => {}
            // The program has changed: look again.
            Err(Refusal::Changed) => continue,
            Err(Refusal::Gone) => return Ok(Released::Nothing),
            Err(Refusal::InLink) => return Ok(Released::InLink),
            Err(Refusal::Other(words)) => bail!("{name}: cannot take {} away: {words}", front.title),
        }
        if let Some(left) = orphan.left {
            left.clear(&Grace::new()?)?;
        }
        return Ok(other.map_or(Released::Alone, |other| Released::PutBack(other.title)));
    }
}
