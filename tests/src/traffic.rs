//! Senders of a [`Traffic`]: tcpreplay, or the kernel's generator where it was built.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::netns::Netns;
use crate::pcap::Writer;
use crate::process::Program;
pub use crate::workload::{Generator, TCP, Traffic, UDP};

impl Traffic {
    /// Sends all packets again and again, with a pause behind each round, while `work` runs; gives the rounds.
    pub fn rounds_while(
        &self,
        netns: &Netns,
        interface: &str,
        pause: Duration,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<u64> {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let mut rounds = 0;
                while !done.load(Ordering::Relaxed) {
                    generator().send(self, netns, interface)?;
                    rounds += 1;
                    std::thread::sleep(pause);
                }
                anyhow::Ok(rounds)
            });
            let result = work();
            done.store(true, Ordering::Relaxed);
            let rounds = sending.join().map_err(|_| anyhow::anyhow!("the generator panicked"))??;
            result.map(|()| rounds)
        })
    }
}

/// The generator that tests on live interfaces use: at full speed, where it was built.
pub fn generator() -> Box<dyn Generator + Sync> {
    #[cfg(feature = "lab")]
    let generator = crate::generator::InKernel;
    #[cfg(not(feature = "lab"))]
    let generator = Tcpreplay { rate: 100_000, cpu: None };
    Box::new(generator)
}

/// Frames of a capture file, sent by tcpreplay through a packet socket.
pub struct Tcpreplay {
    /// Packets per second: a rate that the receiving end keeps up with.
    pub rate: u32,
    /// The CPU to send from; any, if it is not named.
    pub cpu: Option<usize>,
}

impl Generator for Tcpreplay {
    fn send(&self, traffic: &Traffic, netns: &Netns, interface: &str) -> Result<()> {
        self.send_frames((0..traffic.flows).map(|flow| traffic.frame(flow)), traffic, netns, interface)
    }
}

impl Tcpreplay {
    /// Sends these frames, one of each flow, as often as the traffic says.
    pub fn send_frames(
        &self,
        frames: impl Iterator<Item = Vec<u8>>,
        traffic: &Traffic,
        netns: &Netns,
        interface: &str,
    ) -> Result<()> {
        let rounds = traffic.packets / u64::from(traffic.flows);
        ensure!(
            rounds * u64::from(traffic.flows) == traffic.packets,
            "flows of different length: {traffic:?}"
        );
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("traffic.pcap");
        let mut writer = Writer::create(&file)?;
        for (time, frame) in (0..).zip(frames) {
            writer.frame(time, &frame)?;
        }
        writer.finish()?;
        let dropped = netns.counter(interface, "tx_dropped")?;
        let arguments = ["-q", "-K", "-i", interface, "--loop", &rounds.to_string()];
        let tcpreplay = match self.cpu {
            Some(cpu) => {
                let tcpreplay = Program::find("tcpreplay")?;
                Program::find("taskset")?.args(["--cpu-list", &cpu.to_string()]).arg(tcpreplay.path())
            }
            None => Program::find("tcpreplay")?,
        };
        let tcpreplay = tcpreplay.args(arguments).arg(format!("--pps={}", self.rate)).arg(&file);
        let done = tcpreplay.netns(netns).run(Duration::from_secs(120))?.success()?;
        let sent = done.stdout.lines().find_map(|line| line.trim().strip_prefix("Successful packets:"));
        let sent: u64 = sent.context("tcpreplay says nothing")?.trim().parse()?;
        ensure!(sent == traffic.packets, "tcpreplay sent {sent} of {} packets", traffic.packets);
        let dropped = netns.counter(interface, "tx_dropped")? - dropped;
        ensure!(dropped == 0, "{interface} dropped {dropped} packets before anybody could meter them");
        Ok(())
    }
}
