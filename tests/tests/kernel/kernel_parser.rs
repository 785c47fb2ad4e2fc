//! The parser in the kernel and its build for the host give the same verdict on every frame.
//!
//! Each frame is a test run of the real XDP program, both entry points, with frames from metadata as a replay
//! has them and without as an interface has them. The program's counters and flow table are compared with the
//! host's verdict on the same octets: the whole key, octets, TCP flags, TTL, lengths and the reason for
//! ignoring. `FLOWXDP_SEED` repeats the random frames of an earlier run.

use anyhow::{Context, Result, bail, ensure};
use flowxdp::capture::to_ethernet;
use flowxdp::kernel::counters::{self, Row};
use flowxdp::kernel::load::{Loaded, TableSize, load};
use flowxdp::kernel::{cpus, test_run};
use flowxdp_common::field::{Groups, WIDEST};
use flowxdp_common::names::{PROGRAM, PROGRAM_FRAGS};
use flowxdp_common::reason::Ignored;
use flowxdp_common::slot::{FREE, LIVE};
use flowxdp_common::switch::Switches;
use flowxdp_common::tunnel;
use flowxdp_core::metering::retire::Table;
use flowxdp_core::metering::slots::{FlowCounters, Slot};
use flowxdp_fuzz::corpus;
use flowxdp_fuzz::input::Input;
use flowxdp_fuzz::mutate::{Case, Random};
use flowxdp_fuzz::outcome::{GROUPS, Metered, Outcome, outcome, outcome_inside};
use flowxdp_tests::craft::catalogue;
use flowxdp_tests::failures::{Failures, tell};

/// Every program in every way to load it: for replays and for interfaces, with the groups of fields that it
/// collects, and with tunnels opened.
const PROGRAMS: [(&str, bool, Groups, bool); 10] = [
    (PROGRAM, true, GROUPS, false),
    (PROGRAM_FRAGS, true, GROUPS, false),
    (PROGRAM, false, GROUPS, false),
    (PROGRAM_FRAGS, false, GROUPS, false),
    (PROGRAM, true, Groups::BASE, false),
    (PROGRAM_FRAGS, false, Groups::BASE, false),
    (PROGRAM, true, GROUPS, true),
    (PROGRAM_FRAGS, true, GROUPS, true),
    (PROGRAM, false, GROUPS, true),
    (PROGRAM_FRAGS, false, GROUPS, true),
];
/// Instructions that the verifier may look at: a fifth of its limit, and half of it with tunnels opened.
const VERIFIED: [u32; 2] = [200_000, 500_000];
/// A UDP port of VXLAN beside its own.
const VXLAN: u16 = 8472;
/// Random frames for each program.
const RANDOM: usize = 20_000;
/// Octets that surely are in the first buffer of a test run, and may be all that a program takes.
const LINEAR: usize = 3_400;
/// A frame of fewer octets gets more: the kernel takes no shorter one.
const LEAST: usize = 14;
/// Interface of replayed frames; nothing needs to have that number.
const REPLAYED: u32 = 4_711;
/// Interface of a test run without metadata: the loopback device.
const LOOPBACK: u32 = 1;
/// Differences that one test shows.
const SHOWN: usize = 10;
/// Time of every frame.
const TIME: u64 = 1_700_000_000_123_456_789;

/// A program with its tables.
struct Kernel {
    name: &'static str,
    replay: bool,
    inside: bool,
    loaded: Loaded,
    runner: test_run::Runner,
    before: Row,
}

impl Kernel {
    fn new((name, replay, groups, inside): (&'static str, bool, Groups, bool)) -> Result<Self> {
        // One flow at a time: a window for each CPU is enough, and it is looked through after each frame.
        let partitions = cpus::possible()?;
        let flows = u64::from(partitions);
        let vxlan_ports = [VXLAN.into(), 0, 0, 0, 0, 0, 0, 0];
        let switches = match inside {
            true => Switches { tunnels: 1, vxlan_ports, ..Switches::DEFAULT },
            false => Switches::DEFAULT,
        };
        let mut loaded = load(&TableSize {
            flows_v4: flows,
            flows_v6: flows,
            partitions,
            ring: 1 << 16,
            groups,
            switches: Switches { replay: replay.into(), ..switches },
        })?;
        loaded.rows.insert(if replay { REPLAYED } else { LOOPBACK }, 1, 0)?;
        loaded.program(name)?;
        Ok(Self { name, replay, inside, loaded, runner: test_run::Runner::default(), before: Row::default() })
    }

    /// The part of a frame that the program gets, and the host's verdict on it.
    fn expected<'a>(&self, case: &'a Case, padded: &'a mut Vec<u8>) -> (&'a [u8], Outcome) {
        let most = if self.name == PROGRAM { LINEAR } else { test_run::MOST };
        let octets = case.octets.get(..most).unwrap_or(&case.octets);
        if self.replay {
            return (octets, self.outcome(octets, case.wire, REPLAYED));
        }
        padded.clear();
        padded.extend(octets);
        padded.resize(octets.len().max(LEAST), 0);
        // Nothing tells such a program of a snap length.
        (padded, self.outcome(padded, 0, LOOPBACK))
    }

    /// The host's verdict.
    fn outcome(&self, octets: &[u8], wire: u32, ingress: u32) -> Outcome {
        match self.inside {
            true => outcome_inside(octets, wire, ingress, &[VXLAN]),
            false => outcome(octets, wire, ingress),
        }
    }

    /// Octets outside of the packet that was metered by the header inside a tunnel are counted apart.
    fn unwrapped(&self, octets: &[u8], wire: u32, expected: Outcome) -> (u64, u64) {
        match (expected, outcome(octets, wire, 0)) {
            (Ok(inside), Ok(outside)) if tunnel::kind(inside.key.vlan) != tunnel::NONE => {
                (1, u64::from(outside.octets - inside.octets))
            }
            _ => (0, 0),
        }
    }

    /// Runs the program on one frame, of which nothing is left behind.
    fn check(&mut self, case: &Case) -> Result<()> {
        let mut padded = Vec::new();
        let (octets, expected) = self.expected(case, &mut padded);
        let program = self.loaded.program(self.name)?;
        self.runner.run(program, octets, case.wire, TIME, REPLAYED)?;
        let now = counters::row(&self.loaded.counters, 1);
        let before = std::mem::replace(&mut self.before, now);
        let (flows4, flows6) = (drain(&mut self.loaded.flows_v4), drain(&mut self.loaded.flows_v6));
        ensure!(now.lost[0].packets == 0 && now.overflow.packets == 0, "it found no slot: {now:?}");
        let seen = (now.seen.packets - before.seen.packets, now.seen.octets - before.seen.octets);
        let ignored = [Ignored::NotIp, Ignored::Truncated, Ignored::Malformed].into_iter().find_map(|why| {
            let (now, before) = (now.ignored[why as usize], before.ignored[why as usize]);
            (now != before).then(|| (why, now.packets - before.packets, now.octets - before.octets))
        });
        let wire = if self.replay { case.wire.into() } else { octets.len() as u64 };
        let (got, counted) = match (&[flows4, flows6].concat()[..], ignored) {
            ([(part, cold)], None) => (Ok(self.metered(part, cold, expected)?), part.octets),
            ([], Some((why, 1, octets))) if octets == wire => (Err(why), octets),
            (flows, ignored) => bail!("flows {flows:?}, ignored {ignored:?}"),
        };
        ensure!(seen == (1, counted), "seen {seen:?}, in the flow or ignored {counted} octets");
        let unwrapped = (
            now.unwrapped.packets - before.unwrapped.packets,
            now.unwrapped.octets - before.unwrapped.octets,
        );
        let wire = if self.replay { case.wire } else { 0 };
        let outside = self.unwrapped(octets, wire, expected);
        ensure!(unwrapped == outside, "unwrapped {unwrapped:?}, not {outside:?}");
        ensure!(got == expected, "the kernel says {got:?}, the host {expected:?}");
        Ok(())
    }

    /// A flow of one packet; without groups its cold fields are none, and taken from `expected`.
    fn metered(&self, part: &FlowCounters, cold: &[u8], expected: Outcome) -> Result<Metered> {
        let octets = u32::try_from(part.octets)?;
        let length = u16::try_from(octets).unwrap_or(u16::MAX);
        ensure!(part.packets == 1 && part.first == part.last && part.ttl_min == part.ttl_max, "{part:?}");
        ensure!(part.length_min == length && part.length_max == length, "{part:?}");
        ensure!(!self.replay || part.first == TIME, "{part:?}");
        let cold = match expected {
            Ok(expected) if self.loaded.size.groups == Groups::BASE => {
                ensure!(cold.is_empty(), "cold fields that no group asked for");
                expected.cold
            }
            _ => cold.try_into().context("not all cold fields")?,
        };
        Ok(Metered { key: part.key, octets, tcp_flags: part.tcp_flags, ttl: part.ttl_min, cold })
    }
}

/// Takes all flows out. No packet is on its way while a test run is not.
fn drain<T: Table>(table: &mut T) -> Vec<(FlowCounters, Vec<u8>)> {
    let (mut parts, mut row) = (Vec::new(), [0; WIDEST]);
    for index in 0..table.len() {
        if table.state(index) == LIVE {
            parts.push((table.copy(index).counters(), table.cold(index, &mut row).to_vec()));
            table.set_state(index, FREE);
        }
    }
    parts
}

/// All programs on all of these frames.
fn all(cases: &[(String, Case)]) -> Result<()> {
    let mut failures = Failures::default();
    for load in PROGRAMS {
        let (name, replay, groups, inside) = load;
        let mut kernel = Kernel::new(load)?;
        let mut differences = 0;
        for (story, case) in cases {
            if let Err(error) = kernel.check(case) {
                differences += 1;
                if differences <= SHOWN {
                    let hex: String = case.octets.iter().map(|octet| format!("{octet:02x}")).collect();
                    let told = format!("{error:#}; {} octets on the wire: {hex}", case.wire);
                    failures.check(
                        &format!("{name}, replay {replay}, {groups:?}, inside {inside}, {story}"),
                        || -> Result<()> { bail!(told) },
                    );
                }
            }
        }
        failures.check(&format!("{name}, replay {replay}, {groups:?}, inside {inside}"), || {
            ensure!(differences == 0, "{differences} of {} frames get another answer", cases.len());
            Ok(())
        });
    }
    failures.end()
}

/// The kernel's limit is a million; older ones need more for the same program.
#[test]
fn the_verifier_is_done_early() -> Result<()> {
    for load in PROGRAMS {
        let (name, replay, groups, inside) = load;
        let info = Kernel::new(load)?.loaded.program(name)?.info()?;
        let count = info.verified_instruction_count().context("the kernel does not tell")?;
        let told =
            format!("{name}, replay {replay}, {groups:?}, inside {inside}: {count} instructions verified");
        tell(&told);
        ensure!(count < VERIFIED[usize::from(inside)], told);
    }
    Ok(())
}

fn crafted() -> Result<Vec<(String, Case)>> {
    let mut cases = Vec::new();
    for frame in catalogue().into_iter().flat_map(|file| file.frames) {
        let mut octets = Vec::new();
        let lengths = to_ethernet(frame.link, &frame.data, frame.wire, &mut octets)?;
        cases.push((frame.story, Case { octets, wire: lengths.wire }));
    }
    Ok(cases)
}

#[test]
fn crafted_frames() -> Result<()> {
    let cases = crafted()?;
    ensure!(cases.iter().any(|(_, case)| case.octets.len() > test_run::MOST), "no frame above the limit");
    all(&cases)
}

#[test]
fn the_corpus_of_the_fuzzer() -> Result<()> {
    let inputs = corpus::read("parser")?;
    let case = |data: &[u8]| {
        let input = Input::decode(data)?;
        Some(Case { octets: input.octets.to_vec(), wire: input.wire })
    };
    let cases: Vec<_> = inputs.iter().filter_map(|(name, data)| Some((name.clone(), case(data)?))).collect();
    all(&cases)
}

#[test]
fn random_frames() -> Result<()> {
    let seed = match std::env::var("FLOWXDP_SEED") {
        Ok(seed) => seed.parse().with_context(|| format!("FLOWXDP_SEED={seed} is no number"))?,
        Err(_) => u64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_nanos() & u128::from(u64::MAX))?,
    };
    tell(&format!("random frames: FLOWXDP_SEED={seed}"));
    let mut random = Random(seed);
    let valid: Vec<Case> = crafted()?.into_iter().map(|(_, case)| case).collect();
    let name = |number| format!("frame {number} of FLOWXDP_SEED={seed}");
    let cases: Vec<_> = (0..RANDOM).map(|number| (name(number), Case::random(&mut random, &valid))).collect();
    let long = cases.iter().filter(|(_, case)| case.octets.len() > 3_600).count();
    ensure!(long > RANDOM / 10, "{long} long frames");
    all(&cases)
}
