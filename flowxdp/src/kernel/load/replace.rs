//! A new table in the place of the one that is filled, in a running agent.
//!
//! The loader makes maps and programs of the next generation and pins them; this process opens them, which
//! asks for no capability, and swaps the program behind each attachment (BPF_LINK_UPDATE).

use std::{fs, path::Path, rc::Rc};

use anyhow::Context;
use aya::programs::{
    ProgramError,
    xdp::{XdpLink, XdpLinkId},
};

use super::{
    Loaded, OBJECT, Pinned, TableSize, links, made,
    source::{CLASSIFIERS, PROGRAMS, Source},
};
use crate::kernel::{
    chain,
    pin::{self, Generation, Pins, Place},
    preflight,
};

/// Makes the next generation for another process: its maps where there is none pinned in `directory`, and its
/// programs, pinned beside them.
///
/// # Errors
///
/// The kernel refuses a map or a pin, or takes neither program.
pub fn make(size: &TableSize, pinned: &Pinned) -> anyhow::Result<()> {
    let mut source = made(OBJECT, size, Some(pinned)).map_err(|error| preflight::refused(error, size))?;
    let mut refusal = None;
    let mut count = 0_usize;
    for name in PROGRAMS {
        match source.program(name) {
            Ok(program) => {
                let pinned = program.pin(pinned.directory.join(name));
                pinned.with_context(|| format!("cannot pin the program {name}"))?;
                count += 1;
            }
            Err(error) => refusal = Some(error),
        }
    }
    if let Some(error) = refusal.filter(|_| count == 0) {
        return Err(error);
    }
    for name in CLASSIFIERS {
        let program = source.classifier(name)?;
        let pinned = program.pin(pinned.directory.join(name));
        pinned.with_context(|| format!("cannot pin the program {name}"))?;
    }
    Ok(())
}

impl Loaded {
    /// Opens a generation that the loader made in `directory`, and removes the pins that only this needed.
    ///
    /// # Errors
    ///
    /// A pin is missing, or the kernel does not map a table.
    pub fn open(size: &TableSize, directory: &Path, pins: &Rc<Pins>) -> anyhow::Result<Self> {
        let opened =
            Source::pins(directory).and_then(|source| Self::new(size, source, Some(Rc::clone(pins))));
        let opened = opened.map_err(|error| preflight::refused(error, size))?;
        for name in PROGRAMS.iter().chain(&CLASSIFIERS).chain(&chain::MAPS).chain(&pin::HANDED) {
            let path = directory.join(name);
            if path.exists() {
                fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(opened)
    }

    /// Puts the programs and tables of `next` in the place of these, without a packet between them that is not
    /// metered. Counters, ring buffer and spill table are shared by both; cold slots of the spill table are copied from
    /// `last`, the generation of these, where the groups of fields differ. Events tell their groups.
    ///
    /// Afterwards the table of before is written by no program once a grace period has passed. An interface
    /// whose program the kernel does not exchange is detached; its next look attaches it anew.
    ///
    /// # Errors
    ///
    /// A pin of such an interface cannot be removed, or the cold slots not be mapped.
    pub fn replace_table(&mut self, mut next: Self, last: &Generation) -> anyhow::Result<()> {
        let mut result = next.spill.take_cold(last);
        let groups = next.size.groups.with_cold_fields();
        if groups != self.size.groups.with_cold_fields() {
            self.overflow.read_cold(groups);
            std::mem::swap(&mut self.spill, &mut next.spill);
        }
        for (name, index, id) in std::mem::take(&mut self.links) {
            let link = self.source.program(name)?.take_link(id)?;
            match next.swap(name, link) {
                Ok(id) => next.links.push((name, index, id)),
                Err(error) => {
                    if !error.downcast_ref::<ProgramError>().is_some_and(links::is_without_interface) {
                        log::warn!("interface {index}: {error:#}; it is attached anew");
                    }
                    result = crate::guard::first(result, self.unpin(Place::Xdp, index));
                }
            }
        }
        result = crate::guard::first(result, self.swap_classifiers(&mut next));
        if let Some(chain) = &mut self.chain {
            chain.exchange_ours(|name| {
                let program = next.source.program(name)?;
                Ok((program.info()?, program.fd()?.try_clone()?))
            });
        }
        self.links = next.links;
        self.classifiers = next.classifiers;
        self.source = next.source;
        self.size = next.size;
        self.flows_v4 = next.flows_v4;
        self.flows_v6 = next.flows_v6;
        self.cpus = next.cpus;
        self.says = next.says;
        self.copies = next.copies;
        result
    }

    fn swap(&mut self, name: &'static str, link: XdpLink) -> anyhow::Result<XdpLinkId> {
        Ok(self.source.program(name)?.attach_to_link(link)?)
    }

    /// Has the maps by which others are called pinned in the folder of the next generation, so that its
    /// programs call the same ones.
    ///
    /// # Errors
    ///
    /// The kernel refuses a pin.
    pub fn share_chain(&self, directory: &Path) -> anyhow::Result<()> {
        self.chain.as_ref().map_or(Ok(()), |chain| chain.share(directory))
    }
}
