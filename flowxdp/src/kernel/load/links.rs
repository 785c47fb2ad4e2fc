//! Attachments while the agent runs: one is let go of, or has its program replaced.

use anyhow::Context;
use aya::{maps::MapError, programs::ProgramError};

use super::Loaded;
use crate::{
    guard,
    kernel::{hook::Classifier, pin::Place},
};

/// Whether an attachment is that of an interface which is gone.
pub(super) fn is_without_interface(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(error) if error.io_error.raw_os_error() == Some(libc::ENOLINK))
}

fn is_errno(error: &MapError, errno: i32) -> bool {
    matches!(error, MapError::SyscallError(error) if error.io_error.raw_os_error() == Some(errno))
}

impl Loaded {
    /// The program on an interface, if it is one of ours.
    pub fn attached(&self, index: u32) -> Option<&'static str> {
        let alone = self.links.iter().find(|(_, other, _)| *other == index).map(|(program, _, _)| *program);
        let classifier = || self.classifiers.iter().find(|it| it.index() == index).map(Classifier::program);
        alone.or_else(classifier).or_else(|| self.chain.as_ref()?.program(index))
    }

    /// Puts another of the programs in the place of the one on an interface, without a gap. Where the kernel
    /// refuses (the inner result), there is none afterwards.
    ///
    /// # Errors
    ///
    /// The program cannot be loaded, or a pin not be removed.
    pub fn replace(&mut self, name: &'static str, index: u32) -> anyhow::Result<Result<(), ProgramError>> {
        self.program(name)?;
        let Some(place) = self.links.iter().position(|(_, other, _)| *other == index) else {
            return Ok(Err(ProgramError::NotAttached));
        };
        let (program, _, link) = self.links.swap_remove(place);
        let link = self.program(program)?.take_link(link)?;
        match self.program(name)?.attach_to_link(link) {
            Ok(link) => {
                self.links.push((name, index, link));
                Ok(Ok(()))
            }
            Err(error) => {
                self.unpin(Place::Xdp, index)?;
                Ok(Err(error))
            }
        }
    }

    /// Lets go of every interface, of the others too where one fails; after a grace period no program of ours
    /// runs any more.
    ///
    /// # Errors
    ///
    /// The kernel's; an interface that is gone is none.
    pub fn detach(&mut self) -> anyhow::Result<()> {
        if let Some(chain) = &mut self.chain {
            chain.put_back();
        }
        let mut detached = Ok(());
        let last = |loaded: &Self| {
            let xdp = loaded.links.last().map(|(_, index, _)| *index);
            xdp.or_else(|| loaded.classifiers.last().map(Classifier::index))
        };
        while let Some(index) = last(self) {
            detached = guard::first(detached, self.detach_from(index));
        }
        detached
    }

    /// Lets go of one interface, which may be gone or in another namespace by now.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn detach_from(&mut self, index: u32) -> anyhow::Result<()> {
        if let Some(chain) = &mut self.chain {
            chain.part(index)?;
        }
        let classifiers = self.detach_classifiers(index);
        let Some(place) = self.links.iter().position(|(_, other, _)| *other == index) else {
            return classifiers;
        };
        let unpinned = self.unpin(Place::Xdp, index);
        let (program, _, link) = self.links.swap_remove(place);
        let detached = self.program(program)?.detach(link).context("cannot detach the XDP program");
        guard::first(classifiers, unpinned.and(detached))
    }

    /// Removes the pin of an attachment, where there is one.
    pub(super) fn unpin(&self, place: Place, index: u32) -> anyhow::Result<()> {
        self.pins.as_ref().map_or(Ok(()), |pins| pins.remove_link(place, index))
    }

    /// The rows that ifIndexes have.
    pub fn rows_given(&self) -> Vec<(u32, u32)> {
        self.rows.iter().filter_map(Result::ok).collect()
    }

    /// Counts packets of an ifIndex in a row; false if the kernel's map has no room for it.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn give_row(&mut self, index: u32, row: u32) -> anyhow::Result<bool> {
        match self.rows.insert(index, row, 0) {
            Ok(()) => Ok(true),
            Err(error) if is_errno(&error, libc::E2BIG) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Packets of an interface that has no program any more have no row.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn take_row_back(&mut self, index: u32) -> anyhow::Result<()> {
        match self.rows.remove(&index) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(error) if is_errno(&error, libc::ENOENT) => Ok(()),
            Err(error) => Err(error).context("cannot take back an interface's row"),
        }
    }
}
