//! The file of the control socket: how the agent makes it, and how a client connects to it.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener as StdListener, UnixStream},
    },
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail, ensure};
use rustix::{
    fs::{FileType, Mode, Stat},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use tokio::net::UnixListener;

use crate::{
    file::named,
    folder::{Folder, Owner},
};

/// How long another agent may take to begin in the same folder.
const BEGINNING: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(20);

/// A file's device and inode: which file it is, whatever its name.
type Identity = (u64, u64);

/// The agent's end of the socket; the file goes when this does.
#[derive(Debug)]
pub struct Socket {
    /// The listening socket.
    pub listener: UnixListener,
    folder: Folder,
    name: OsString,
    identity: Identity,
}

impl Socket {
    /// Listens at `path`, mode 0600, in place of a socket that a killed agent left.
    ///
    /// # Errors
    ///
    /// Another process has the socket, or the path cannot be used.
    pub fn bind(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let name =
            path.file_name().with_context(|| format!("{shown} names no file: give another --socket"))?;
        let above = path.parent().unwrap_or(Path::new(""));
        let open =
            || Folder::open(above, Owner::AnyForRoot).context("the status socket: give another --socket");
        let folder = open()?;
        // Of two that start at a time, one finds the other's socket.
        let lock = open()?;
        wait_for(&lock).with_context(|| format!("the folder of {shown}: give another --socket"))?;
        make_room(path, &folder, name)?;
        let listener =
            listen(path).with_context(|| format!("cannot listen at {shown}: give another --socket"))?;
        let state =
            folder.state(name)?.with_context(|| format!("{shown} went away: its folder was moved"))?;
        let identity = (state.st_dev, state.st_ino);
        Ok(Self { listener, folder, name: name.to_owned(), identity })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Another process may have put its own there meanwhile.
        let is_ours = |state: Stat| (state.st_dev, state.st_ino) == self.identity;
        match self.folder.state(&self.name) {
            Ok(Some(state)) if is_ours(state) => {
                if let Err(error) = self.folder.remove(&self.name) {
                    log::warn!("cannot remove {}: {error}", self.folder.path().join(&self.name).display());
                }
            }
            _ => {}
        }
    }
}

fn wait_for(lock: &Folder) -> anyhow::Result<()> {
    let until = Instant::now() + BEGINNING;
    while !lock.try_lock().context("cannot be locked")? {
        ensure!(Instant::now() < until, "another process holds a lock on it");
        std::thread::sleep(AGAIN);
    }
    Ok(())
}

/// Removes a socket at which no process listens.
fn make_room(path: &Path, folder: &Folder, name: &OsStr) -> anyhow::Result<()> {
    let shown = path.display();
    let Some(state) = folder.state(name)? else { return Ok(()) };
    let kind = FileType::from_raw_mode(state.st_mode);
    ensure!(
        kind == FileType::Socket,
        "{shown} is there and is {}, no socket: give another --socket",
        named(kind)
    );
    let probe = socket(SocketFlags::NONBLOCK)?;
    match connect(&probe, &address(path)?) {
        Ok(()) => bail!("another agent answers at {shown}: stop it, or give this one another --socket"),
        // Its queue of connections is full.
        Err(Errno::AGAIN) => {
            bail!("another agent is at {shown} and takes no connection: stop it, or give another --socket")
        }
        Err(Errno::PROTOTYPE) => bail!("{shown} is another program's socket: give another --socket"),
        Err(Errno::CONNREFUSED) => {
            folder.remove(name).with_context(|| format!("cannot remove the old socket {shown}"))
        }
        Err(Errno::NOENT) => Ok(()),
        Err(error) => {
            Err(error).with_context(|| format!("cannot ask who is at {shown}: give another --socket"))
        }
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // The mask is for the whole process, and no other thread makes files now.
    let mask = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = StdListener::bind(path);
    rustix::process::umask(mask);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Connects to an agent, which may take so long to accept: its queue of connections may be full.
///
/// # Errors
///
/// No process listens there, or the agent takes no connection in time.
pub(super) fn reach(path: &Path, patience: Duration) -> anyhow::Result<UnixStream> {
    let shown = path.display();
    let stream = socket(SocketFlags::empty())?;
    // The limit of connect(2) too (unix(7)).
    set_socket_timeout(&stream, Timeout::Send, Some(patience)).context("cannot limit the time to connect")?;
    match connect(&stream, &address(path)?) {
        Ok(()) => Ok(UnixStream::from(stream)),
        Err(Errno::AGAIN) => Err(anyhow!(
            "the agent at {shown} takes no connection: it hangs, or too many others ask; ask again"
        )),
        Err(error) => Err(error).with_context(|| {
            format!("no agent answers at {shown}: start `flowxdp run` (as root), or name its --socket")
        }),
    }
}

fn socket(flags: SocketFlags) -> anyhow::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags | SocketFlags::CLOEXEC, None)
        .context("cannot make a socket")
}

fn address(path: &Path) -> anyhow::Result<SocketAddrUnix> {
    SocketAddrUnix::new(path).with_context(|| {
        format!("{} is no path that a socket can have: give a shorter --socket", path.display())
    })
}

#[cfg(test)]
mod tests {
    use super::{Socket, reach};
    use std::{
        fs,
        os::unix::{
            fs::{PermissionsExt, symlink},
            net::{UnixDatagram, UnixListener, UnixStream},
        },
        path::Path,
        time::{Duration, Instant},
    };

    /// A socket whose queue of connections is full, and the connections in it.
    fn full(path: &Path) -> (UnixListener, Vec<UnixStream>) {
        let listener = UnixListener::bind(path).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = reach(path, Duration::from_millis(20)) {
            queued.push(stream);
        }
        (listener, queued)
    }

    fn refusal(path: &Path) -> String {
        format!("{:#}", Socket::bind(path).unwrap_err())
    }

    #[tokio::test]
    async fn a_full_queue_is_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flowxdp.sock");
        let (_listener, queued) = full(&path);
        assert!(!queued.is_empty());
        let begun = Instant::now();
        let error = reach(&path, Duration::from_millis(100)).unwrap_err().to_string();
        assert!(begun.elapsed() >= Duration::from_millis(100), "it did not wait");
        assert!(error.contains("takes no connection") && error.contains("flowxdp.sock"), "{error}");
        let error = refusal(&path);
        assert!(error.contains("takes no connection") && error.contains("--socket"), "{error}");
        assert!(path.exists(), "the other agent's socket was removed");
    }

    #[tokio::test]
    async fn only_our_own_socket_goes_with_us() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flowxdp.sock");
        let socket = Socket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        drop(socket);
        assert!(!path.exists());
        let socket = Socket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        drop(socket);
        assert!(path.exists(), "another process's socket was removed");
        drop(other);
        // A socket without a listener gives way.
        drop(Socket::bind(&path).unwrap());
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_that_is_no_old_socket_of_an_agent_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let _datagrams = UnixDatagram::bind(path("log")).unwrap();
        fs::write(path("file"), "").unwrap();
        symlink("log", path("link")).unwrap();
        let _agent = Socket::bind(&path("agent")).unwrap();
        for (name, word) in [
            ("log", "another program's socket"),
            ("file", "is a regular file, no socket"),
            ("link", "is a symbolic link, no socket"),
            ("agent", "another agent answers"),
        ] {
            let error = refusal(&path(name));
            assert!(error.contains(word) && error.contains("--socket"), "{error}");
            assert!(fs::symlink_metadata(path(name)).is_ok(), "{name} was removed");
        }
        let long = path(&"x".repeat(200));
        assert!(refusal(&long).contains("--socket"), "{}", refusal(&long));
    }

    #[tokio::test]
    async fn a_folder_that_is_made_is_for_one_user() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/flowxdp/flowxdp.sock");
        let _socket = Socket::bind(&path).unwrap();
        for above in path.ancestors().skip(1).take(2) {
            assert_eq!(fs::metadata(above).unwrap().permissions().mode() & 0o7777, 0o700, "{above:?}");
        }
    }
}
