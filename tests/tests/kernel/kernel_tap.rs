//! Taps: promiscuous as long as the agent runs, exact books, no packet in the kernel's stack, and the refusals.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::agent::{Live, program};
use flowxdp_tests::books::Count;
use flowxdp_tests::bpffs::Bpffs;
use flowxdp_tests::compare::{Columns, equal};
use flowxdp_tests::failures::{Failures, left_out, tell};
use flowxdp_tests::flows::Flows;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::Program;
use flowxdp_tests::traffic::{Generator, TCP, Tcpreplay, Traffic, UDP, generator};
use serde_json::Value;

const SENDER: &str = "gen0";
const TAP: &str = "tap0";
const NOWHERE: &str = "udp://127.0.0.1:9";
const LIMIT: Duration = Duration::from_secs(60);
const SOME: Traffic = Traffic { flows: 1_000, packets: 20_000, ipv6: false, protocol: UDP, length: 100 };

fn stage() -> Result<Netns> {
    let netns = Netns::new("tap")?;
    netns.veth(SENDER, TAP)?;
    Ok(netns)
}

fn agent(netns: &Netns, more: &[&str]) -> Result<Live> {
    Live::start(netns, &[&["--interface", TAP, "--collector", NOWHERE], more].concat())
}

/// The memberships that make an interface promiscuous, as the kernel counts them.
fn promiscuity(netns: &Netns, interface: &str) -> Result<u64> {
    let json: Value = serde_json::from_str(&netns.ip(&format!("-d -j link show {interface}"))?)?;
    json.pointer("/0/promiscuity").and_then(Value::as_u64).context("no promiscuity")
}

fn promiscuous(netns: &Netns, interface: &str, count: u64) -> Result<()> {
    let is = promiscuity(netns, interface)?;
    ensure!(is == count, "{interface}: promiscuity {is}, not {count}");
    Ok(())
}

/// The books of `status --json`.
fn books(live: &Live) -> Result<Value> {
    let status = program()?.args(["status", "--json", "--socket"]).arg(live.socket());
    Ok(serde_json::from_str(&status.run(LIMIT)?.success()?.stdout)?)
}

/// Sends, and waits until the books have `seen` packets.
fn sent(netns: &Netns, live: &mut Live, traffic: &Traffic, seen: u64) -> Result<()> {
    generator().send(traffic, netns, SENDER)?;
    counted(live, seen)
}

fn counted(live: &mut Live, seen: u64) -> Result<()> {
    live.until(LIMIT, "done with the packets", |books| books.seen.packets >= seen)?;
    let books = live.status()?;
    books.balance()?;
    ensure!(books.seen.packets == seen, "seen {:?}, not {seen}", books.seen);
    Ok(())
}

/// The packets of a tap, with the counters of the interface and the rows of nfcapd as judges.
fn exact(mode: &str, traffic: Traffic) -> Result<()> {
    let netns = stage()?;
    let nfcapd = Nfcapd::start(Some(&netns))?;
    let words = format!(
        "--interface {TAP} --tap --mode {mode} --flows 1M --flows6 50K --idle-timeout 1s --collector {}",
        nfcapd.url()
    );
    let mut live = Live::start(&netns, &words.split(' ').collect::<Vec<_>>())?;
    promiscuous(&netns, TAP, 1)?;
    if mode == "generic" {
        // Without native XDP a veth takes no frames from the generator in the kernel.
        Tcpreplay { cpu: None, rate: 20_000 }.send(&traffic, &netns, SENDER)?;
        counted(&mut live, traffic.packets)?;
    } else {
        sent(&netns, &mut live, &traffic, traffic.packets)?;
    }
    let seen = live.status()?.seen;
    ensure!(seen == Count { packets: traffic.packets, octets: traffic.octets() }, "{seen:?}");
    let received = netns.counter(TAP, "rx_packets")?;
    ensure!(received >= traffic.packets, "the interface itself received {received} packets");
    ensure!(netns.arrived(TAP)? == 0, "{} packets are in the stack", netns.arrived(TAP)?);
    // Before the end, which does not wait for long on a slow machine.
    live.until(LIMIT, "done with the records", |books| books.exported.packets == traffic.packets)?;
    live.stop()?.success()?;
    netns.expect_clean(TAP)?;
    promiscuous(&netns, TAP, 0)?;
    equal(&traffic.truth(), &Flows::by_tuple(&nfcapd.stop()?.clean()?), Columns::WITHOUT_TTL)
}

#[test]
fn a_tap_is_exact_and_no_stack_gets_its_packets() -> Result<()> {
    let mut failures = Failures::default();
    for (mode, flows, packets, ipv6) in [
        ("native", 1_000, 100_000, false),
        ("native", 100_000, 200_000, false),
        ("native", 1_000, 20_000, true),
        ("generic", 1_000, 20_000, false),
    ] {
        let traffic = Traffic { flows, packets, ipv6, protocol: TCP, length: 100 };
        failures.check(&format!("{mode}, {flows} flows"), || exact(mode, traffic));
    }
    failures.end()
}

#[test]
fn without_tap_the_stack_gets_each_packet() -> Result<()> {
    let netns = stage()?;
    let mut live = agent(&netns, &[])?;
    promiscuous(&netns, TAP, 0)?;
    sent(&netns, &mut live, &SOME, SOME.packets)?;
    ensure!(netns.arrived(TAP)? == SOME.packets, "{} packets are in the stack", netns.arrived(TAP)?);
    ensure!(books(&live)?.pointer("/interfaces/tap0/tap").is_none(), "it is no tap");
    live.stop()?.success()?;
    Ok(())
}

#[test]
fn a_killed_agent_leaves_no_interface_promiscuous() -> Result<()> {
    let netns = stage()?;
    let live = agent(&netns, &["--tap"])?;
    promiscuous(&netns, TAP, 1)?;
    live.kill()?;
    promiscuous(&netns, TAP, 0)?;
    netns.expect_clean(TAP)
}

#[test]
fn a_pinned_tap_drops_until_the_next_start_says_otherwise() -> Result<()> {
    let (netns, bpffs) = (stage()?, Bpffs::new()?);
    let pins = bpffs.pins().display().to_string();
    let mut live = agent(&netns, &["--tap", "--pin", &pins])?;
    ensure!(live.log().contains("a killed agent leaves its program on the taps"), "{}", live.log());
    sent(&netns, &mut live, &SOME, SOME.packets)?;
    live.kill()?;
    promiscuous(&netns, TAP, 0)?;
    generator().send(&SOME, &netns, SENDER)?;
    ensure!(netns.arrived(TAP)? == 0, "the pinned program passes packets");
    // The next agent counts them, and is a tap again.
    let mut live = agent(&netns, &["--tap", "--pin", &pins])?;
    promiscuous(&netns, TAP, 1)?;
    sent(&netns, &mut live, &SOME, 3 * SOME.packets)?;
    ensure!(netns.arrived(TAP)? == 0, "the recovered program passes packets");
    live.kill()?;
    // An agent without --tap recovers the table, and its program passes packets.
    let mut live = agent(&netns, &["--pin", &pins])?;
    promiscuous(&netns, TAP, 0)?;
    sent(&netns, &mut live, &SOME, 4 * SOME.packets)?;
    ensure!(netns.arrived(TAP)? == SOME.packets, "{} packets are in the stack", netns.arrived(TAP)?);
    live.stop()?.success()?;
    netns.expect_clean(TAP)?;
    // `detach` takes a killed agent's tap away.
    agent(&netns, &["--tap", "--pin", &pins])?.kill()?;
    let detach = program()?.args(["detach", "--interface", TAP, "--pin", &pins]).netns(&netns);
    detach.run(LIMIT)?.success()?;
    netns.expect_clean(TAP)?;
    bpffs.expect_clean()
}

#[test]
fn interfaces_that_come_later_are_taps_too() -> Result<()> {
    let netns = Netns::new("tap")?;
    let mut live =
        Live::start(&netns, &["--interface", "tap*", "--tap", "--collector", NOWHERE, "--no-loader"])?;
    ensure!(live.log().contains("confined: "), "{}", live.log());
    for times in 1..=2 {
        netns.veth(SENDER, TAP)?;
        live.until_log(LIMIT, "a tap", |log| {
            log.matches("tap0: metering in native mode, as a tap").count() == times
        })?;
        promiscuous(&netns, TAP, 1)?;
        sent(&netns, &mut live, &SOME, times as u64 * SOME.packets)?;
        ensure!(netns.arrived(TAP)? == 0, "{} packets are in the stack", netns.arrived(TAP)?);
        netns.ip(&format!("link del {SENDER}"))?;
        live.until_log(LIMIT, "gone", |log| log.matches("tap0: the interface is gone").count() == times)?;
    }
    // One of a pattern that is in use is left out, and is a tap once it is in use no more.
    netns.ip("link add gen1 type veth peer name tap1")?;
    live.until_log(LIMIT, "tap1", |log| log.contains("tap1: metering"))?;
    netns.ip("link add gen2 type veth peer name new2")?;
    netns.ip("address add 192.0.2.9/24 dev new2")?;
    netns.ip("link set new2 name tap2")?;
    live.until_log(LIMIT, "refused", |log| log.contains("tap2: cannot be a tap"))?;
    promiscuous(&netns, "tap2", 0)?;
    netns.expect_clean("tap2")?;
    netns.ip("address flush dev tap2")?;
    live.until_log(LIMIT, "tap2", |log| log.contains("tap2: metering"))?;
    promiscuous(&netns, "tap2", 1)?;
    live.stop()?.success()?;
    promiscuous(&netns, "tap2", 0)
}

/// `run --tap` on the interface of a namespace: one line with these words, and nothing left behind.
fn refused(netns: &Netns, more: &[&str], code: i32, words: &[&str]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let run = program()?.args(["run", "--interface", TAP, "--collector", NOWHERE, "--tap", "--socket"]);
    let ended = run.arg(folder.path().join("socket")).args(more).netns(netns).run(LIMIT)?;
    ensure!(ended.code == Some(code), "exit status {:?}, not {code}: {}", ended.code, ended.stderr);
    let errors: Vec<&str> = ended.stderr.lines().filter(|line| !line.starts_with('[')).collect();
    ensure!(errors.len() == 1, "not one line: {}", ended.stderr);
    for word in words {
        ensure!(errors[0].contains(word), "{word:?} is not in: {}", errors[0]);
    }
    netns.expect_clean(TAP)
}

/// Uses of an interface: the command of `ip`, and words of the refusal.
const USES: [(&[&str], &[&str]); 10] = [
    (&["address add 192.0.2.1/24 dev tap0"], &["192.0.2.1", "`ip address flush dev tap0`"]),
    (&["address add 169.254.3.1/16 dev tap0"], &["169.254.3.1"]),
    (&["address add 2001:db8::1/64 dev tap0 nodad"], &["2001:db8::1"]),
    (&["route add 198.51.100.0/24 dev tap0"], &["198.51.100.0/24", "`ip route del"]),
    (&["-6 route add default dev tap0 table 99"], &["a route to default leaves by tap0"]),
    (
        &["route add 203.0.113.0/24 nexthop dev gen0 nexthop dev tap0"],
        &["a route to 203.0.113.0/24 leaves by tap0"],
    ),
    (&["link add br0 type bridge", "link set tap0 master br0"], &["in the bridge br0", "nomaster"]),
    (
        &["link add link tap0 name tap0.5 type vlan id 5"],
        &["the vlan tap0.5 stands upon tap0", "ip link del"],
    ),
    (&["link add link tap0 name mac0 type macvlan"], &["the macvlan mac0 stands upon tap0"]),
    (
        &[
            "link add bond0 type bond",
            "link add gen1 type veth peer name port1",
            "link set tap0 down",
            "link set tap0 master bond0",
            "link set port1 master bond0",
        ],
        &["bond bond0, whose port port1 is no tap", "name port1 too"],
    ),
];

#[test]
fn an_interface_in_use_is_refused_with_the_remedy() -> Result<()> {
    let mut failures = Failures::default();
    for (asked, words) in USES {
        failures.check(asked[asked.len() - 1], || {
            let netns = stage()?;
            netns.sysctl(&format!("ipv6/conf/{TAP}/disable_ipv6"), "0")?;
            for words in asked {
                if netns.ip_try(words)?.code != Some(0) {
                    tell(&format!("not tried, as this kernel refuses `ip {words}`"));
                    return Ok(());
                }
            }
            // A bridge has its ports promiscuous by itself.
            let before = promiscuity(&netns, TAP)?;
            refused(&netns, &[], 1, &[&["tap0: cannot be a tap"], words].concat())?;
            promiscuous(&netns, TAP, before)
        });
    }
    failures.end()
}

#[test]
fn a_tap_beside_chain_or_keep_is_refused() -> Result<()> {
    let netns = stage()?;
    refused(&netns, &["--chain"], 2, &["--tap", "chain"])?;
    refused(&netns, &["--keep", "--pin", "/sys/fs/bpf/flowxdp-tap"], 2, &["--tap", "keep"])?;
    // A file with both is refused by `check` as well, at its place.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("flowxdp.toml");
    fs::write(
        &file,
        format!(
            "[monitor]\ninterface = [\"x\"]\ntap = true\nchain = true\n[[exporter]]\ncollector = \"{NOWHERE}\"\n"
        ),
    )?;
    let checked = program()?.args(["check", "--config"]).arg(&file).run(LIMIT)?;
    ensure!(checked.code == Some(2) && checked.stderr.contains("flowxdp.toml:3"), "{}", checked.stderr);
    Ok(())
}

#[test]
fn a_tap_needs_the_privilege_of_packet_sockets() -> Result<()> {
    let netns = stage()?;
    let folder = tempfile::tempdir()?;
    let run = Program::find("setpriv")?.args(["--bounding-set", "-net_raw", "--inh-caps", "-net_raw"]);
    let run = run.arg(program()?.path()).args(["run", "--interface", TAP, "--tap", "--collector", NOWHERE]);
    let ended = run.arg("--socket").arg(folder.path().join("socket")).netns(&netns).run(LIMIT)?;
    ensure!(
        ended.code == Some(1) && ended.stderr.contains("CAP_NET_RAW"),
        "{:?}: {}",
        ended.code,
        ended.stderr
    );
    netns.expect_clean(TAP)
}

#[test]
fn a_link_local_address_is_no_use() -> Result<()> {
    let netns = stage()?;
    netns.sysctl(&format!("ipv6/conf/{TAP}/disable_ipv6"), "0")?;
    netns.ip("address replace fe80::77/64 dev tap0 nodad")?;
    let live = agent(&netns, &["--tap"])?;
    promiscuous(&netns, TAP, 1)?;
    live.stop()?.success()?;
    promiscuous(&netns, TAP, 0)
}

#[test]
fn a_bond_whose_ports_all_are_taps_is_no_use() -> Result<()> {
    let netns = stage()?;
    if netns.ip_try("link add bond0 type bond")?.code != Some(0) {
        left_out("this kernel has no bonds");
        return Ok(());
    }
    netns.ip("link add gen1 type veth peer name tap1")?;
    for port in [TAP, "tap1"] {
        netns.ip(&format!("link set {port} down"))?;
        netns.ip(&format!("link set {port} master bond0"))?;
    }
    let live = agent(&netns, &["--interface", "tap1", "--tap"])?;
    promiscuous(&netns, "tap1", 1)?;
    ensure!(netns.xdp(TAP)?.is_some() && netns.xdp("tap1")?.is_some(), "{}", live.log());
    live.stop()?.success()?;
    // The bond's own address is one of its ports' use.
    netns.ip("address add 192.0.2.1/24 dev bond0")?;
    refused(&netns, &["--interface", "tap1"], 1, &["bond0 has the address 192.0.2.1"])
}

#[test]
fn a_tap_that_is_put_to_use_is_named_and_metered() -> Result<()> {
    let netns = stage()?;
    let mut live = agent(&netns, &["--tap"])?;
    ensure!(books(&live)?.pointer("/interfaces/tap0/tap") == Some(&true.into()), "status names no tap");
    netns.ip("address add 192.0.2.1/24 dev tap0")?;
    let words =
        "tap0: is a tap, whose packets are dropped behind the meter, and tap0 has the address 192.0.2.1";
    live.until_log(LIMIT, "the address", |log| log.contains(words))?;
    let used = books(&live)?;
    let used = used.pointer("/interfaces/tap0/tap_in_use").and_then(Value::as_str).context("no use")?;
    ensure!(used.contains("192.0.2.1"), "{used}");
    let status = program()?.args(["status", "--socket"]).arg(live.socket()).run(LIMIT)?.success()?.stdout;
    ensure!(status.contains("tap0 (tap)") && status.contains("192.0.2.1"), "{status}");
    sent(&netns, &mut live, &SOME, SOME.packets)?;
    ensure!(netns.arrived(TAP)? == 0, "{} packets are in the stack", netns.arrived(TAP)?);
    netns.ip("address flush dev tap0")?;
    live.until_log(LIMIT, "no address", |log| log.contains("tap0: is a tap and nothing else again"))?;
    // A route brings no message that the agent waits for: the next look finds it, which another change hastens.
    netns.ip("route add 198.51.100.0/24 dev tap0")?;
    netns.ip("link set tap0 alias mirror")?;
    live.until_log(LIMIT, "the route", |log| log.contains("a route to 198.51.100.0/24 leaves by tap0"))?;
    if netns.ip_try("link add br0 type bridge")?.code == Some(0) {
        netns.ip("link set tap0 master br0")?;
        live.until_log(LIMIT, "the bridge", |log| log.contains("tap0 is in the bridge br0"))?;
    }
    live.stop()?.success()?;
    promiscuous(&netns, TAP, u64::from(netns.ip("-d link show tap0")?.contains("br0")))
}

fn write(file: &Path, flows: &str, tap: bool) -> Result<()> {
    let text = format!(
        "[monitor]\ninterface = [\"{TAP}\"]\nflows = \"{flows}\"\ntap = {tap}\n[[exporter]]\ncollector = \
         \"{NOWHERE}\"\n"
    );
    Ok(fs::write(file, text)?)
}

#[test]
fn a_reload_keeps_a_tap_and_refuses_another_way() -> Result<()> {
    let (netns, folder) = (stage()?, tempfile::tempdir()?);
    let file = folder.path().join("flowxdp.toml");
    write(&file, "16384", true)?;
    let mut live = Live::start(&netns, &["--config", &file.display().to_string()])?;
    let reload = || program()?.args(["reload", "--socket"]).arg(live.socket()).run(LIMIT);
    write(&file, "16384", false)?;
    let ended = reload()?;
    ensure!(ended.code == Some(1) && ended.stderr.contains("monitor.tap cannot change"), "{}", ended.stderr);
    write(&file, "20000", true)?;
    reload()?.success()?;
    promiscuous(&netns, TAP, 1)?;
    sent(&netns, &mut live, &SOME, SOME.packets)?;
    ensure!(netns.arrived(TAP)? == 0, "the next table's program passes packets");
    live.stop()?.success()?;
    promiscuous(&netns, TAP, 0)
}
