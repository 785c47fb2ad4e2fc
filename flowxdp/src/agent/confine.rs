//! Least privilege: the agent gives up its privileges once all privileged files and sockets are open.
//!
//! Steps, in this order, since each needs privileges that the next one drops: no new privileges, no
//! capabilities, no files but the agent's own (Landlock), no system calls but the agent's own (seccomp).
//! Threads inherit the restrictions, so the confinement precedes the first thread. The loader's process keeps
//! the capabilities for loading programs, and fewer files and system calls.

mod calls;
mod capabilities;
mod files;
mod needs;

use anyhow::{Context, ensure};

pub use self::needs::Needs;

/// A step's outcome.
enum Step {
    /// The restriction holds; in words.
    Done(String),
    /// This kernel does not have it, or not all of it; in words.
    Lacking(String),
}

/// Gives up all privileges outside `needs`, for good, and logs which restrictions hold and which this kernel
/// lacks.
///
/// # Errors
///
/// A capability stays that should not, or there are threads already, which would keep theirs.
pub fn confine(needs: &Needs) -> anyhow::Result<()> {
    alone()?;
    rustix::thread::set_no_new_privs(true).context("cannot give up to gain privileges")?;
    let capabilities = capabilities::give_up(needs).context("cannot give up capabilities")?;
    let (done, lacking) =
        told([Step::Done(capabilities), files::limit(needs), calls::limit(calls::Process::Agent)]);
    if lacking.is_empty() {
        log::info!("confined: {done}");
    } else {
        log::warn!("confined in part: {done}; {lacking}");
    }
    Ok(())
}

/// The same for the loader, which keeps the capabilities to load programs and to make maps; gives in words
/// the limits that hold and the limits that do not.
///
/// # Errors
///
/// A capability stays that should not.
pub fn confine_loader(needs: &Needs) -> anyhow::Result<String> {
    rustix::thread::set_no_new_privs(true).context("cannot give up to gain privileges")?;
    capabilities::keep_loading().context("cannot give up capabilities")?;
    let files = files::limit(needs);
    let (done, lacking) = told([files, calls::limit(calls::Process::Loader)]);
    Ok(if lacking.is_empty() { done } else { format!("{done}; {lacking}") })
}

/// The capabilities that are held.
///
/// # Errors
///
/// The kernel's.
pub fn held() -> anyhow::Result<Vec<String>> {
    capabilities::held().context("cannot read this process's capabilities")
}

/// Restrictions that hold, and those that this kernel lacks.
fn told<const N: usize>(steps: [Step; N]) -> (String, String) {
    let (mut done, mut lacking) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Done(words) => done.push(words),
            Step::Lacking(words) => lacking.push(words),
        }
    }
    (done.join(", "), lacking.join("; "))
}

/// Capabilities and Landlock are each thread's own, and nobody could take them from another one.
pub(crate) fn alone() -> anyhow::Result<()> {
    let threads =
        std::fs::read_dir("/proc/self/task").context("cannot count this process's threads")?.count();
    ensure!(threads == 1, "{threads} threads run already, and would stay unconfined: give --no-confine");
    Ok(())
}
