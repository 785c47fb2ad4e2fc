//! Whether a pin is one of ours, by name and kind: no other pin is removed or taken over.

use std::path::Path;

use aya::{
    maps::MapData,
    programs::{
        ProgramInfo,
        links::{FdLink, LinkType, PinnedLink},
    },
};

use super::{HANDED, Place, all};
use crate::kernel::{
    chain, hook,
    load::{CLASSIFIERS, PROGRAMS},
};

/// Octets of an object's name that the kernel keeps (`BPF_OBJ_NAME_LEN`, with a zero).
const KEPT: usize = 15;

/// Whether the pin at `path` is the map that its `name` says; in the folder of a whole generation, which may be
/// another version's, of any name.
pub(super) fn is_map(path: &Path, name: &str, is_generation: bool) -> bool {
    let kept = name.get(..KEPT).unwrap_or(name);
    (is_generation || all().chain(chain::MAPS).chain(HANDED).any(|ours| ours == name))
        && MapData::from_pin(path)
            .and_then(|map| map.info())
            .is_ok_and(|info| info.name_as_str().is_some_and(|name| name == kept))
}

/// Whether the pin at `path` is the program that its `name` says, which the loader made and the agent did not
/// open.
pub(super) fn is_program(path: &Path, name: &str) -> bool {
    (PROGRAMS.contains(&name) || CLASSIFIERS.contains(&name))
        && ProgramInfo::from_pin(path).is_ok_and(|info| info.name_as_str().is_some_and(|it| it == name))
}

/// Whether the pin at `path` is an attachment of our program there. Without the right to ask for a program, an
/// attachment of that kind is taken for one.
pub(super) fn is_link(path: &Path, place: Place) -> bool {
    let info = PinnedLink::from_pin(path).and_then(|link| FdLink::from(link).info());
    let is_ours = |kind: LinkType, program: u32| match place {
        Place::Xdp => kind == LinkType::Xdp && chain::may_be_ours(program),
        Place::Ingress => kind == LinkType::Tcx && hook::may_be_ours(program),
    };
    info.is_ok_and(|info| info.link_type().is_ok_and(|kind| is_ours(kind, info.program_id())))
}
