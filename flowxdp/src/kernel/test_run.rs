//! One frame through the XDP program, by BPF_PROG_TEST_RUN, with its time and lengths in front of it.

use anyhow::{Context, ensure};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use flowxdp_common::meta::Meta;

/// Octets of a frame that the kernel takes in a test run; the rest of a longer one is not looked at.
pub const MOST: usize = 60_000;

/// The shortest frame that the kernel takes.
const LEAST: usize = 14;

/// `XDP_PASS` from the kernel's interface.
const PASS: u32 = 2;

/// The context of a test run: `struct xdp_md`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Context_ {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_ifindex: u32,
    rx_queue_index: u32,
    egress_ifindex: u32,
}

/// Sends frames through a program; keeps the buffer between them.
#[derive(Debug, Default)]
pub struct Runner {
    buffer: Vec<u8>,
}

impl Runner {
    /// Runs `program` on a frame of which `frame` was captured.
    ///
    /// # Errors
    ///
    /// The kernel refused the run, or the program did not pass the packet on.
    pub fn run(
        &mut self,
        program: &Xdp,
        frame: &[u8],
        wire: u32,
        time: u64,
        ingress: u32,
    ) -> anyhow::Result<()> {
        let captured = frame.get(..MOST).unwrap_or(frame);
        let [low, high] = [time & u64::from(u32::MAX), time >> 32];
        let meta = Meta {
            time_low: u32::try_from(low)?,
            time_high: u32::try_from(high)?,
            wire,
            captured: u32::try_from(captured.len())?,
            ingress,
            pad: 0,
        };
        self.buffer.clear();
        self.buffer.extend_from_slice(bytemuck::bytes_of(&meta));
        self.buffer.extend_from_slice(captured);
        self.buffer.resize(self.buffer.len().max(size_of::<Meta>() + LEAST), 0);
        let context = Context_ {
            data: u32::try_from(size_of::<Meta>())?,
            data_end: u32::try_from(self.buffer.len())?,
            data_meta: 0,
            ingress_ifindex: 0,
            rx_queue_index: 0,
            egress_ifindex: 0,
        };
        let options = TestRunOptions {
            data_in: Some(&self.buffer),
            ctx_in: Some(bytemuck::bytes_of(&context)),
            ..TestRunOptions::new()
        };
        let result = program.test_run(options).context("the kernel refuses a test run of the program")?;
        ensure!(result.return_value == PASS, "the program returned {} for a frame", result.return_value);
        Ok(())
    }
}
