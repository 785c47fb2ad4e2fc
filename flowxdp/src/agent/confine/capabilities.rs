//! Capabilities: none is needed once programs are loaded and files are open.
//!
//! Maps and links are used through their descriptors without capabilities (Linux 6.0 and newer), even to
//! attach another link with a loaded program. Capabilities that may stay: overriding the modes of another
//! user's files, and those that an option needs ([`Needs`]).

use std::{
    ffi::CString,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    },
};

use super::Needs;
use crate::system;

/// How deep the folder of a spool is looked into: a collector's folder, and its files.
const DEPTH: u32 = 2;

/// Capabilities for loading BPF programs and maps, for sockets of AF_XDP and for netlink requests.
pub(super) const LOADING: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::NET_RAW);

/// Gives up all capabilities that [`LOADING`] does not name.
pub(super) fn keep_loading() -> anyhow::Result<()> {
    keep_only(capabilities(None)?.permitted.intersection(LOADING))
}

/// The effective capabilities, each as the kernel's manual writes it.
pub(super) fn held() -> anyhow::Result<Vec<String>> {
    let effective = capabilities(None)?.effective;
    Ok(effective.iter_names().map(|(name, _)| format!("CAP_{name}")).collect())
}

/// Gives up all capabilities but those that the files in `needs` require; gives the remaining ones in words.
pub(super) fn give_up(needs: &Needs) -> anyhow::Result<String> {
    let held = capabilities(None)?;
    let (keep, why) = kept(needs, held)?;
    keep_only(keep)?;
    Ok(why)
}

fn keep_only(keep: CapabilitySet) -> anyhow::Result<()> {
    leave_bounding_set(keep)?;
    clear_ambient_capability_set().context("the ambient set")?;
    let wanted = CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    set_capabilities(None, wanted)?;
    ensure!(capabilities(None)? == wanted, "the kernel kept some");
    Ok(())
}

/// Capabilities that stay, and why in words.
fn kept(needs: &Needs, held: CapabilitySets) -> anyhow::Result<(CapabilitySet, String)> {
    let mut kept: Vec<(CapabilitySet, String)> =
        needs.kept.iter().map(|&(capability, why)| (capability, why.to_owned())).collect();
    kept.extend(passing_over_modes(needs, held)?);
    // A capability that was never held cannot be kept.
    kept.retain(|&(capability, _)| held.effective.contains(capability));
    if kept.is_empty() {
        return Ok((CapabilitySet::empty(), "no capability is left".to_owned()));
    }
    let words = kept.iter().map(|(capability, why)| format!("{} is kept, for {why}", name(*capability)));
    let words = words.collect::<Vec<_>>().join(", ");
    Ok((kept.into_iter().map(|(capability, _)| capability).collect(), words))
}

/// As the kernel's manual writes it.
fn name(capability: CapabilitySet) -> String {
    capability.iter_names().map(|(name, _)| format!("CAP_{name}")).collect::<Vec<_>>().join(" and ")
}

/// The capability without which files of another user could not be used.
fn passing_over_modes(
    needs: &Needs,
    held: CapabilitySets,
) -> anyhow::Result<Option<(CapabilitySet, String)>> {
    let folders = needs.removed.iter().filter_map(|path| path.parent()).map(Path::to_owned);
    let written: Vec<PathBuf> =
        needs.written.iter().flat_map(|path| within(path, DEPTH)).chain(folders).collect();
    // Asked without the capabilities that would make every answer a yes.
    set_capabilities(None, CapabilitySets { effective: CapabilitySet::empty(), ..held })?;
    let unwritable = written.into_iter().find(|path| is_refused(path, libc::R_OK | libc::W_OK));
    let unreadable = needs.files.iter().find(|path| is_refused(path, libc::R_OK));
    set_capabilities(None, held)?;
    let because = |path: &Path| format!("{} is another user's", path.display());
    Ok(match (unwritable, unreadable) {
        (Some(path), _) => Some((CapabilitySet::DAC_OVERRIDE, because(&path))),
        (None, Some(path)) => Some((CapabilitySet::DAC_READ_SEARCH, because(path))),
        (None, None) => None,
    })
}

/// A path and the files below it, so many levels.
fn within(path: &Path, depth: u32) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    if depth > 0
        && let Ok(entries) = std::fs::read_dir(path)
    {
        entries.flatten().for_each(|entry| all.extend(within(&entry.path(), depth - 1)));
    }
    all
}

/// Whether the modes of a file, or of a folder above it, refuse this access to the thread as it is now.
fn is_refused(path: &Path, mode: libc::c_int) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    system::access(&path, mode).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Capabilities outside the bounding set cannot come back by execve(2). Without CAP_SETPCAP the set stays as
/// it is, and no program can be started anyway: no new privileges, and no call to start one.
fn leave_bounding_set(keep: CapabilitySet) -> anyhow::Result<()> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        // A number that the kernel does not know ends the list.
        let Ok(is_in) = capability_is_in_bounding_set(one) else { break };
        if is_in && !keep.contains(one) {
            match remove_capability_from_bounding_set(one) {
                Err(Errno::PERM) => {
                    log::debug!("the bounding set stays as it is, without CAP_SETPCAP");
                    break;
                }
                result => result.context("the bounding set")?,
            }
        }
    }
    Ok(())
}
