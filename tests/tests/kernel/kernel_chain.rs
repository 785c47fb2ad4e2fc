//! An agent beside another XDP program: both run, the other one decides, and never stops running.
//!
//! Packets that the other drops must not arrive behind the interface, by the kernel's own counter, at any
//! instant of the agent's life: attaching, stopping, killed, started again, cleaned up after.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::{LIMIT, Live, program};
use flowxdp_tests::books::Count;
use flowxdp_tests::bpffs::Bpffs;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::{Failures, tell};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::neighbour::{How, Neighbour, Verdicts};
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::{Finished, bounded};
use flowxdp_tests::traffic::{Generator, TCP, Tcpreplay, Traffic, UDP, generator};

const SENDER: &str = "gen0";
const METERED: &str = "met0";
/// Somewhere to send to that nobody listens at.
const NOWHERE: &str = "udp://127.0.0.1:9";

const DROPPED: Traffic = Traffic { flows: 10, packets: 3_000, ipv6: false, protocol: UDP, length: 100 };
const PASSED: Traffic = Traffic { flows: 10, packets: 2_000, ipv6: false, protocol: TCP, length: 200 };
const BOUNCED: Traffic = Traffic { flows: 10, packets: 1_000, ipv6: true, protocol: TCP, length: 300 };

/// Every way in which another's program can be there.
const WAYS: [(How, bool); 4] =
    [(How::Interface, true), (How::Interface, false), (How::Link, true), (How::Link, false)];

/// A veth pair, a BPF file system, and a neighbour on the metered end.
struct Scene {
    neighbour: Neighbour,
    netns: Netns,
    bpffs: Bpffs,
}

impl Scene {
    fn empty(mtu: u32) -> Result<(Netns, Bpffs)> {
        let netns = Netns::new("chain")?;
        netns.veth(SENDER, METERED)?;
        for end in [SENDER, METERED] {
            netns.ip(&format!("link set dev {end} mtu {mtu}"))?;
        }
        // The sender's end takes bounced packets only with a program of its own.
        let bpffs = Bpffs::new()?;
        Neighbour::without_opinion()?.attach(&netns, SENDER, How::Interface, true, &bpffs)?;
        Ok((netns, bpffs))
    }

    fn new(how: How, native: bool) -> Result<Self> {
        let (netns, bpffs) = Self::empty(1500)?;
        let mut neighbour = Neighbour::new()?;
        neighbour.attach(&netns, METERED, how, native, &bpffs)?;
        Ok(Self { neighbour, netns, bpffs })
    }

    fn pins(&self) -> String {
        self.bpffs.pins().display().to_string()
    }

    fn agent(&self, url: &str, more: &[&str]) -> Result<Live> {
        let pins = self.pins();
        let mut arguments = vec!["--interface", METERED, "--chain", "--pin", &pins, "--collector", url];
        arguments.extend(more);
        Live::start(&self.netns, &arguments)
    }

    /// `flowxdp detach` of the metered end.
    fn detach(&self) -> Result<Finished> {
        let detach = program()?.args(["detach", "--interface", METERED, "--pin", &self.pins()]);
        detach.netns(&self.netns).run(LIMIT)
    }

    /// The neighbour must be alone on the metered end, and nothing of ours left.
    fn expect_alone(&mut self) -> Result<()> {
        let (now, its) = (self.netns.xdp(METERED)?, self.neighbour.id()?);
        ensure!(now.as_ref().is_some_and(|(id, _)| *id == its), "not the neighbour {its}, but {now:?}");
        let left = self.bpffs.left_in("flowxdp")?;
        ensure!(left.is_empty(), "pins are left: {left:?}");
        Ok(())
    }

    /// Ours must be on the metered end.
    fn expect_ours(&self, name: &str) -> Result<()> {
        let now = self.netns.xdp(METERED)?;
        ensure!(now.as_ref().is_some_and(|(_, its)| its == name), "not {name}, but {now:?}");
        Ok(())
    }

    /// Sends all three kinds; the other program's verdict must hold for each.
    fn send(&self, generator: &dyn Generator) -> Result<()> {
        let before = (self.neighbour.verdicts()?, self.netns.arrived(METERED)?);
        let back = self.netns.counter(SENDER, "rx_packets")?;
        for traffic in [DROPPED, PASSED, BOUNCED] {
            generator.send(&traffic, &self.netns, SENDER)?;
        }
        let now = self.neighbour.verdicts()?;
        let verdicts = Verdicts {
            dropped: now.dropped - before.0.dropped,
            passed: now.passed - before.0.passed,
            bounced: now.bounced - before.0.bounced,
        };
        let wanted = Verdicts { dropped: DROPPED.packets, passed: PASSED.packets, bounced: BOUNCED.packets };
        ensure!(verdicts == wanted, "the neighbour's verdicts: {verdicts:?}");
        let arrived = self.netns.arrived(METERED)? - before.1;
        ensure!(arrived == PASSED.packets, "{arrived} packets arrived behind the interface");
        let back = self.netns.counter(SENDER, "rx_packets")? - back;
        ensure!(back == BOUNCED.packets, "{back} packets came back");
        Ok(())
    }
}

fn sent() -> Count {
    [DROPPED, PASSED, BOUNCED].iter().map(|it| Count { packets: it.packets, octets: it.octets() }).sum()
}

fn both_run(how: How, native: bool) -> Result<()> {
    let mut scene = Scene::new(how, native)?;
    // The kernel's generator needs a driver that takes frames.
    let generator = if native { generator() } else { Box::new(Tcpreplay { rate: 50_000, cpu: None }) };
    scene.send(&*generator).context("before")?;
    let nfcapd = Nfcapd::start(Some(&scene.netns))?;
    let live = scene.agent(&nfcapd.url(), &[])?;
    scene.expect_ours("flowxdp")?;
    scene.send(&*generator).context("beside")?;
    let books = live.status()?;
    books.at_rest()?;
    ensure!(books.seen == sent(), "seen {:?}, sent {:?}", books.seen, sent());
    live.stop()?.success()?;
    scene.expect_alone()?;
    scene.send(&*generator).context("afterwards")?;
    let records = nfcapd.stop()?.clean()?;
    let mut truth = DROPPED.truth();
    truth.merge(&PASSED.truth());
    truth.merge(&BOUNCED.truth());
    equal(&truth, &Flows::by_tuple(&records), Columns::WITHOUT_TTL)
}

#[test]
fn both_run_and_the_others_verdict_stands() -> Result<()> {
    let mut failures = Failures::default();
    for (how, native) in WAYS {
        failures.check(&format!("{how:?}, native {native}"), || both_run(how, native));
    }
    failures.end()
}

#[test]
fn packets_in_several_buffers_have_a_program_of_their_own() -> Result<()> {
    let (netns, bpffs) = Scene::empty(9000)?;
    let mut neighbour = Neighbour::big()?;
    neighbour.attach(&netns, METERED, How::Link, true, &bpffs)?;
    let mut scene = Scene { neighbour, netns, bpffs };
    let live = scene.agent(NOWHERE, &[])?;
    scene.expect_ours("flowxdp_frags")?;
    scene.send(&*generator())?;
    let seen = live.status()?.seen;
    ensure!(seen == sent(), "seen {seen:?}");
    live.stop()?.success()?;
    scene.expect_alone()
}

/// Runs something while packets come in all the time that the neighbour drops; none of them may arrive.
fn without_a_gap(scene: &Scene, what: impl FnOnce() -> Result<()>) -> Result<u64> {
    let before = (scene.neighbour.verdicts()?, scene.netns.arrived(METERED)?);
    let done = AtomicBool::new(false);
    let round = Traffic { packets: 100_000, ..DROPPED };
    let (result, sent) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut sent = 0;
            while !done.load(Ordering::Relaxed) {
                generator().send(&round, &scene.netns, SENDER)?;
                sent += round.packets;
            }
            anyhow::Ok(sent)
        });
        let result = what();
        done.store(true, Ordering::Relaxed);
        (result, sending.join())
    });
    result?;
    let sent = sent.map_err(|_| anyhow::anyhow!("the generator panicked"))??;
    let arrived = scene.netns.arrived(METERED)? - before.1;
    ensure!(arrived == 0, "{arrived} of {sent} packets arrived that the neighbour drops");
    let dropped = scene.neighbour.verdicts()?.dropped - before.0.dropped;
    ensure!(dropped == sent, "the neighbour got {dropped} of {sent} packets");
    Ok(sent)
}

/// Lets packets be counted for a while.
fn metering(live: &mut Live) -> Result<()> {
    let seen = live.status()?.seen.packets;
    live.until(LIMIT, "metering", |books| books.seen.packets > seen + u64::from(bounded(100_000)))?;
    live.status()?.balance()
}

#[test]
fn the_other_runs_at_every_instant() -> Result<()> {
    let mut failures = Failures::default();
    for how in [How::Interface, How::Link] {
        failures.check(&format!("{how:?}"), || {
            let mut scene = Scene::new(how, true)?;
            let sent = without_a_gap(&scene, || {
                for _ in 0..3 {
                    let mut live = scene.agent(NOWHERE, &[])?;
                    metering(&mut live)?;
                    live.stop()?.success()?;
                }
                for _ in 0..2 {
                    let mut live = scene.agent(NOWHERE, &["--keep"])?;
                    metering(&mut live)?;
                    live.stop()?.success()?;
                    scene.expect_ours("flowxdp")?;
                }
                for _ in 0..3 {
                    let mut live = scene.agent(NOWHERE, &[])?;
                    metering(&mut live)?;
                    live.kill()?;
                }
                scene.detach()?.success()?;
                let mut live = scene.agent(NOWHERE, &[])?;
                metering(&mut live)?;
                live.kill()?;
                scene.detach().map(drop)
            })?;
            scene.expect_alone()?;
            tell(&format!("{how:?}: {sent} packets, none arrived"));
            Ok(())
        });
    }
    failures.end()
}

/// The file of an agent with a table of this size.
fn sized(file: &Path, flows: u32) -> Result<()> {
    Ok(std::fs::write(file, format!("[monitor]\nflows = {flows}\nflows6 = {flows}\n"))?)
}

#[test]
fn a_table_of_another_size_runs_beside_the_same_other() -> Result<()> {
    let mut failures = Failures::default();
    for how in [How::Interface, How::Link] {
        failures.check(&format!("{how:?}"), || {
            let (mut scene, folder) = (Scene::new(how, true)?, tempfile::tempdir()?);
            let file = folder.path().join("flowxdp.toml");
            sized(&file, 16_384)?;
            let mut live = scene.agent(NOWHERE, &["--config", &file.display().to_string()])?;
            let sent = without_a_gap(&scene, || {
                for flows in [20_000, 16_384] {
                    sized(&file, flows)?;
                    program()?.args(["reload", "--socket"]).arg(live.socket()).run(LIMIT)?.success()?;
                    scene.expect_ours("flowxdp")?;
                    metering(&mut live)?;
                }
                Ok(())
            })?;
            let books = live.status()?;
            books.at_rest()?;
            ensure!(books.seen.packets == sent, "seen {:?} of {sent} packets", books.seen);
            live.stop()?.success()?;
            scene.expect_alone()
        });
    }
    failures.end()
}

#[test]
fn a_killed_agents_program_is_named_taken_over_and_taken_away() -> Result<()> {
    let mut failures = Failures::default();
    for (how, native) in WAYS {
        failures.check(&format!("{how:?}, native {native}"), || {
            let mut scene = Scene::new(how, native)?;
            scene.agent(NOWHERE, &[])?.kill()?;
            scene.expect_ours("flowxdp")?;
            let orphan = scene.netns.xdp(METERED)?;
            let run = program()?.args(["run", "--interface", METERED, "--collector", NOWHERE]);
            let refused = run.netns(&scene.netns).run(LIMIT)?;
            ensure!(refused.code == Some(1), "{refused:?}");
            ensure!(refused.stderr.contains("flowxdp detach --interface met0"), "{}", refused.stderr);
            ensure!(scene.netns.xdp(METERED)? == orphan, "the orphan was touched");

            let live = scene.agent(NOWHERE, &[])?;
            ensure!(scene.netns.xdp(METERED)? != orphan, "the orphan is there still");
            let left = scene.bpffs.left_in("flowxdp")?;
            let arrays = left.iter().filter(|name| name.starts_with("chain-")).count();
            ensure!(arrays == 1, "not one array, of the running agent: {left:?}");
            let refused = scene.detach()?;
            ensure!(refused.code == Some(1) && refused.stderr.contains("another agent"), "{refused:?}");
            let socket = live.socket().with_extension("other");
            let second = program()?.args(["run", "--interface", METERED, "--collector", NOWHERE, "--chain"]);
            let second = second.args(["--pin", &scene.pins()]).arg("--socket").arg(socket);
            let refused = second.netns(&scene.netns).run(LIMIT)?;
            ensure!(refused.code == Some(1) && refused.stderr.contains("another agent"), "{refused:?}");
            live.kill()?;

            let done = scene.detach()?.success()?;
            ensure!(done.stdout.contains("lab_verdict"), "{}", done.stdout);
            scene.expect_alone()?;
            let again = scene.detach()?;
            ensure!(again.code == Some(1) && again.stderr.contains("lab_verdict"), "{again:?}");
            scene.expect_alone()
        });
    }
    failures.end()
}

#[test]
fn nothing_to_take_away() -> Result<()> {
    let (netns, _bpffs) = Scene::empty(1500)?;
    let nothing = program()?.args(["detach", "--interface", METERED]).netns(&netns).run(LIMIT)?;
    ensure!(nothing.code == Some(1) && nothing.stderr.contains("met0: no XDP program"), "{nothing:?}");
    let missing = program()?.args(["detach", "--interface", "nosuch0"]).netns(&netns).run(LIMIT)?;
    ensure!(missing.code == Some(1) && missing.stderr.contains("nosuch0"), "{missing:?}");
    Ok(())
}

#[test]
fn a_free_interface_is_metered_as_ever() -> Result<()> {
    let (netns, bpffs) = Scene::empty(1500)?;
    let pins = bpffs.pins().display().to_string();
    let arguments = ["--interface", METERED, "--chain", "--pin", &pins, "--collector", NOWHERE];
    let live = Live::start(&netns, &arguments)?;
    generator().send(&PASSED, &netns, SENDER)?;
    let seen = live.status()?.seen.packets;
    ensure!(seen == PASSED.packets, "seen {seen}");
    live.stop()?.success()?;
    netns.expect_clean(METERED)?;
    ensure!(bpffs.left_in("flowxdp")?.is_empty(), "pins are left");
    Ok(())
}

#[test]
fn what_cannot_be_leaves_the_other_alone() -> Result<()> {
    let (netns, bpffs) = Scene::empty(1500)?;
    netns.veth("gen1", "met1")?;
    let mut generic = Neighbour::new()?;
    generic.attach(&netns, "met1", How::Link, false, &bpffs)?;
    let mut neighbour = Neighbour::new()?;
    neighbour.attach(&netns, METERED, How::Interface, true, &bpffs)?;
    let mut scene = Scene { neighbour, netns, bpffs };
    let directory = tempfile::tempdir()?;
    let fails = |interfaces: &str, pins: &str, word: &str| -> Result<()> {
        let run = program()?.args(["run", "--chain", "--interface", interfaces, "--pin", pins]);
        let run = run.args(["--mode", "native", "--collector", NOWHERE, "--socket"]);
        let ended = run.arg(directory.path().join("status.sock")).netns(&scene.netns).run(LIMIT)?;
        ensure!(ended.code == Some(1) && ended.stderr.contains(word), "{ended:?}");
        Ok(())
    };
    // The first comes beside its neighbour before the second is refused.
    fails("met0,met1", &scene.pins(), "met1: lab_verdict")?;
    fails(METERED, "/tmp", "mount -t bpf")?;
    scene.expect_alone()?;
    let second = scene.netns.xdp("met1")?;
    ensure!(second.is_some_and(|(_, name)| name == "lab_verdict"), "the other neighbour was touched");
    scene.send(&*generator())
}

#[test]
fn another_neighbour_meanwhile() -> Result<()> {
    let mut scene = Scene::new(How::Interface, true)?;
    let mut live = scene.agent(NOWHERE, &[])?;
    scene.neighbour = Neighbour::new()?;
    scene.neighbour.attach(&scene.netns, METERED, How::Interface, true, &scene.bpffs)?;
    live.until_log(LIMIT, "beside the new one", |log| {
        log.contains("took the place") && log.matches("metering beside").count() == 2
    })?;
    scene.expect_ours("flowxdp")?;
    scene.send(&*generator())?;
    // One that comes in the last moment stays.
    let mut last = Neighbour::new()?;
    live.signal(rustix::process::Signal::STOP)?;
    last.attach(&scene.netns, METERED, How::Interface, true, &scene.bpffs)?;
    live.signal(rustix::process::Signal::TERM)?;
    live.signal(rustix::process::Signal::CONT)?;
    let ended = live.stop()?.success()?;
    ensure!(ended.stderr.contains("took the place"), "the log does not say it: {}", ended.stderr);
    scene.neighbour = last;
    scene.expect_alone()
}

#[test]
fn the_other_ends_and_comes_back_or_not() -> Result<()> {
    let mut scene = Scene::new(How::Link, true)?;
    let mut live = scene.agent(NOWHERE, &[])?;
    // Its link goes with its owner.
    scene.neighbour = Neighbour::new()?;
    live.until_log(LIMIT, "told", |log| log.contains("ended, and the metering there with it"))?;
    scene.neighbour.attach(&scene.netns, METERED, How::Link, true, &scene.bpffs)?;
    live.until_log(LIMIT, "beside the new one", |log| log.matches("metering beside").count() == 2)?;
    scene.send(&*generator())?;
    let seen = live.status()?.seen;
    ensure!(seen == sent(), "seen {seen:?}");
    scene.neighbour = Neighbour::new()?;
    live.until_log(LIMIT, "alone", |log| log.contains("metering alone"))?;
    generator().send(&PASSED, &scene.netns, SENDER)?;
    let seen = live.status()?.seen.packets;
    ensure!(seen == sent().packets + PASSED.packets, "seen {seen}");
    live.stop()?.success()?;
    scene.netns.expect_clean(METERED)
}
