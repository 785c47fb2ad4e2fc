//! Child processes of the tests: started here, watched here, ended here, never left behind.
//!
//! A [`Program`] is a command to start, a [`Running`] the started child. Its output goes to files, so that a
//! chatty child never blocks on a full pipe and can be read while it runs. Dropping a [`Running`] kills the
//! child; when the thread that started it is gone without dropping it (the test binary was killed), the
//! kernel does, because every child asks for that signal before it becomes the wanted program.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The interval between two checks of a condition.
const POLL: Duration = Duration::from_millis(10);

/// A limit on a machine of usual speed, as it is on this one: `FLOWXDP_PATIENCE` times as long.
///
/// Only for the limit of a wait, never for a bound that a test checks.
pub fn patient(limit: Duration) -> Duration {
    limit * patience()
}

/// As much as a machine of usual speed does in some time, as this one does: a part of it by `FLOWXDP_PATIENCE`.
///
/// Only for how much a test sends where it shows the same with less.
pub fn bounded(amount: u32) -> u32 {
    amount / patience()
}

fn patience() -> u32 {
    let factor = std::env::var("FLOWXDP_PATIENCE").ok().and_then(|factor| factor.parse().ok());
    factor.unwrap_or(1).max(1)
}

/// A command to be started, and its namespace and environment.
pub struct Program {
    name: String,
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    netns: Option<String>,
    plain_user: bool,
    open_stdin: bool,
}

impl Program {
    /// A program that is found by its name, or an error that says which package has it.
    pub fn find(name: &str) -> Result<Self> {
        Ok(Self::at(&find(name)?))
    }

    /// A program at a known path.
    pub fn at(path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self {
            name,
            path: path.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            netns: None,
            plain_user: false,
            open_stdin: false,
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds one argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it inside the network namespace of this name.
    pub fn netns(mut self, netns: &impl AsRef<str>) -> Self {
        self.netns = Some(netns.as_ref().to_owned());
        self
    }

    /// Starts it without any privilege, as a user who owns nothing.
    pub fn plain_user(mut self) -> Self {
        self.plain_user = true;
        self
    }

    /// Gives it a standard input on which nothing comes, instead of one at its end.
    pub fn open_stdin(mut self) -> Self {
        self.open_stdin = true;
        self
    }

    /// Starts it.
    pub fn start(self) -> Result<Running> {
        let directory = tempfile::tempdir().context("a directory for the output of a child")?;
        let (out, err) = (directory.path().join("stdout"), directory.path().join("stderr"));
        // Each of these wrappers replaces itself by the next, so the process id is the program's own.
        let mut command = Command::new(find("setpriv")?);
        if self.plain_user {
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        }
        command.args(["--pdeathsig", "KILL"]);
        if let Some(netns) = &self.netns {
            ensure!(!self.plain_user, "a plain user cannot enter a namespace");
            command.arg(find("ip")?).args(["netns", "exec", netns]);
        }
        command.arg(&self.path).args(&self.arguments);
        // The pipe's other end is kept until the child has ended.
        command.stdin(if self.open_stdin { Stdio::piped() } else { Stdio::null() });
        command.stdout(File::create(&out)?).stderr(File::create(&err)?);
        command.env("TZ", "UTC").env("LC_ALL", "C.UTF-8").envs(self.environment);
        let child = command.spawn().with_context(|| format!("starting {}", self.name))?;
        Ok(Running { name: self.name, child, out, err, _directory: directory })
    }

    /// Starts it and waits for its end.
    pub fn run(self, limit: Duration) -> Result<Finished> {
        self.start()?.wait(limit)
    }
}

/// A child that was started and not yet waited for.
pub struct Running {
    name: String,
    child: Child,
    out: PathBuf,
    err: PathBuf,
    _directory: TempDir,
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output so far.
    pub fn stdout(&self) -> String {
        text(&self.out)
    }

    /// Its standard error so far.
    pub fn stderr(&self) -> String {
        text(&self.err)
    }

    /// The file that its standard output goes to.
    pub fn stdout_file(&self) -> &Path {
        &self.out
    }

    /// Whether it has not ended yet.
    pub fn alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("a signal to {}", self.name))
    }

    /// Waits until `ready` says so; the end of the child meanwhile is an error.
    pub fn until(
        &mut self,
        limit: Duration,
        what: &str,
        mut ready: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        let limit = patient(limit);
        let deadline = Instant::now() + limit;
        while !ready(self)? {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}) before {what}:\n{}{}", self.name, self.stdout(), self.stderr());
            }
            ensure!(
                Instant::now() < deadline,
                "{} after {limit:?}: not yet {what}:\n{}{}",
                self.name,
                self.stdout(),
                self.stderr()
            );
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Waits for its end, and leaves it for [`Running::wait`] to take; past the limit that is an error.
    pub fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let limit = patient(limit);
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} had not ended after {limit:?}:\n{}{}", self.name, self.stdout(), self.stderr());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits for its end; past the limit it is killed and that is an error.
    pub fn wait(mut self, limit: Duration) -> Result<Finished> {
        let code = self.ended(limit)?.code();
        Ok(Finished { name: self.name.clone(), code, stdout: self.stdout(), stderr: self.stderr() })
    }

    /// Asks it to end by a signal, and waits.
    pub fn stop(self, signal: Signal, limit: Duration) -> Result<Finished> {
        self.signal(signal)?;
        self.wait(limit)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing can be done about a failure here: the child has ended already, or is not ours to end.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A child that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Name of the program.
    pub name: String,
    /// Exit status, none when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// Makes any exit status but 0 an error that shows the output.
    pub fn success(self) -> Result<Self> {
        let Self { name, code, stdout, stderr } = &self;
        ensure!(*code == Some(0), "{name} ended with {code:?}:\n{stdout}{stderr}");
        Ok(self)
    }
}

/// Where a program lies, or an error that names the Debian package which holds it.
pub fn find(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A plain user's PATH often lacks the sbin directories, where half of the judges live.
    let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(sbin).map(|d| d.join(name)).find(|p| p.is_file());
    let package = match name {
        "nfcapd" | "nfdump" | "nfpcapd" => "nfdump",
        "nfacctd" | "pmacctd" => "pmacct",
        "ip" | "tc" => "iproute2",
        "setpriv" | "taskset" | "unshare" => "util-linux",
        other => other,
    };
    found.with_context(|| format!("{name} is not installed: apt-get install {package}"))
}

fn text(path: &Path) -> String {
    // An unreadable file reads as empty: a search for a line in it then fails with the text that there was.
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
