//! The generator on several CPUs at once, a thread on each.
//!
//! The interface needs a queue for each CPU, so that every CPU empties the one that it fills.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use aya::programs::Xdp;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Counters, ETHERNET, IN_TURN, PROGRAM, load, stay_on, test_run};
use crate::netns::Netns;
use crate::traffic::Traffic;

/// Frames of one system call; between two of them a CPU may go away.
const RUN: u64 = 1 << 14;

/// CPUs that are online.
pub fn online() -> Result<Vec<usize>> {
    let text = fs::read_to_string("/sys/devices/system/cpu/online").context("the list of CPUs")?;
    let mut cpus = Vec::new();
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cpus.extend(first.parse::<usize>()?..=last.parse::<usize>()?);
    }
    Ok(cpus)
}

/// Sends from every CPU its share; all packets have reached the other end when it returns.
pub fn send(netns: &Netns, interface: &str, shares: &[(usize, Traffic)]) -> Result<()> {
    let namespace = File::open(Path::new("/run/netns").join(netns.name()))?;
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            // Threads that it starts are in the namespace too.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            send_here(interface, shares)
        });
        sending.join().map_err(|_| anyhow::anyhow!("the generator panicked"))?
    })
}

fn send_here(interface: &str, shares: &[(usize, Traffic)]) -> Result<()> {
    let counters = Counters::open(interface)?;
    let before = counters.read()?;
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            shares.iter().map(|(cpu, share)| scope.spawn(|| send_share(*cpu, interface, share))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow::anyhow!("a thread of the generator panicked"))?
        })
    })?;
    let packets: u64 = shares.iter().map(|(_, share)| share.packets).sum();
    let octets: u64 = shares.iter().map(|(_, share)| share.octets()).sum();
    counters.until(before.packets + packets, before.dropped)?;
    let after = counters.read()?;
    let sent = (after.packets - before.packets, after.octets - before.octets - packets * ETHERNET);
    ensure!(sent == (packets, octets), "{interface} sent {sent:?}, asked for {packets} and {octets}");
    Ok(())
}

fn send_share(cpu: usize, interface: &str, share: &Traffic) -> Result<()> {
    stay_on(cpu)?;
    let mut ebpf = load(interface, share, IN_TURN)?;
    let program = ebpf.program_mut(PROGRAM).context("no program in the generator's object")?;
    let program: &mut Xdp = program.try_into()?;
    program.load()?;
    let frame = share.frame(0);
    let mut left = share.packets;
    while left > 0 {
        let run = RUN.min(left);
        test_run(program, &frame, u32::try_from(run)?)?;
        left -= run;
    }
    Ok(())
}
