//! The other programs: each reads the capture to its end, and exports.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, WaitOptions, set_child_subreaper, wait};
use tempfile::TempDir;

use super::decode::Flow;
use super::receiver::Receiver;
use super::{Turn, flows};

/// One of them, in one role.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Softflowd,
    /// The work after the capture's end: expiry and sending.
    SoftflowdAfter,
    /// Reading and metering alone.
    SoftflowdSilent,
    Nfprobe,
    Nfpcapd,
}

/// The capture, and the output's place.
pub(crate) struct Others {
    folder: TempDir,
    flows: u32,
    captured: Vec<Flow>,
}

impl Others {
    pub(crate) fn new(flows: u32) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        flows::capture(&folder.path().join("capture.pcap"), flows)?;
        // So that processes whose parent has ended are counted as well.
        set_child_subreaper(Some(Pid::INIT))?;
        Ok(Self { folder, flows, captured: flows::captured(flows) })
    }

    pub(crate) fn turn(&self, program: Program) -> Result<Turn> {
        let receiver = Receiver::keeping()?;
        let folder = tempfile::tempdir_in(self.folder.path())?;
        let mut command = self.command(program, folder.path(), receiver.port())?;
        let name = command.get_program().to_string_lossy().into_owned();
        let (wall, before) = (Instant::now(), children_time()?);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.with_context(|| {
            format!("{name} cannot be run: install softflowd, pmacct and nfdump, or use --alone")
        })?;
        let mut input = child.stdin.take().context("no standard input")?;
        if program == Program::SoftflowdAfter {
            // Its reading cannot be behind by more than a pipe holds.
            io::copy(&mut File::open(self.capture())?, &mut input).with_context(|| name.clone())?;
        }
        drop(input);
        let read = Instant::now();
        let output = child.wait_with_output()?;
        let wall = wall.elapsed();
        while let Ok(Some(_)) = wait(WaitOptions::empty()) {}
        let cpu = children_time()?.saturating_sub(before).max(Duration::from_nanos(1));
        let received = receiver.finish()?;
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let flows = u64::from(self.flows);
        if program == Program::SoftflowdSilent {
            return Ok(Turn { records: flows, cpu, wall, ..Turn::default() });
        }
        let (sending, last) = (received.sending(), received.last());
        if matches!(program, Program::Softflowd | Program::SoftflowdAfter) {
            flows::same(&received.flows(), &self.captured, &name)?;
        }
        let (mut cpu, mut wall) = (cpu, wall);
        if program == Program::SoftflowdAfter {
            // The program has one thread, which never waits.
            wall = last.context("softflowd exports nothing")?.saturating_duration_since(read);
            cpu = wall;
        }
        let received = match program {
            Program::Nfpcapd => stored(&text).with_context(|| format!("{name} tells no number: {text}"))?,
            _ => received.total.records,
        };
        ensure!(received > 0, "{name} exports nothing: {text}");
        Ok(Turn { records: received, sent: flows, received, cpu, wall, sending, ..Turn::default() })
    }

    fn capture(&self) -> PathBuf {
        self.folder.path().join("capture.pcap")
    }

    fn command(&self, program: Program, folder: &Path, port: u16) -> Result<Command> {
        let capture = self.capture();
        let room = (2 * self.flows).to_string();
        let mut command = Command::new(match program {
            Program::Softflowd | Program::SoftflowdAfter | Program::SoftflowdSilent => "softflowd",
            Program::Nfprobe => "pmacctd",
            Program::Nfpcapd => "nfpcapd",
        });
        match program {
            Program::Softflowd | Program::SoftflowdAfter | Program::SoftflowdSilent => {
                command.args(["-d", "-m", &room, "-c", "none", "-p"]).arg(folder.join("pid"));
                let standard_input = Path::new("-");
                let is_piped = program == Program::SoftflowdAfter;
                command.arg("-r").arg(if is_piped { standard_input } else { &capture });
                if program != Program::SoftflowdSilent {
                    command.args(["-v", "5", "-n", &format!("127.0.0.1:{port}")]);
                }
            }
            Program::Nfprobe => {
                let file = folder.join("pmacctd.conf");
                fs::write(&file, nfprobe(&format!("pcap_savefile: {}", capture.display()), port, 60))?;
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

/// pmacctd's configuration, with pipes that hold a whole capture; `source` is the line that says where
/// packets come from, and expired flows are looked for every `look` seconds.
pub(crate) fn nfprobe(source: &str, port: u16, look: u32) -> String {
    format!(
        "daemonize: false\n\
         {source}\n\
         aggregate: src_host, dst_host, src_port, dst_port, proto, tos\n\
         plugins: nfprobe\n\
         nfprobe_receiver: 127.0.0.1:{port}\n\
         nfprobe_version: 5\n\
         nfprobe_timeouts: udp=3600:maxlife=3600:expint={look}\n\
         plugin_buffer_size: 1024000\n\
         plugin_pipe_size: 204800000\n"
    )
}

/// nfpcapd's own count of stored flows.
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
