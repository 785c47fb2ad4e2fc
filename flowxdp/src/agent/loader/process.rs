//! The loader's process: forked, confined, and there as long as the agent is.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    path::PathBuf,
};

use anyhow::{Context, ensure};
use rustix::{
    event::Timespec,
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal},
    thread::set_name,
};

use super::{
    client::Loader,
    protocol::{Answer, Request, receive, send},
    requests::{Configuration, Requests},
};
use crate::{agent::confine, guard, kernel::pin::FOLDER, system};

/// The name of the process; the kernel keeps 15 octets.
const NAME: &std::ffi::CStr = c"flowxdp-loader";

/// How long the confinement of a new process may take.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Where generations are pinned.
#[derive(Debug)]
pub enum Folder {
    /// `--pin`.
    Named(PathBuf),
    /// A BPF file system that is mounted nowhere.
    Private(OwnedFd),
    /// There is none: a new table is refused.
    None,
}

impl Folder {
    /// Its path in this process.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Named(path) => Some(path.clone()),
            Self::Private(mount) => {
                Some(PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd())).join(FOLDER))
            }
            Self::None => None,
        }
    }
}

/// Forks the loader, and waits until it is confined. This process has one thread.
///
/// # Errors
///
/// There are more threads, the kernel refuses a process, or the confinement fails.
pub fn start(configuration: Configuration, folder: &Folder, confined: bool) -> anyhow::Result<Loader> {
    confine::alone()?;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .context("cannot make a socket pair")?;
    rustix::io::ioctl_fionbio(&ours, true).context("cannot make a socket pair")?;
    let agent = getpid();
    // An end of the loader is seen at its socket, and leaves no process behind.
    system::ignore(libc::SIGCHLD);
    // SAFETY: this process has one thread, so that no lock is held by another one in the copy.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()).context("cannot start the loader"),
        0 => {
            drop(ours);
            let ended = guard::caught(|| live(&theirs, configuration, folder, confined, agent));
            if let Err(error) = ended {
                drop(send(&theirs, &Answer::Refused(format!("{error:#}")), None));
            }
            // SAFETY: ends this process at once: destructors and handlers at exit are the agent's.
            unsafe { libc::_exit(0) }
        }
        pid => {
            drop(theirs);
            let pid = u32::try_from(pid).context("process id")?;
            Loader::ready(ours, pid, PATIENCE).context("the loader")
        }
    }
}

/// The life of the process: until the agent's end closes the socket, or the kernel ends it with the agent.
fn live(
    socket: &OwnedFd,
    configuration: Configuration,
    folder: &Folder,
    confined: bool,
    agent: Pid,
) -> anyhow::Result<()> {
    set_name(NAME).context("cannot take a name")?;
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot end with the agent")?;
    ensure!(getppid() == Some(agent), "the agent ended");
    let kept = match folder {
        Folder::Private(mount) => vec![socket.as_raw_fd(), mount.as_raw_fd()],
        _ => vec![socket.as_raw_fd()],
    };
    close_others(kept)?;
    // A service manager and a terminal signal all processes; the agent decides when this one ends.
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        system::ignore(signal);
    }
    let mut requests = Requests::new(configuration, folder.path())?;
    let confinement =
        if confined { confine::confine_loader(&requests.needs())? } else { "not confined".to_owned() };
    let holds = confine::held()?;
    send(socket, &Answer::Ready { holds, confined: confinement }, None).context("cannot answer")?;
    while let Some(request) = next(socket)? {
        let (answer, file) = match request {
            Ok(request) => requests.answer(&request),
            Err(why) => (Answer::Refused(why), None),
        };
        if let Answer::Refused(why) = &answer {
            log::warn!("the loader refuses a request: {why}");
        }
        send(socket, &answer, file.as_ref().map(std::os::fd::AsFd::as_fd)).context("cannot answer")?;
    }
    Ok(())
}

/// The next request, or why it is none.
fn next(socket: &OwnedFd) -> io::Result<Option<Result<Request, String>>> {
    match receive(socket) {
        Ok(received) => Ok(received.map(|(request, _)| Ok(request))),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Ok(Some(Err(format!("no request: {error}"))))
        }
        Err(error) => Err(error),
    }
}

/// Closes the agent's descriptors in this process but stderr and the `kept` ones: locks, sockets and the
/// files of others are the agent's alone.
fn close_others(mut kept: Vec<RawFd>) -> anyhow::Result<()> {
    // A reader of the agent's output waits for its end.
    let null = File::options().read(true).write(true).open("/dev/null");
    for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO] {
        let from = null.as_ref().map_or(libc::STDERR_FILENO, AsRawFd::as_raw_fd);
        // SAFETY: both are standard streams, which no object of this process owns.
        let duplicated = unsafe { libc::dup2(from, stream) };
        ensure!(duplicated == stream, "cannot close a standard stream: {}", io::Error::last_os_error());
    }
    // Before its descriptor is closed with the others.
    drop(null);
    kept.push(libc::STDERR_FILENO);
    kept.sort_unstable();
    let after = kept.iter().map(|kept| kept + 1);
    let before = kept.iter().skip(1).map(|kept| kept - 1).chain([RawFd::MAX]);
    for (first, last) in after.zip(before).filter(|(first, last)| first <= last) {
        // SAFETY: their owners are in the copy of the agent's memory, and are neither used nor dropped here.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        ensure!(closed == 0, "cannot close the agent's files: {}", io::Error::last_os_error());
    }
    Ok(())
}
