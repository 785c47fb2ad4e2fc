//! The harness itself leaves nothing behind, and its packets arrive.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowxdp_tests::foreign;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::process::Program;
use flowxdp_tests::traffic::{TCP, Traffic, UDP, generator};

const LIMIT: Duration = Duration::from_secs(10);

fn namespaces() -> Result<String> {
    Ok(Program::find("ip")?.args(["netns", "list"]).run(LIMIT)?.success()?.stdout)
}

fn exists(pid: u32) -> bool {
    std::fs::exists(format!("/proc/{pid}")).unwrap_or(true)
}

#[test]
fn a_namespace_goes_with_its_guard_and_with_a_panic() -> Result<()> {
    let netns = Netns::new("harness")?;
    let name = netns.name().to_owned();
    ensure!(namespaces()?.contains(&name), "it was not made");
    drop(netns);
    ensure!(!namespaces()?.contains(&name), "it is still there");

    let panicked = std::thread::spawn(|| {
        let netns = Netns::new("harness").unwrap();
        std::panic::panic_any(netns.name().to_owned());
    });
    let name = panicked.join().err().and_then(|name| name.downcast::<String>().ok()).context("no panic")?;
    ensure!(!namespaces()?.contains(name.as_str()), "it is still there after a panic");
    Ok(())
}

#[test]
fn a_child_goes_with_its_guard_and_with_its_deadline() -> Result<()> {
    let child = Program::find("sleep")?.arg("1000").start()?;
    let pid = child.pid();
    ensure!(exists(pid), "it did not start");
    drop(child);
    ensure!(!exists(pid), "it is still there");
    let late = Program::find("sleep")?.arg("1000").run(Duration::from_millis(50));
    ensure!(
        late.is_err_and(|error| error.to_string().contains("had not ended")),
        "a deadline passed unnoticed"
    );
    Ok(())
}

#[test]
fn a_program_that_is_not_installed_is_an_error() {
    let error = Program::find("no-such-judge").err().map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.contains("apt-get install")));
}

#[test]
fn a_foreign_program_is_attached_and_taken_off() -> Result<()> {
    let netns = Netns::new("harness")?;
    netns.veth("one0", "two0")?;
    netns.expect_clean("one0")?;
    foreign::attach(&netns, "one0")?;
    let shown = netns.ip("-d link show one0")?;
    ensure!(shown.contains("name foreign"), "{shown}");
    ensure!(netns.expect_clean("one0").is_err(), "what is attached was overlooked");
    foreign::detach(&netns, "one0")?;
    netns.expect_clean("one0")
}

#[test]
fn a_namespace_has_names_of_its_own_that_can_change() -> Result<()> {
    let netns = Netns::new("harness")?;
    netns.hosts("127.0.0.1 localhost\n")?;
    let ask = "for i in 1 2; do getent hosts name.test || echo unknown; sleep 1; done";
    let mut asking = Program::find("bash")?.args(["-c", ask]).netns(&netns).start()?;
    asking.until(LIMIT, "asking", |it| Ok(it.stdout().contains("unknown")))?;
    netns.hosts("127.0.0.1 localhost\n192.0.2.7 name.test\n")?;
    let said = asking.wait(LIMIT)?.success()?.stdout;
    ensure!(said.contains("192.0.2.7"), "{said}");
    Ok(())
}

#[test]
fn traffic_arrives_to_the_last_octet() -> Result<()> {
    let netns = Netns::new("harness")?;
    netns.veth("one0", "two0")?;
    // Without an XDP program at its other end, a veth takes no frame that the kernel makes.
    foreign::attach(&netns, "two0")?;
    for (ipv6, protocol, flows, length) in [(false, UDP, 1, 1500), (true, TCP, 100, 60)] {
        let traffic = Traffic { flows, packets: 10_000, ipv6, protocol, length };
        let before = (netns.counter("two0", "rx_packets")?, netns.counter("two0", "rx_bytes")?);
        generator().send(&traffic, &netns, "one0")?;
        let after = (netns.counter("two0", "rx_packets")?, netns.counter("two0", "rx_bytes")?);
        assert_eq!(after.0 - before.0, 10_000);
        assert_eq!(after.1 - before.1, traffic.octets() + 14 * 10_000);
    }
    Ok(())
}
