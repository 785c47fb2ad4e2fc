//! The other programs: each reads the capture to its end, and exports.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, WaitOptions, set_child_subreaper, wait};
use tempfile::TempDir;

use super::receiver::Receiver;
use super::{Turn, flows};

/// One of them, in one role.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Softflowd,
    /// It only reads and meters.
    SoftflowdSilent,
    Nfprobe,
    Nfpcapd,
}

/// What they read, and where they write.
pub(crate) struct Others {
    folder: TempDir,
    flows: u32,
}

impl Others {
    pub(crate) fn new(flows: u32) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        flows::capture(&folder.path().join("capture.pcap"), flows)?;
        // So that processes whose parent has ended are counted as well.
        set_child_subreaper(Some(Pid::INIT))?;
        Ok(Self { folder, flows })
    }

    pub(crate) fn turn(&self, program: Program) -> Result<Turn> {
        let receiver = Receiver::start()?;
        let folder = tempfile::tempdir_in(self.folder.path())?;
        let mut command = self.command(program, folder.path(), receiver.port())?;
        let name = command.get_program().to_string_lossy().into_owned();
        let (wall, before) = (Instant::now(), children_time()?);
        let output = command.stdin(Stdio::null()).output().with_context(|| {
            format!("{name} cannot be run: install softflowd, pmacct and nfdump, or use --alone")
        })?;
        let wall = wall.elapsed();
        while let Ok(Some(_)) = wait(WaitOptions::empty()) {}
        let cpu = children_time()?.saturating_sub(before).max(Duration::from_nanos(1));
        let received = receiver.finish()?.total.records;
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let flows = u64::from(self.flows);
        if program == Program::SoftflowdSilent {
            return Ok(Turn { records: flows, cpu, wall, ..Turn::default() });
        }
        let received = match program {
            Program::Nfpcapd => stored(&text).with_context(|| format!("{name} tells no number: {text}"))?,
            _ => received,
        };
        ensure!(received > 0, "{name} exports nothing: {text}");
        Ok(Turn { records: received, sent: flows, received, cpu, wall, ..Turn::default() })
    }

    fn command(&self, program: Program, folder: &Path, port: u16) -> Result<Command> {
        let capture = self.folder.path().join("capture.pcap");
        let room = (2 * self.flows).to_string();
        let mut command = Command::new(match program {
            Program::Softflowd | Program::SoftflowdSilent => "softflowd",
            Program::Nfprobe => "pmacctd",
            Program::Nfpcapd => "nfpcapd",
        });
        match program {
            Program::Softflowd | Program::SoftflowdSilent => {
                command.args(["-d", "-m", &room, "-c", "none", "-p"]).arg(folder.join("pid"));
                command.arg("-r").arg(capture);
                if program == Program::Softflowd {
                    command.args(["-v", "5", "-n", &format!("127.0.0.1:{port}")]);
                }
            }
            Program::Nfprobe => {
                let file = folder.join("pmacctd.conf");
                fs::write(&file, nfprobe(&capture, port))?;
                command.arg("-f").arg(file);
            }
            Program::Nfpcapd => {
                command.args(["-B", &room, "-t", "3600", "-w"]).arg(folder);
                command.arg("-r").arg(capture);
            }
        }
        Ok(command)
    }
}

/// pmacctd's configuration, with pipes that hold the whole capture.
fn nfprobe(capture: &Path, port: u16) -> String {
    format!(
        "daemonize: false\n\
         pcap_savefile: {}\n\
         aggregate: src_host, dst_host, src_port, dst_port, proto, tos\n\
         plugins: nfprobe\n\
         nfprobe_receiver: 127.0.0.1:{port}\n\
         nfprobe_version: 5\n\
         nfprobe_timeouts: udp=3600:maxlife=3600:expint=60\n\
         plugin_buffer_size: 1024000\n\
         plugin_pipe_size: 204800000\n",
        capture.display()
    )
}

/// What nfpcapd says that it stored.
fn stored(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("Flows: ")?;
    rest.split(',').next()?.trim().parse().ok()
}

/// Milliseconds of a tick: USER_HZ is 100 on every architecture but Alpha and ia64.
const TICK: u64 = 10;

/// Processor time of all children that ended, from /proc/self/stat.
///
/// Source: proc(5): cutime and cstime are fields 16 and 17, in ticks.
fn children_time() -> Result<Duration> {
    let text = fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = text.rsplit_once(')').context("no name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<u64>().ok());
    let (user, system) = ticks(13).zip(ticks(14)).context("no times of children")?;
    Ok(Duration::from_millis((user + system) * TICK))
}
