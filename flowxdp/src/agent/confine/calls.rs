//! seccomp: no system call but those that the agent and its libraries make.
//!
//! No filter here ends the process: a later library that tries a newer call gets ENOSYS, as from an older
//! kernel, and falls back to the older call. Unwanted calls get EPERM.

mod allowed;
mod loader;
mod refused;

use std::collections::BTreeMap;

use anyhow::Context;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

use super::Step;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Whose system calls are limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    Agent,
    Loader,
}

/// Limits the system calls of every thread.
pub(super) fn limit(process: Process) -> Step {
    match filters(process).and_then(|filters| apply(&filters)) {
        Ok(()) => Step::Done("seccomp limits system calls".into()),
        Err(error) => Step::Lacking(format!("system calls are not limited: {error:#}")),
    }
}

/// The filters, in the order in which they are installed: of two refusals the later one's reason counts.
fn filters(process: Process) -> anyhow::Result<[BpfProgram; 2]> {
    let arch: TargetArch = std::env::consts::ARCH
        .try_into()
        .with_context(|| format!("no filter for {}", std::env::consts::ARCH))?;
    let errno = |errno: libc::c_int| SeccompAction::Errno(errno.cast_unsigned());
    let (calls, refused) = match process {
        Process::Agent => (allowed::CALLS, refused::rules()?),
        Process::Loader => (loader::CALLS, loader::rules()?),
    };
    let allowed: Rules = calls.iter().map(|&call| (call, Vec::new())).collect();
    let allowed = SeccompFilter::new(allowed, errno(libc::ENOSYS), SeccompAction::Allow, arch)?;
    let refused = SeccompFilter::new(refused, SeccompAction::Allow, errno(libc::EPERM), arch)?;
    Ok([allowed.try_into()?, refused.try_into()?])
}

fn apply(filters: &[BpfProgram]) -> anyhow::Result<()> {
    filters.iter().try_for_each(|filter| apply_filter_all_threads(filter)).context("seccomp")
}

#[cfg(test)]
mod tests {
    use super::{Process, allowed, filters, loader};

    #[test]
    fn both_filters_compile_and_fit() {
        let both = [Process::Agent, Process::Loader].map(|process| filters(process).unwrap());
        for filter in both.concat() {
            assert!((10..4096).contains(&filter.len()), "{} instructions", filter.len());
        }
    }

    #[test]
    fn no_call_is_listed_twice() {
        for list in [allowed::CALLS, loader::CALLS] {
            let mut calls = list.to_vec();
            calls.sort_unstable();
            calls.dedup();
            assert_eq!(calls.len(), list.len());
        }
    }

    #[test]
    fn the_loader_makes_one_call_that_the_agent_does_not() {
        let more = loader::CALLS.iter().filter(|call| !allowed::CALLS.contains(call));
        assert_eq!(more.collect::<Vec<_>>(), [&libc::SYS_memfd_create]);
    }
}
