//! `flowxdp status`: the books of a running agent, over its Unix socket.

pub mod answer;
pub mod answers;

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use tokio::net::UnixListener;

/// Where an agent listens unless told otherwise.
pub const SOCKET: &str = "/run/flowxdp/flowxdp.sock";

/// How long an agent may take for its books: it scans its table for them.
const PATIENCE: Duration = Duration::from_secs(20);

/// Options of `flowxdp status`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Print the books as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Socket of the agent
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    pub socket: PathBuf,
}

/// Asks and prints.
///
/// # Errors
///
/// Nobody answers at the socket, or what answers is no agent.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let path = options.socket.display();
    let stream = UnixStream::connect(&options.socket).with_context(|| {
        format!("no agent answers at {path}: start `flowxdp run` (as root), or name its --socket")
    })?;
    let patient = Patient { stream, until: Instant::now() + PATIENCE };
    let answer = answer::read(patient).with_context(|| format!("the agent at {path} does not answer"))?;
    ensure!(!answer.is_empty(), "the agent at {path} answers too many others: ask again");
    let out = answer::shown(&answer, options.json)
        .with_context(|| format!("what answers at {path} is no flowxdp agent"))?;
    match writeln!(std::io::stdout(), "{out}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// A stream that is read until some instant and no longer, however slowly its octets come.
struct Patient {
    stream: UnixStream,
    until: Instant,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        // No time at all would be read as no limit.
        let left = self.until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

/// The agent's end of the socket; the file goes when this does.
#[derive(Debug)]
pub struct Socket {
    /// What connections arrive at.
    pub listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens at `path`, mode 0600, in place of a socket that a killed agent left.
    ///
    /// # Errors
    ///
    /// Another agent answers there, or the path cannot be used.
    pub fn bind(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        if UnixStream::connect(path).is_ok() {
            bail!("another agent answers at {shown}: stop it, or give this one another --socket");
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| {
                format!("cannot make {} for the status socket: give another --socket", folder.display())
            })?;
        }
        if let Ok(metadata) = std::fs::symlink_metadata(path) {
            use std::os::unix::fs::FileTypeExt;
            if !metadata.file_type().is_socket() {
                bail!("{shown} is there and is no socket: give another --socket");
            }
            std::fs::remove_file(path).with_context(|| format!("cannot remove the old socket {shown}"))?;
        }
        // The mask is for the whole process, and no other thread makes files now.
        let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(path);
        rustix::process::umask(mask);
        let listener =
            listener.with_context(|| format!("cannot listen at {shown}: give another --socket"))?;
        Ok(Self { listener, path: path.to_owned() })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            log::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}
