//! Removing our pins, by name and kind, and through the descriptor of their folder.

use std::{ffi::OsStr, io::ErrorKind, path::PathBuf};

use anyhow::Context;
use flowxdp_common::names;

use super::{
    Generation, Pins, Place, descriptor,
    kind::{is_map, is_program},
    link,
};

impl Pins {
    /// Removes a generation that is empty.
    ///
    /// # Errors
    ///
    /// A pin cannot be removed.
    pub fn remove(&self, generation: &Generation) -> anyhow::Result<()> {
        self.remove_maps(generation.number).map(drop)
    }

    /// Removes a generation that is not filled.
    pub fn abandon(&self, number: u64) {
        if let Err(error) = self.remove_maps(number) {
            log::warn!("{error:#}");
        }
    }

    /// Removes the maps of a generation, and its folder if maps of ours were all that was in it: an empty folder
    /// may be anybody's. Gives whether there were any.
    pub(super) fn remove_maps(&self, number: u64) -> anyhow::Result<bool> {
        let name = number.to_string();
        let directory = self.directory().join(&name);
        let Ok(folder) = self.folder.sub(&name) else {
            self.stays(directory);
            return Ok(false);
        };
        let names = folder.names().with_context(|| directory.display().to_string())?;
        let is_generation = descriptor(&directory).is_some_and(|descriptor| descriptor.layout != 0);
        // Its shape first: a folder without one is no generation.
        let (first, rest): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name == names::SHAPE);
        let (mut any, mut foreign) = (false, false);
        for name in first.into_iter().chain(rest) {
            let path = directory.join(&name);
            if name.to_str().is_some_and(|name| is_map(&path, name, is_generation) || is_program(&path, name))
            {
                folder.remove(&name).with_context(|| format!("cannot remove {}", path.display()))?;
                any = true;
            } else {
                self.stays(path);
                foreign = true;
            }
        }
        if any && !foreign {
            let removed = self.folder.remove_folder(OsStr::new(&name));
            removed.with_context(|| format!("cannot remove {}", directory.display()))?;
        }
        Ok(any)
    }

    /// Says once that a pin or a folder is not ours.
    pub(super) fn stays(&self, path: PathBuf) {
        let shown = path.display().to_string();
        if self.foreign.borrow_mut().insert(path) {
            log::warn!("{shown} is no pin of flowxdp's, and stays");
        }
    }

    /// Removes the pin of an attachment, where there is one.
    ///
    /// # Errors
    ///
    /// The pin of that name is not ours, or cannot be removed.
    pub fn remove_link(&self, place: Place, index: u32) -> anyhow::Result<()> {
        if self.has_link(place, index)? {
            let removed = self.folder.remove(OsStr::new(&link(place, index)));
            removed.with_context(|| format!("cannot remove {}", self.link(place, index).display()))?;
        }
        Ok(())
    }

    /// Removes all our pins: attachments first, so that no program runs on removed maps. The folder goes too,
    /// if an agent made it and it is empty.
    ///
    /// # Errors
    ///
    /// A pin cannot be removed.
    pub fn clear(&self) -> anyhow::Result<()> {
        if !self.outlive_the_agent() {
            return Ok(());
        }
        for (place, index) in self.links()? {
            self.remove_link(place, index)?;
        }
        for number in self.numbers()? {
            self.remove_maps(number)?;
        }
        // One that is empty at the first start is its operator's.
        let is_ours = self.folder.was_made() || self.had_pins;
        if !is_ours || !self.folder.is_empty()? {
            return Ok(());
        }
        match self.folder.remove_itself() {
            // Made for us in a folder of somebody else's, it stays.
            Err(error) if error.kind() != ErrorKind::PermissionDenied => {
                Err(error).with_context(|| format!("cannot remove {}", self.directory().display()))
            }
            _ => Ok(()),
        }
    }
}
