//! A reload under traffic loses nothing, a refused one changes nothing, and the loader serves valid requests alone.

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::{Live, program};
use flowxdp_tests::bpffs::Bpffs;
use flowxdp_tests::reload::{self, LIMIT, at_rest};
use flowxdp_tests::traffic::{TCP, Traffic, UDP, generator};
use flowxdp_tests::udp::free_port;
use rustix::process::{Pid, Signal, kill_process};

const SENDER: &str = "gen0";
const METERED: &str = "met0";
/// Fewer flows than each table has in a partition: a packet without a slot could be lost while no sweep runs.
const ROUND: Traffic = Traffic { flows: 2000, packets: 20_000, ipv6: false, protocol: UDP, length: 100 };
/// The capabilities of the loader: CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON and CAP_BPF.
const LOADING: u64 = 1 << 12 | 1 << 13 | 1 << 38 | 1 << 39;

/// A namespace, and the file of an agent in it.
struct Stage {
    configured: reload::Stage,
    /// Nothing listens there: datagrams are handed to the kernel, and refused.
    port: u16,
}

impl Deref for Stage {
    type Target = reload::Stage;

    fn deref(&self) -> &reload::Stage {
        &self.configured
    }
}

impl Stage {
    fn new() -> Result<Self> {
        Ok(Self { configured: reload::Stage::new(SENDER, METERED)?, port: free_port()? })
    }

    /// Writes the file, with these lines in `[monitor]`.
    fn write(&self, flows: &str, lines: &str) -> Result<()> {
        let socket = "idle-timeout = \"1s\"\nactive-timeout = \"1s\"";
        let port = self.port;
        let monitor =
            format!("[monitor]\ninterface = [\"{METERED}\"]\nflows = \"{flows}\"\n{socket}\n{lines}\n");
        let exporter = format!("[[exporter]]\ncollector = \"udp://198.51.100.9:{port}\"\n");
        self.configured.write(&(monitor + &exporter))
    }

    fn agent(&self, more: &[&str]) -> Result<Live> {
        // A route for the collector, so that its datagrams leave.
        drop(self.netns.ip_try("route add 198.51.100.9 dev lo"));
        self.configured.agent(more)
    }
}

fn applied(live: &Live, word: &str) -> Result<()> {
    let said = reload::applied(live)?;
    ensure!(said.contains(word), "{said:?} and not {word:?}");
    Ok(())
}

/// One line with these words, exit status 1, and the agent keeps its configuration.
fn refused(live: &Live, words: &[&str]) -> Result<()> {
    let before = configuration(live)?;
    let ended = reload::reload(live)?;
    ensure!(ended.code == Some(1), "{:?}: {}", ended.code, ended.stderr);
    ensure!(ended.stderr.lines().count() == 1, "{}", ended.stderr);
    for word in words {
        ensure!(ended.stderr.contains(word), "{word:?} is not in {}", ended.stderr);
    }
    ensure!(configuration(live)? == before, "the configuration changed");
    live.status()?.balance()
}

/// The effective configuration, as the agent says it.
fn configuration(live: &Live) -> Result<String> {
    use std::io::{Read, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(live.socket())?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(b"config\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    ensure!(text.contains("[monitor]"), "{text}");
    Ok(text)
}

/// The loader of an agent, by the agent's own books.
fn loader(live: &Live) -> Result<Pid> {
    let status =
        program()?.args(["status", "--json", "--socket"]).arg(live.socket()).run(LIMIT)?.success()?;
    let books: serde_json::Value = serde_json::from_str(&status.stdout)?;
    let pid = books.pointer("/loader/pid").and_then(serde_json::Value::as_i64).context("no loader")?;
    ensure!(books.pointer("/loader/running") == Some(&true.into()), "{books}");
    Pid::from_raw(pid.try_into()?).context("process 0")
}

/// Reloads with tables of several sizes under traffic: nothing is lost.
fn resized(more: &[&str]) -> Result<()> {
    let stage = Stage::new()?;
    stage.write("16384", "")?;
    let mut live = stage.agent(more)?;
    let sent = stage.meanwhile(&ROUND, || {
        for flows in ["20000", "100000", "16384", "16385"] {
            stage.write(flows, "")?;
            applied(&live, &format!("a table of {flows} IPv4"))?;
        }
        // The same file once more.
        applied(&live, "nothing differs")
    })?;
    let books = at_rest(&mut live)?;
    ensure!(books.seen == sent, "seen {:?} of {sent:?}", books.seen);
    ensure!(books.seen == books.exported, "{books:?}");
    live.until_log(LIMIT, "tables that drained", |log| log.matches("is empty, and removed").count() >= 4)?;
    live.stop()?.success()?;
    stage.netns.expect_clean(METERED)
}

#[test]
fn tables_of_other_sizes_under_traffic_lose_nothing() -> Result<()> {
    resized(&[])
}

#[test]
fn pinned_tables_of_other_sizes_under_traffic_lose_nothing() -> Result<()> {
    let bpffs = Bpffs::new()?;
    resized(&["--pin", &bpffs.pins().display().to_string()])?;
    bpffs.expect_clean()
}

#[test]
fn an_agent_killed_in_the_middle_of_a_reload_loses_nothing() -> Result<()> {
    let (stage, bpffs) = (Stage::new()?, Bpffs::new()?);
    let pins = bpffs.pins().display().to_string();
    stage.write("16384", "")?;
    let mut live = Some(stage.agent(&["--pin", &pins])?);
    let sent = stage.meanwhile(&ROUND, || {
        for (flows, wait) in [("20000", 50), ("30000", 300), ("16384", 1000)] {
            let running = live.take().context("no agent")?;
            stage.write(flows, "")?;
            let asking = reload::asking(&running)?.start()?;
            std::thread::sleep(Duration::from_millis(wait));
            running.kill()?;
            asking.wait(LIMIT)?;
            live = Some(stage.agent(&["--pin", &pins])?);
        }
        Ok(())
    })?;
    let mut live = live.context("no agent")?;
    let books = at_rest(&mut live)?;
    ensure!(books.seen == sent, "seen {:?} of {sent:?}", books.seen);
    ensure!(books.lost_total().packets == 0, "{books:?}");
    live.stop()?.success()?;
    stage.netns.expect_clean(METERED)?;
    bpffs.expect_clean()
}

#[test]
fn interfaces_and_timeouts_change_in_a_running_agent() -> Result<()> {
    let stage = Stage::new()?;
    stage.netns.veth("gen1", "met1")?;
    stage.write("16384", "")?;
    let mut live = stage.agent(&[])?;
    let text = fs::read_to_string(stage.file())?;
    let both = text.replace("[\"met0\"]", "[\"met0\", \"met1\"]");
    fs::write(stage.file(), &both)?;
    applied(&live, "interfaces met1 are added")?;
    live.until_log(LIMIT, "met1", |log| log.contains("met1: metering"))?;
    generator().send(&ROUND, &stage.netns, "gen1")?;
    // Flows that a long timeout would keep are due by a shorter one at once.
    fs::write(stage.file(), both.replace("\"1s\"", "\"1h\""))?;
    applied(&live, "the timeouts")?;
    generator().send(&ROUND, &stage.netns, SENDER)?;
    std::thread::sleep(Duration::from_secs(3));
    ensure!(live.status()?.in_table.packets >= ROUND.packets, "the longer timeout does not hold");
    fs::write(stage.file(), text.replace("[\"met0\"]", "[\"met1\"]"))?;
    applied(&live, "interfaces met0 are released, the timeouts")?;
    stage.netns.expect_clean(METERED)?;
    let books = at_rest(&mut live)?;
    ensure!(books.seen.packets == 2 * ROUND.packets && books.seen == books.exported, "{books:?}");
    live.signal(Signal::HUP)?;
    live.until_log(LIMIT, "SIGHUP", |log| log.contains("read again: nothing differs"))?;
    live.stop()?.success()?;
    stage.netns.expect_clean("met1")
}

#[test]
fn a_class_of_protocols_has_timeouts_of_its_own() -> Result<()> {
    let stage = Stage::new()?;
    stage.write("16384", "timeouts = { udp = { idle = \"1h\", active = \"1h\" } }")?;
    let mut live = stage.agent(&[])?;
    let tcp = Traffic { protocol: TCP, ..ROUND };
    for round in [&ROUND, &tcp] {
        generator().send(round, &stage.netns, SENDER)?;
    }
    live.until(LIMIT, "TCP retires", |books| books.exported == tcp.times(1))?;
    ensure!(live.status()?.in_table == ROUND.times(1), "{:?}", live.status()?);
    // The other way round, for the slots that are there.
    stage.write(
        "16384",
        "timeouts = { tcp = { idle = \"1h\", active = \"1h\" }, udp = { active = \"2s\" } }",
    )?;
    applied(&live, "the timeouts")?;
    generator().send(&tcp, &stage.netns, SENDER)?;
    live.until(LIMIT, "UDP retires", |books| books.exported == tcp.times(1) + ROUND.times(1))?;
    ensure!(live.status()?.in_table == tcp.times(1), "{:?}", live.status()?);
    live.stop()?.success()?;
    stage.netns.expect_clean(METERED)
}

#[test]
fn a_reload_that_is_refused_changes_nothing() -> Result<()> {
    let stage = Stage::new()?;
    stage.write("16384", "")?;
    let mut live = stage.agent(&[])?;
    stage.write("16384", "idel-timeout = \"2s\"")?;
    refused(&live, &["flowxdp.toml:6: ", "idel-timeout"])?;
    stage.write("20000", "pin = \"/sys/fs/bpf/elsewhere\"")?;
    refused(&live, &["monitor.pin cannot change"])?;
    // A change of collectors is refused whole, also by a file that one of them names.
    let text = fs::read_to_string(stage.file())?;
    let tls = "collector = \"tls://198.51.100.9\"\nca = \"/nonexistent/ca.pem\"";
    stage.write("20000", "")?;
    let added = format!("{}[[exporter]]\n{tls}\n", fs::read_to_string(stage.file())?);
    fs::write(stage.file(), added.replace("198.51.100.9:", "198.51.100.10:"))?;
    refused(&live, &["198.51.100.9", "/nonexistent/ca.pem"])?;
    fs::write(stage.file(), text)?;
    stage.write("99999999999", "")?;
    refused(&live, &["--flows"])?;
    stage.write("20000", "")?;
    fs::write(stage.file(), fs::read_to_string(stage.file())?.replace(METERED, "nowhere0"))?;
    refused(&live, &["nowhere0"])?;
    fs::remove_file(stage.file())?;
    refused(&live, &["flowxdp.toml", "No such file"])?;
    generator().send(&ROUND, &stage.netns, SENDER)?;
    // None of it has left a table behind.
    ensure!(at_rest(&mut live)?.seen.packets == ROUND.packets, "it meters no more");
    stage.write("20000", "")?;
    applied(&live, "a table of 20000 IPv4")?;
    live.stop()?.success()?;
    Ok(())
}

#[test]
fn without_a_loader_a_reload_is_refused_and_metering_continues() -> Result<()> {
    let stage = Stage::new()?;
    stage.write("16384", "")?;
    let live = stage.agent(&["--no-loader"])?;
    stage.write("20000", "")?;
    refused(&live, &["without --no-loader"])?;
    live.stop()?.success()?;
    stage.write("16384", "")?;
    let mut live = stage.agent(&[])?;
    let pid = loader(&live)?;
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()))?;
    ensure!(status.contains("Name:\tflowxdp-loader"), "{status}");
    for (name, wanted) in
        [("CapEff", LOADING), ("CapPrm", LOADING), ("CapBnd", LOADING), ("CapInh", 0), ("CapAmb", 0)]
    {
        ensure!(status.contains(&format!("{name}:\t{wanted:016x}")), "{name}: {status}");
    }
    ensure!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
    kill_process(pid, Signal::KILL)?;
    stage.write("20000", "")?;
    refused(&live, &["the loader ended"])?;
    refused(&live, &["the loader ended"])?;
    generator().send(&ROUND, &stage.netns, SENDER)?;
    ensure!(at_rest(&mut live)?.seen.packets == ROUND.packets, "it meters no more");
    live.stop()?.success()?;
    // With its agent a loader ends too, however that ends.
    let live = stage.agent(&[])?;
    let pid = loader(&live)?;
    live.kill()?;
    let gone = || !PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero())).exists();
    for _ in 0..500 {
        if gone() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    anyhow::bail!("the loader is left")
}
