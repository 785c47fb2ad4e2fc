//! A generator in the kernel: BPF_PROG_TEST_RUN with live frames, at the speed of the receiving end.
//!
//! An XDP program redirects each frame to one end of a veth pair; on the other end there must be an XDP
//! program too, or veth takes none. A veth's queue holds 256 frames and drops further ones. So the sending
//! thread stays on one CPU: there the other end empties the queue after every batch of frames. Since nothing
//! promises that, the interface's counters must agree in the end.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use rustix::net::{AddressFamily, SocketType, netdevice::name_to_index, socket};
use rustix::thread::{CpuSet, LinkNameSpaceType, move_into_link_name_space, sched_getcpu, sched_setaffinity};

use crate::netns::Netns;
use crate::process::patient;
use crate::workload::{Generator, Traffic};

pub mod cpus;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lab_send"));

const PROGRAM: &str = "lab_send";
/// Frames that the kernel makes at once.
const BATCH: u32 = 64;
/// Frames of one system call, which waits for a grace period when it has sent them.
const RUN: u64 = 1 << 20;
/// How long the other end may take for the last ones.
const PATIENCE: Duration = Duration::from_secs(5);
const ETHERNET: u64 = 14;

/// The interface's own counters of packets that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Packets that reached the other end.
    pub packets: u64,
    /// Their IP octets.
    pub octets: u64,
}

/// The generator as tests on live interfaces use it.
pub struct InKernel;

impl Generator for InKernel {
    fn send(&self, traffic: &Traffic, netns: &Netns, interface: &str) -> Result<()> {
        let namespace = File::open(Path::new("/run/netns").join(netns.name()))?;
        // A thread of its own moves into the namespace, and ends there.
        let sent = std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                stay_on(sched_getcpu())?;
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                send(interface, traffic)
            });
            sending.join().map_err(|_| anyhow::anyhow!("the generator panicked"))?
        })?;
        let wanted = Sent { packets: traffic.packets, octets: traffic.octets() };
        ensure!(sent == wanted, "{interface} sent {sent:?} instead of {wanted:?}");
        Ok(())
    }
}

/// Sends out of an interface of this thread's network namespace; returns when all has been received.
pub fn send(interface: &str, traffic: &Traffic) -> Result<Sent> {
    timed(interface, traffic, IN_TURN).map(|(sent, _)| sent)
}

/// The order of flows: in turn. Any other number takes them at random, in an order that the number picks; how
/// many packets each has is not known then.
pub const IN_TURN: u32 = 0;

/// The same, and the kernel's own figure in whole nanoseconds a packet: making the frames, sending them and,
/// where this thread stays on one CPU, all work of the other end. Loading, the wait that ends a system call
/// and other processes on the CPU are not in it.
pub fn timed(interface: &str, traffic: &Traffic, order: u32) -> Result<(Sent, Duration)> {
    let mut ebpf = load(interface, traffic, order, 0)?;
    let program = ebpf.program_mut(PROGRAM).context("no program in the generator's object")?;
    let program: &mut Xdp = program.try_into()?;
    program.load()?;
    let frame = traffic.frame(0);
    let counters = Counters::open(interface)?;
    let before = counters.read()?;
    let (mut asked, mut time) = (0, Duration::ZERO);
    while asked < traffic.packets {
        let run = RUN.min(traffic.packets - asked);
        let repeat = u32::try_from(run)?;
        time += test_run(program, &frame, repeat)? * repeat;
        asked += run;
        counters.until(before.packets + asked, before.dropped)?;
    }
    let after = counters.read()?;
    let packets = after.packets - before.packets;
    Ok((Sent { packets, octets: after.octets - before.octets - packets * ETHERNET }, time))
}

/// The program, which begins with a later flow than the traffic's first one.
fn load(interface: &str, traffic: &Traffic, order: u32, later: u32) -> Result<Ebpf> {
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let index = name_to_index(any, interface).with_context(|| format!("no interface {interface}"))?;
    // The flow's number is added to the last four octets of the first flow's source address.
    let place: u32 = if traffic.ipv6 { 14 + 8 + 12 } else { 14 + 12 };
    let frame = traffic.frame(0);
    let first = frame.get(place as usize..).and_then(|rest| rest.first_chunk()).context("a short frame")?;
    let first = u32::from_be_bytes(*first) + later;
    EbpfLoader::new()
        .override_global("FLOWS", &traffic.flows, true)
        .override_global("FIRST", &first, true)
        .override_global("PLACE", &place, true)
        .override_global("RANDOM", &order, true)
        .override_global("INTERFACE", &index, true)
        .override_global("IPV6", &u32::from(traffic.ipv6), true)
        .load(OBJECT)
        .context("cannot load the generator")
}

/// Gives the time for each frame.
fn test_run(program: &Xdp, frame: &[u8], repeat: u32) -> Result<Duration> {
    let attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
    let options = TestRunOptions { data_in: Some(frame), repeat, attrs, ..TestRunOptions::new() };
    Ok(program.test_run(options).context("the kernel takes no live frames")?.duration)
}

/// Keeps this thread on one CPU.
pub fn stay_on(cpu: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).with_context(|| format!("staying on CPU {cpu}"))
}

/// An interface's line in the kernel's list.
struct Counters {
    list: File,
    interface: String,
}

/// Packets that an interface has sent so far. A veth counts a redirected frame when its other end takes it.
#[derive(Clone, Copy)]
struct Count {
    packets: u64,
    octets: u64,
    dropped: u64,
}

impl Counters {
    fn open(interface: &str) -> Result<Self> {
        let list = File::open("/proc/thread-self/net/dev").context("the list of interfaces")?;
        Ok(Self { list, interface: interface.to_owned() })
    }

    fn read(&self) -> Result<Count> {
        let (mut octets, mut list) = ([0; 4096], Vec::new());
        // The kernel gives whole lines, as many as there is room for.
        let line = loop {
            let length = self.list.read_at(&mut octets, list.len() as u64)?;
            list.extend_from_slice(octets.get(..length).unwrap_or_default());
            let text = std::str::from_utf8(&list)?;
            let of = |line: &str| {
                line.trim_start().strip_prefix(&self.interface)?.strip_prefix(':').map(str::to_owned)
            };
            let line = text.lines().find_map(of);
            if length == 0 || line.is_some() {
                break line;
            }
        };
        let line = line.with_context(|| format!("{} is gone", self.interface))?;
        let columns = line.split_whitespace();
        // The eight columns of received packets come first.
        let mut sent = columns.skip(8).map(str::parse);
        let mut next = || anyhow::Ok(sent.next().context("too few columns")??);
        let (octets, packets, _errors, dropped) = (next()?, next()?, next()?, next()?);
        Ok(Count { packets, octets, dropped })
    }

    /// Waits for the other end to take everything up to a packet.
    fn until(&self, packets: u64, dropped: u64) -> Result<()> {
        let deadline = Instant::now() + patient(PATIENCE);
        loop {
            let count = self.read()?;
            let lost = count.dropped - dropped;
            ensure!(lost == 0, "{} dropped {lost} packets: its other end does not keep up", self.interface);
            if count.packets >= packets {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{}: the other end took {} of {packets} packets in {PATIENCE:?}: has it an XDP program?",
                self.interface,
                count.packets
            );
            std::thread::yield_now();
        }
    }
}
