//! Limits of the process (setrlimit(2)): each ends in an error that names its remedy, never in a signal.

use std::{io, os::fd::OwnedFd};

use anyhow::{Context, ensure};
use rustix::{
    event::{EventfdFlags, eventfd},
    fs::Mode,
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};

use crate::system;

/// Octets of stack that suffice for every command: twice the measured use of a debug build.
const STACK: u64 = 1 << 20;

/// Octets of stack to ask for, where the hard limit allows them: the usual limit.
const USUAL_STACK: u64 = 8 << 20;

/// Makes limits into errors, raises soft ones, and sets the umask. `main` calls this first.
///
/// # Errors
///
/// The stack may not grow as far as is needed, or the kernel refuses a limit that it allows by its own words.
pub fn prepare() -> anyhow::Result<()> {
    // A write beyond RLIMIT_FSIZE then fails with EFBIG, as one to a full disk does with ENOSPC.
    system::ignore(libc::SIGXFSZ);
    // Files and folders of the agent are its user's alone, whatever the umask at its start.
    umask(Mode::RWXG | Mode::RWXO);
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .context("cannot raise the limit of open files to its hard limit")?;
    stack()
}

fn stack() -> anyhow::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Stack);
    if current.is_none_or(|current| current >= STACK) {
        return Ok(());
    }
    // The kernel asks for the limit at each growth, so a larger one holds at once.
    let raised = Rlimit { current: maximum.map(|most| most.min(USUAL_STACK)).or(Some(USUAL_STACK)), maximum };
    let kib = current.unwrap_or(0) >> 10;
    ensure!(
        maximum.is_none_or(|most| most >= STACK),
        "the stack is limited to {kib} KiB, and {} KiB are needed: raise `ulimit -s`",
        STACK >> 10
    );
    setrlimit(Resource::Stack, raised)
        .with_context(|| format!("the stack is limited to {kib} KiB: raise `ulimit -s`"))
}

/// Checks that `needed` more file descriptors are free: some libraries panic without, or name another cause.
///
/// # Errors
///
/// There are fewer.
pub fn descriptors(needed: usize) -> anyhow::Result<()> {
    let mut taken: Vec<OwnedFd> = Vec::with_capacity(needed);
    while taken.len() < needed {
        match eventfd(0, EventfdFlags::CLOEXEC) {
            Ok(one) => taken.push(one),
            Err(error) => {
                let had = taken.len();
                return Err(error).with_context(|| format!("{needed} files must be open, and {had} can be"));
            }
        }
    }
    Ok(())
}

/// The remedy for an error that a limit of the process caused, to be written behind the error.
pub fn remedy(error: &anyhow::Error) -> Option<&'static str> {
    let number = error.chain().find_map(|cause| {
        let number = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        number.or_else(|| cause.downcast_ref::<Errno>().map(|number| number.raw_os_error()))
    })?;
    match number {
        libc::EMFILE => Some("raise the limit of open files (`ulimit -n`, LimitNOFILE=)"),
        libc::ENFILE => Some("raise the system's limit of open files (sysctl fs.file-max)"),
        libc::EFBIG => Some("raise the limit of a file's size (`ulimit -f`, LimitFSIZE=)"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::remedy;
    use std::io;

    #[test]
    fn a_limit_is_found_wherever_it_stands_in_an_error() {
        let inner = io::Error::from_raw_os_error(libc::EMFILE);
        let error = anyhow::Error::new(inner).context("cannot open x").context("cannot start");
        assert!(remedy(&error).unwrap().contains("ulimit -n"));
        assert!(remedy(&anyhow::Error::new(rustix::io::Errno::MFILE)).is_some());
        assert!(remedy(&anyhow::anyhow!("other")).is_none());
    }
}
