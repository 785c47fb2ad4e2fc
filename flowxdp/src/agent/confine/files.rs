//! Landlock: no file can be opened but those that are used again.

use std::path::{Path, PathBuf};

use anyhow::Context;
use landlock::{
    ABI, Access, AccessFs, BitFlags, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};

use super::{Needs, Step};

/// The newest Landlock version whose access rights are all refused by default; older kernels refuse the
/// rights that they know.
const NEWEST: ABI = ABI::V9;

/// The agent's own state, and the kernel's about interfaces, CPUs and memory.
const ALWAYS: [&str; 5] =
    ["/proc/self", "/proc/meminfo", "/sys/class/net", "/sys/devices", "/sys/kernel/realtime"];

/// Files of the resolver: its configuration, which is replaced by renaming, so that a rule for each file
/// would hold for the old file; and libraries that are opened for the first name.
const NAMES: [&str; 11] = [
    "/etc",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/nscd",
    "/var/lib/sss",
];

/// Where distributions keep the certificates of authorities.
const AUTHORITIES: [&str; 7] = [
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/pki",
    "/usr/lib/ssl",
];

/// Lets this thread, and threads that it starts, open the files in `needs` and no others.
pub(super) fn limit(needs: &Needs) -> Step {
    match restrict(needs) {
        Ok(status) => words(&status),
        Err(error) => Step::Lacking(format!("files are not limited: {error:#}")),
    }
}

fn words(status: &RestrictionStatus) -> Step {
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else {
        return Step::Lacking(
            "files are not limited: this kernel has no Landlock, or it is switched off".into(),
        );
    };
    match status.ruleset {
        RulesetStatus::FullyEnforced => Step::Done("Landlock limits files".into()),
        RulesetStatus::PartiallyEnforced => {
            Step::Done(format!("Landlock limits files as far as this kernel can (version {effective_abi:?})"))
        }
        RulesetStatus::NotEnforced => Step::Lacking("files are not limited: Landlock refused".into()),
    }
}

fn restrict(needs: &Needs) -> anyhow::Result<RestrictionStatus> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let write: BitFlags<AccessFs> =
        read | make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir});
    let remove = make_bitflags!(AccessFs::{RemoveFile | RemoveDir});
    let pin = read | make_bitflags!(AccessFs::{MakeReg});
    let folders = needs.removed.iter().filter_map(|path| path.parent());
    let status = Ruleset::default()
        // Connecting to sockets that are files included, from Linux 7.1 on.
        .handle_access(AccessFs::from_all(NEWEST))?
        // Signals to other processes, and their sockets that are no files.
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(readable(needs), read))?
        .add_rules(path_beneath_rules(needs.written.iter().map(|path| existing(path)), write))?
        .add_rules(path_beneath_rules(&needs.pinned, pin))?
        .add_rules(path_beneath_rules(folders, remove))?
        .restrict_self()
        .context("Landlock")?;
    Ok(status)
}

/// Files and folders that may be read; absent ones are skipped later.
fn readable(needs: &Needs) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = ALWAYS.iter().map(PathBuf::from).collect();
    // A panic's trace names the places in our own program.
    paths.extend(std::env::current_exe());
    for file in &needs.files {
        paths.extend(around(file));
    }
    if needs.names {
        paths.extend(NAMES.iter().map(PathBuf::from));
        paths.extend(around(Path::new("/etc/resolv.conf")));
    }
    if needs.authorities {
        paths.extend(AUTHORITIES.iter().map(PathBuf::from));
        for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            paths.extend(std::env::var_os(variable).iter().flat_map(std::env::split_paths));
        }
    }
    paths
}

/// The folder of a file, and the folder of a symbolic link's present target: a replacement of the file
/// appears there.
fn around(file: &Path) -> impl Iterator<Item = PathBuf> {
    let parent = |file: &Path| {
        let folder = file.parent()?;
        Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
    };
    let real = file.canonicalize().ok().and_then(|file| parent(&file));
    parent(file).into_iter().chain(real)
}

/// The path, or the nearest folder above it that is there: a disk may take the rest later.
fn existing(path: &Path) -> &Path {
    let there = path.ancestors().find(|path| path.exists());
    there.unwrap_or_else(|| Path::new("."))
}
