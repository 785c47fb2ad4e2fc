//! The generator on several CPUs at once, a thread on each.
//!
//! The interface needs a queue for each CPU, so that every CPU empties the one that it fills.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::programs::Xdp;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Counters, ETHERNET, IN_TURN, PROGRAM, load, stay_on, test_run};
use crate::netns::Netns;
use crate::workload::Traffic;

/// Frames of one system call; between two of them a CPU may go away.
const RUN: u64 = 1 << 14;
/// Where TCP has its flags, and the one that ends a flow.
const FLAGS: usize = 13;
const FIN: u8 = 1;
/// At a rate, between two system calls.
const PAUSE: Duration = Duration::from_millis(20);

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

/// How [`spread`] sends.
#[derive(Clone, Copy, Default)]
pub struct Way {
    /// Packets a second, rounded as they are; none: as fast as it goes.
    pub rate: Option<u32>,
    /// Every packet has TCP's FIN, which ends its flow.
    pub ending: bool,
}

/// The packets of one CPU.
#[derive(Clone, Copy)]
struct Share {
    cpu: usize,
    traffic: Traffic,
    /// Its first flow is so many behind that of the traffic.
    later: u32,
    way: Way,
}

/// Sends from every CPU its share; all packets have reached the other end when it returns.
pub fn send(netns: &Netns, interface: &str, shares: &[(usize, Traffic)]) -> Result<()> {
    let shares = shares.iter().map(|&(cpu, traffic)| Share { cpu, traffic, later: 0, way: Way::default() });
    send_all(netns, interface, &shares.collect::<Vec<_>>())
}

/// Sends traffic from these CPUs, an equal part of its flows from each. Flows and packets are rounded down to
/// a multiple of the CPUs; gives the packets sent.
pub fn spread(
    netns: &Netns,
    interface: &str,
    traffic: &Traffic,
    cpus: &[usize],
    way: Way,
) -> Result<Traffic> {
    let number = u32::try_from(cpus.len())?;
    let (flows, packets) = (traffic.flows / number, traffic.packets / u64::from(number));
    let shares = cpus.iter().zip(0..).map(|(&cpu, at)| Share {
        cpu,
        traffic: Traffic { flows, packets, ..*traffic },
        later: at * flows,
        way: Way { rate: way.rate.map(|rate| rate / number), ..way },
    });
    send_all(netns, interface, &shares.collect::<Vec<_>>())?;
    Ok(Traffic { flows: flows * number, packets: packets * u64::from(number), ..*traffic })
}

fn send_all(netns: &Netns, interface: &str, shares: &[Share]) -> Result<()> {
    let namespace = File::open(Path::new("/run/netns").join(netns.name()))?;
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            // Threads that it starts are in the namespace too.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            send_here(interface, shares)
        });
        sending.join().map_err(|_| anyhow::anyhow!("the generator panicked"))?
    })
}

fn send_here(interface: &str, shares: &[Share]) -> Result<()> {
    let counters = Counters::open(interface)?;
    let before = counters.read()?;
    thread::scope(|scope| {
        let threads: Vec<_> =
            shares.iter().map(|share| scope.spawn(|| send_share(interface, share))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow::anyhow!("a thread of the generator panicked"))?
        })
    })?;
    let packets: u64 = shares.iter().map(|share| share.traffic.packets).sum();
    let octets: u64 = shares.iter().map(|share| share.traffic.octets()).sum();
    counters.until(before.packets + packets, before.dropped)?;
    let after = counters.read()?;
    let sent = (after.packets - before.packets, after.octets - before.octets - packets * ETHERNET);
    ensure!(sent == (packets, octets), "{interface} sent {sent:?}, asked for {packets} and {octets}");
    Ok(())
}

fn send_share(interface: &str, share: &Share) -> Result<()> {
    stay_on(share.cpu)?;
    let mut ebpf = load(interface, &share.traffic, IN_TURN, share.later)?;
    let program = ebpf.program_mut(PROGRAM).context("no program in the generator's object")?;
    let program: &mut Xdp = program.try_into()?;
    program.load()?;
    let mut frame = share.traffic.frame(0);
    if share.way.ending {
        let flags = frame.get_mut(14 + if share.traffic.ipv6 { 40 } else { 20 } + FLAGS);
        *flags.context("a short frame")? |= FIN;
    }
    let (begun, mut sent) = (Instant::now(), 0);
    while sent < share.traffic.packets {
        let due = share.way.rate.map_or(RUN, |rate| {
            // Packets that this rate has brought until now.
            let all = u128::from(rate) * begun.elapsed().as_micros() / 1_000_000;
            u64::try_from(all).unwrap_or(u64::MAX).saturating_sub(sent).min(RUN)
        });
        let run = due.min(share.traffic.packets - sent);
        if run > 0 {
            test_run(program, &frame, u32::try_from(run)?)?;
            sent += run;
        }
        if share.way.rate.is_some() {
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}
