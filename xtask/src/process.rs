//! A program in the background: its output is kept, and it never outlives its guard.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use crate::shell;

/// How long a program may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running program. Its drop sends SIGTERM, and SIGKILL when the program does not end.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

/// The result of a program.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    /// Starts a program in the namespaces of the calling thread. The thread must live as long as the
    /// program should: the kernel kills the program when it ends, even if xtask itself is killed.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let name = shell::show(&command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Its own group: ^C reaches xtask alone, which then ends the programs in order.
        command.process_group(0);
        let follow = || Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?);
        // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
        unsafe { command.pre_exec(follow) };
        let mut child = command.spawn().with_context(|| format!("cannot start `{name}`"))?;
        let stdout = child.stdout.take().map(keep);
        let stderr = child.stderr.take().map(keep);
        Ok(Self { name, child, stdout, stderr })
    }

    /// An error, with the program's last words, when it has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        let Some(status) =
            self.child.try_wait().with_context(|| format!("cannot ask for `{}`", self.name))?
        else {
            return Ok(());
        };
        let words = words(&mut self.stderr);
        bail!("`{}` ended by itself ({status}): {}", self.name, words.trim())
    }

    /// Sends the program SIGTERM, waits, and gives its output.
    pub(crate) fn stop(mut self) -> Result<Ended> {
        let status = self.end().with_context(|| format!("cannot end `{}`", self.name))?;
        Ok(Ended { status, stdout: words(&mut self.stdout), stderr: words(&mut self.stderr) })
    }

    fn end(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        // Until it is waited for, the number cannot belong to another process.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            rustix::process::kill_process(pid, Signal::TERM)?;
        }
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("xtask: cannot end `{}`: {error}", self.name);
        }
    }
}

/// Reads a pipe to its end, so that the writer never waits.
fn keep(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // Output in front of a fault of the pipe is still worth showing.
        let _ = pipe.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}

fn words(pipe: &mut Option<JoinHandle<String>>) -> String {
    pipe.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
}
