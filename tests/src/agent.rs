//! The program under test: its path, its commands, its answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::books::Books;
use crate::delivery::Records;
use crate::netns::Netns;
use crate::process::{Finished, Program, Running};

/// How long any of its commands may take in a test.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The export protocols that every test goes through.
pub const PROTOCOLS: [&str; 2] = ["ipfix", "v9"];

/// The agent's binary: `FLOWXDP_BIN`, or the release build in this tree.
pub fn program() -> Result<Program> {
    let path = std::env::var_os("FLOWXDP_BIN").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/flowxdp"),
        PathBuf::from,
    );
    ensure!(path.is_file(), "{} is not there: build the agent, or set FLOWXDP_BIN", path.display());
    Ok(Program::at(&path))
}

/// `flowxdp replay FILES --collector URL --protocol PROTOCOL --json`.
pub fn replay<P: AsRef<Path>>(files: &[P], url: &str, protocol: &str) -> Result<Program> {
    let replay = program()?.arg("replay").args(files.iter().map(AsRef::as_ref));
    Ok(replay.args(["--collector", url, "--protocol", protocol, "--json"]))
}

/// The books that a replay printed last.
pub fn books(replay: &Finished) -> Result<Books> {
    let start = replay.stdout.find('{').with_context(|| format!("no books on stdout:\n{}", replay.stdout))?;
    Books::parse(replay.stdout.get(start..).unwrap_or_default())
}

/// A running `flowxdp run` in a namespace, with a status socket of its own.
pub struct Live {
    running: Running,
    socket: PathBuf,
    _directory: TempDir,
}

impl Live {
    /// Starts it with these arguments after `run`, and waits until it answers `status`.
    pub fn start(netns: &Netns, arguments: &[&str]) -> Result<Self> {
        Self::launch(netns, arguments)?.until_answering()
    }

    /// The same with a file system in memory at a folder, which only it sees and which ends with it;
    /// `tmpfs` are its mount options.
    pub fn start_on(netns: &Netns, tmpfs: &str, folder: &Path, arguments: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("flowxdp.sock");
        // Each program in a namespace has mounts of its own.
        let script = r#"mount -t tmpfs -o "$0" none "$1" && shift && exec "$@""#;
        let run = Program::find("sh")?.args(["-c", script, tmpfs]).arg(folder).arg(program()?.path());
        let run = run.arg("run").args(arguments).arg("--socket").arg(&socket).netns(netns);
        Self::answering(run, socket, directory)
    }

    /// The same where only these CPUs seem to be online: others that receive packets began to later. `online`
    /// is in the kernel's form for lists.
    pub fn start_with_cpus(online: &str, netns: &Netns, arguments: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("flowxdp.sock");
        std::fs::write(directory.path().join("online"), format!("{online}\n"))?;
        // Each program in a namespace has mounts of its own.
        let script = r#"mount -o bind "$0" /sys/devices/system/cpu/online && exec "$@""#;
        let run = Program::find("sh")?.args(["-c", script]).arg(directory.path().join("online"));
        let run = run.arg(program()?.path()).arg("run").args(arguments).arg("--socket").arg(&socket);
        Self::answering(run.netns(netns), socket, directory)
    }

    /// The same as another user, by a program that gives its arguments' privileges to its child.
    pub fn start_by(wrapper: &[&str], user: u32, netns: &Netns, arguments: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        std::os::unix::fs::chown(directory.path(), Some(user), Some(user))?;
        let socket = directory.path().join("flowxdp.sock");
        let (first, rest) = wrapper.split_first().context("no wrapper")?;
        let run = Program::find(first)?.args(rest).arg(program()?.path()).arg("run").args(arguments);
        Self::answering(run.arg("--socket").arg(&socket).netns(netns), socket, directory)
    }

    /// Starts it and waits for nothing.
    pub fn launch(netns: &Netns, arguments: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("flowxdp.sock");
        let run = program()?.arg("run").args(arguments).arg("--socket").arg(&socket).netns(netns);
        Ok(Self { running: run.start()?, socket, _directory: directory })
    }

    fn answering(run: Program, socket: PathBuf, directory: TempDir) -> Result<Self> {
        Self { running: run.start()?, socket, _directory: directory }.until_answering()
    }

    /// Waits until it answers `status`.
    pub fn until_answering(self) -> Result<Self> {
        let mut live = self;
        let (socket, deadline) = (live.socket.clone(), Duration::from_secs(30));
        live.running.until(deadline, "answering", |_| Ok(status(&socket).is_ok()))?;
        Ok(live)
    }

    /// The path of its status socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.running.stderr()
    }

    /// Its books of this moment.
    pub fn status(&self) -> Result<Books> {
        status(&self.socket)
    }

    /// Waits until its books say something.
    pub fn until(&mut self, limit: Duration, what: &str, ready: impl Fn(&Books) -> bool) -> Result<()> {
        let socket = self.socket.clone();
        self.running.until(limit, what, |_| Ok(ready(&status(&socket)?)))
    }

    /// Waits until its log says something.
    pub fn until_log(&mut self, limit: Duration, what: &str, ready: impl Fn(&str) -> bool) -> Result<()> {
        self.running.until(limit, what, |running| Ok(ready(&running.stderr())))
    }

    /// Waits for its end, which it comes to by itself.
    pub fn ended(self, limit: Duration) -> Result<Finished> {
        self.running.wait(limit)
    }

    /// Ends it as a service manager would, and waits.
    pub fn stop(self) -> Result<Finished> {
        self.running.stop(Signal::TERM, LIMIT)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Sends it a signal that does not end it.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.running.signal(signal)
    }

    /// Ends it without a word, and waits.
    pub fn kill(self) -> Result<Finished> {
        self.running.stop(Signal::KILL, LIMIT)
    }

    /// Ends it as ^C does, and waits.
    pub fn interrupt(self) -> Result<Finished> {
        self.running.stop(Signal::INT, LIMIT)
    }
}

/// The records that an agent that has ended handed to one collector in all, by its log.
pub fn last_exported(ended: &Finished, url: &str) -> Result<Records> {
    let log = &ended.stderr;
    let (_, books) = log.rsplit_once("the books:").with_context(|| format!("no books in the log:\n{log}"))?;
    ensure!(books.contains("The books balance:"), "the books do not balance:\n{books}");
    let row = books.lines().find_map(|line| line.trim().strip_prefix(url)?.trim().strip_prefix("exported"));
    let row = row.with_context(|| format!("no row of {url}:\n{books}"))?;
    let mut numbers = row.split_whitespace().map(|number| number.replace(',', "").parse());
    let mut next = || anyhow::Ok(numbers.next().context("a short row")??);
    Ok(Records { records: next()?, packets: next()?, octets: next()? })
}

/// The books of this moment, of the agent that listens there.
pub fn status(socket: &Path) -> Result<Books> {
    let status =
        program()?.args(["status", "--json", "--socket"]).arg(socket).run(Duration::from_secs(20))?;
    Books::parse(&status.success()?.stdout)
}
