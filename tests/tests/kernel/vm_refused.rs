//! Kernels on which the agent would not run or not count exactly: each command that needs the kernel is
//! refused with one line. Only for test VMs with such a kernel.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use flowxdp_tests::agent::program;
use rustix::system::uname;

const LIMIT: Duration = Duration::from_secs(60);

/// The line that this kernel deserves.
fn line() -> String {
    let uname = uname();
    let release = uname.release().to_string_lossy().into_owned();
    if uname.version().to_string_lossy().contains("PREEMPT_RT") {
        format!(
            "flowxdp: kernel {release}: a real-time kernel on which one interface's XDP may interrupt another's \
             on the same CPU cannot count exactly; boot a kernel without PREEMPT_RT, or a real-time one up to \
             6.12\n"
        )
    } else {
        format!("flowxdp: kernel {release} is too old: FlowXDP needs Linux 6.1 or newer\n")
    }
}

#[test]
fn every_command_that_needs_the_kernel_is_refused_with_one_line() -> Result<()> {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/crafted-simple.pcapng");
    ensure!(capture.is_file(), "{} is not there", capture.display());
    let capture = capture.display().to_string();
    let collector = ["--collector", "udp://127.0.0.1:9"];
    let commands = [
        ["run", "--interface", "lo"].to_vec(),
        vec!["replay", &capture],
        vec!["run", "--interface", "none*"],
    ];
    for command in commands {
        let refused = program()?.args(&command).args(collector).run(LIMIT)?;
        ensure!(refused.code == Some(1), "{command:?}: {refused:?}");
        ensure!(refused.stderr == line() && refused.stdout.is_empty(), "{command:?}: {refused:?}");
    }
    Ok(())
}
