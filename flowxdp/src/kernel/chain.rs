//! Runs beside another XDP program: ours counts the packet, then the verdict of the other program holds.
//!
//! An interface has one XDP program. So our program replaces the other one in its [`place`] in one step, tail-calls
//! it through an array of programs, and is replaced by it when the agent ends. After a kill both programs continue:
//! [`keep`] holds the array.

mod beside;
mod exchange;
mod found;
mod keep;
mod others;
mod place;

use std::{
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
};

use anyhow::Context;
use aya::{
    maps::{HashMap, Map, MapData, MapError, ProgramArray},
    programs::{ProgramFd, ProgramInfo},
};
use flowxdp_common::names;

use self::{
    keep::Keep,
    place::{Place, Refusal},
};
use super::{grace::Grace, link::Link};

pub(super) use self::others::{map_of, program, title_of};
pub use self::{
    beside::attach,
    found::{Released, is_ours, may_be_ours, release},
    keep::sweep,
};

/// The default folder of pinned arrays.
pub const PINS: &str = "/sys/fs/bpf/flowxdp";

/// Our programs with the arrays through which they call others: an array takes only programs of the same kind as
/// its caller.
const KINDS: [(&str, &str); 2] = [(names::PROGRAM, names::CHAIN), (names::PROGRAM_FRAGS, names::CHAIN_FRAGS)];

/// The maps by which our programs call others.
pub const MAPS: [&str; 3] = [names::CHAIN, names::CHAIN_FRAGS, names::BESIDE];

/// The other programs beside which our programs run.
pub struct Chain {
    /// The folder of pinned arrays.
    pins: PathBuf,
    kinds: [Kind; 2],
    /// ifIndex → place in the arrays.
    places: Map,
    beside: Vec<Beside>,
    /// Interfaces whose other program ended, and took ours away.
    ended: Vec<Ended>,
    grace: Grace,
}

/// One of our programs.
struct Kind {
    array: Map,
    id: u32,
    keep: Option<Keep>,
}

/// One interface with two programs.
struct Beside {
    link: Link,
    /// Number of our program's kind, and the other program's place in the array of that kind.
    kind: usize,
    entry: u32,
    place: Place,
    ours: Program,
    other: Program,
}

struct Ended {
    index: u32,
    /// The time of the discovery, nanoseconds of the monotonic clock.
    since: u64,
    /// The attachment that ended.
    title: String,
}

/// A program with an open descriptor, for another place.
struct Program {
    id: u32,
    title: String,
    fd: ProgramFd,
}

impl Program {
    fn hold(info: &ProgramInfo) -> anyhow::Result<Self> {
        let title = others::title(info);
        let fd = info.fd().with_context(|| format!("cannot hold the XDP program {title}"))?;
        Ok(Self { id: info.id(), title, fd })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Kind {
    fn new(array: Map) -> anyhow::Result<Self> {
        let Map::ProgramArray(data) = &array else { anyhow::bail!("{array:?} is no array of programs") };
        let id = data.info()?.id();
        Ok(Self { array, id, keep: None })
    }

    /// Lets our program call another one; false if the kernel does not allow that kind.
    fn call(&mut self, entry: u32, other: &Program) -> anyhow::Result<bool> {
        match ProgramArray::try_from(&mut self.array)?.set(entry, &other.fd, 0) {
            Ok(()) => Ok(true),
            Err(MapError::SyscallError(error)) => match error.io_error.raw_os_error() {
                Some(libc::EINVAL) => Ok(false),
                Some(libc::EBUSY) => anyhow::bail!(
                    "this kernel lets no program call {}, as other programs extend it (a dispatcher of \
                     libxdp): take it away (`xdp-loader unload`) and attach its program itself \
                     (`ip link set dev IF xdp obj FILE`)",
                    other.title
                ),
                _ => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }
}

impl Chain {
    /// A chain with the arrays of a loaded object, which are taken out of the object.
    ///
    /// # Errors
    ///
    /// The object has none, or the kernel offers no grace period.
    pub fn new(pins: PathBuf, mut take: impl FnMut(&str) -> anyhow::Result<Map>) -> anyhow::Result<Self> {
        let [(_, plain), (_, frags)] = KINDS;
        let kinds = [Kind::new(take(plain)?)?, Kind::new(take(frags)?)?];
        let places = take(names::BESIDE)?;
        sweep(&pins);
        Ok(Self { pins, kinds, places, beside: Vec::new(), ended: Vec::new(), grace: Grace::new()? })
    }

    /// The program of ours on an interface beside another one.
    pub fn program(&self, index: u32) -> Option<&'static str> {
        let beside = self.beside.iter().find(|beside| beside.link.index == index)?;
        KINDS.get(beside.kind).map(|(program, _)| *program)
    }

    /// Lets the other program on one interface run alone again.
    ///
    /// # Errors
    ///
    /// The grace period cannot be waited for.
    pub fn part(&mut self, index: u32) -> anyhow::Result<()> {
        let Some(at) = self.beside.iter().position(|beside| beside.link.index == index) else {
            return Ok(());
        };
        let beside = self.beside.swap_remove(at);
        beside.put_back();
        // A packet may still be on its way from ours to the other.
        self.grace.wait()?;
        self.forget(index, beside.kind, beside.entry);
        Ok(())
    }

    fn places(&mut self) -> Result<HashMap<&mut MapData, u32, u32>, MapError> {
        HashMap::try_from(&mut self.places)
    }

    fn forget(&mut self, index: u32, kind: usize, entry: u32) {
        // A missing row needs no removal.
        drop(self.places().map(|mut places| places.remove(&index)));
        if let Some(kind) = self.kinds.get_mut(kind) {
            drop(ProgramArray::try_from(&mut kind.array).map(|mut array| array.clear_index(&entry)));
        }
    }

    /// Leaves both programs where they are, for the next agent.
    pub fn leave(&mut self) {
        self.beside.clear();
        self.kinds.iter_mut().for_each(|kind| kind.keep = None);
    }

    /// Replaces our programs by the others. The caller waits for a grace period before the arrays go.
    pub fn put_back(&mut self) {
        self.beside.drain(..).for_each(|beside| beside.put_back());
    }
}

impl Beside {
    fn put_back(&self) {
        let Self { link, place, ours, other, .. } = self;
        let name = &link.name;
        match place.replace(ours.fd(), Some(other.fd())) {
            Ok(()) => log::info!("{name}: {} runs alone again", other.title),
            Err(Refusal::Changed | Refusal::InLink) => {
                log::warn!("{name}: another program took the place of {} and of the metering", other.title);
            }
            Err(Refusal::Gone) => log::warn!("{name}: gone, or what had attached {}", other.title),
            Err(Refusal::Other(words)) => {
                log::error!("{name}: cannot let {} run alone: {words}; both go on", other.title);
            }
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.put_back();
        let keeps: Vec<Keep> = self.kinds.iter_mut().filter_map(|kind| kind.keep.take()).collect();
        // A packet may still be on its way from ours to the other.
        if !keeps.is_empty()
            && let Err(error) = self.grace.wait()
        {
            log::error!("{error:#}");
        }
        for error in keeps.iter().filter_map(|keep| keep.remove().err()) {
            log::warn!("cannot remove a pin of --chain: {error}");
        }
    }
}
