//! nfacctd: a third reading of the counters, from the recording of an export.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Verdict;
use crate::flows::{Key, Record, Sums, Tuple};
use crate::process::Program;

const LIMIT: Duration = Duration::from_secs(60);

/// Seconds that nfacctd waits before it reads the file, at each try.
///
/// Once the file is read it ends its printing process by a signal; on a machine with much to do that process may not
/// have begun to read, and prints no row.
const DELAYS: [u32; 3] = [0, 1, 3];

/// Reads a recording. Its rows have no times that could be relied on, its flags are 0 where they have two octets,
/// and it overlooks most gaps.
pub fn judge(recording: &Path) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    for delay in DELAYS {
        verdict = read(recording, delay)?;
        if !verdict.records.is_empty() {
            break;
        }
    }
    Ok(verdict)
}

fn read(recording: &Path, delay: u32) -> Result<Verdict> {
    let directory = tempfile::tempdir()?;
    let configuration = directory.path().join("nfacctd.conf");
    // nfacctd writes on every refresh and at its end, the same rows twice where the two fall together: one a day.
    let settings = format!(
        "daemonize: false\npcap_savefile: {}\npcap_savefile_delay: {delay}\nplugins: print\n\
         aggregate: src_host, dst_host, src_port, dst_port, proto, tcpflags\nprint_output: json\nprint_num_protos: true\n\
         plugin_buffer_size: 10240\nplugin_pipe_size: 102400000\nprint_refresh_time: 86400\n",
        recording.display()
    );
    std::fs::write(&configuration, settings)?;
    let ended = Program::find("nfacctd")?.arg("-f").arg(&configuration).run(LIMIT)?.success()?;
    let mut verdict = Verdict::default();
    for line in ended.stdout.lines() {
        if line.starts_with('{') {
            verdict.records.push(row(line).with_context(|| format!("nfacctd: {line}"))?);
        }
    }
    let complaints = ended.stdout.lines().chain(ended.stderr.lines());
    // Its output on stdout is the answer.
    let complaints = complaints.filter(|line| !line.contains("no print_output_file"));
    let complaints =
        complaints.filter(|line| ["WARN", "ERROR", "expecting flow"].iter().any(|w| line.contains(w)));
    verdict.findings.extend(complaints.map(|line| format!("nfacctd: {line}")));
    Ok(verdict)
}

fn row(line: &str) -> Result<Record> {
    let json: Value = serde_json::from_str(line)?;
    let text = |name: &str| json.get(name).and_then(Value::as_str).with_context(|| format!("no {name}"));
    let number = |name: &str| json.get(name).and_then(Value::as_u64).with_context(|| format!("no {name}"));
    let tuple = Tuple {
        src: text("ip_src")?.parse()?,
        dst: text("ip_dst")?.parse()?,
        proto: protocol(json.get("ip_proto").context("no ip_proto")?)?,
        sport: u16::try_from(number("port_src")?)?,
        dport: u16::try_from(number("port_dst")?)?,
    };
    let flags = Some(text("tcp_flags")?.parse()?);
    let sums = Sums { packets: number("packets")?, octets: number("bytes")?, flags, ..Sums::default() };
    let key = Key { tuple, vlan: None, tos: None };
    Ok(Record { key, sums, end_reason: None, ingress: None, exported_s: None })
}

/// A number, which some versions print as text.
fn protocol(value: &Value) -> Result<u8> {
    match value.as_u64() {
        Some(number) => Ok(u8::try_from(number)?),
        None => value.as_str().context("ip_proto is neither number nor text")?.parse().context("ip_proto"),
    }
}
