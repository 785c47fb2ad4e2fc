//! Programs of a new table in the place of ours, beside the same others.

use std::path::Path;

use anyhow::Context;
use aya::programs::{ProgramFd, ProgramInfo};

use super::{Chain, KINDS, MAPS, Program, others};

impl Chain {
    /// Pins the maps by which others are called in the folder of another generation.
    ///
    /// # Errors
    ///
    /// The kernel refuses a pin.
    pub fn share(&self, directory: &Path) -> anyhow::Result<()> {
        let [plain, frags] = &self.kinds;
        let [chain, chain_frags, beside] = MAPS.map(|name| directory.join(name));
        let pinned = plain.array.pin(&chain).and_then(|()| frags.array.pin(&chain_frags));
        pinned.and_then(|()| self.places.pin(&beside)).context("cannot pin an array of programs")
    }

    /// Puts new programs of ours, which call the same others, in the place of our programs that run beside them.
    ///
    /// Where the kernel refuses, the other program runs alone again until the next look.
    pub fn exchange_ours(
        &mut self,
        mut program: impl FnMut(&str) -> anyhow::Result<(ProgramInfo, ProgramFd)>,
    ) {
        for mut beside in std::mem::take(&mut self.beside) {
            let new = KINDS.get(beside.kind).context("no such kind").and_then(|(name, _)| program(name));
            let new = new.map(|(info, fd)| Program { id: info.id(), title: others::title(&info), fd });
            let replaced = new.and_then(|new| {
                let replaced = beside.place.replace(beside.ours.fd(), Some(new.fd()));
                replaced.map_err(|refusal| anyhow::anyhow!("{refusal:?}")).map(|()| new)
            });
            match replaced {
                Ok(new) => {
                    beside.ours = new;
                    self.beside.push(beside);
                }
                Err(error) => {
                    log::warn!(
                        "{}: cannot meter into another table: {error:#}; it is attached anew",
                        beside.link.name
                    );
                    beside.put_back();
                    self.forget(beside.link.index, beside.kind, beside.entry);
                }
            }
        }
    }
}
