//! `flowxdp check` as its user sees it: every fault at its place, and the report on a configuration without one.
#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

#[path = "check/cases.rs"]
mod cases;
#[expect(unreachable_pub, reason = "tests of several packages take this file in")]
#[path = "../../tests/src/committed.rs"]
mod committed;

use std::{
    fmt::Write,
    path::Path,
    process::{Command, Output},
};

use cases::CASES;

/// A file without a fault, with a collector of each kind.
const GOOD: &str = r#"
[monitor]
interface = ["eth0", "wg*"]
flows = 2_000_000

[spool]
directory = "/var/lib/flowxdp/spool"

[[exporter]]
collector = "tcp://[2001:db8::1]"
[[exporter]]
collector = "udp://[2001:db8::1]"
[[exporter]]
collector = "udp://192.0.2.1"
protocol = "v9"
mtu = 1400
[[exporter]]
collector = "udp://collector.example"
protocol = "v5"
"#;

/// Runs a command of the program in a folder of its own, where `flowxdp.toml` has this text.
fn run(command: &str, folder: &Path, text: &str, flags: &str) -> Output {
    std::fs::write(folder.join("flowxdp.toml"), text).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_flowxdp"));
    let flags = flags.split(' ').filter(|flag| !flag.is_empty());
    program.arg(command).args(flags).current_dir(folder).env("NO_COLOR", "1").output().unwrap()
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

#[test]
fn every_fault_is_found_at_its_place() {
    assert!(CASES.len() >= 60, "{}", CASES.len());
    let mut all = String::new();
    for (name, flags, file) in CASES {
        let folder = tempfile::tempdir().unwrap();
        let flags =
            if file.is_empty() { flags.to_string() } else { format!("--config flowxdp.toml {flags}") };
        let ended = run("check", folder.path(), file, &flags);
        let status = ended.status.code();
        assert_eq!((status, text(&ended.stdout)), (Some(2), ""), "{name}: {}", text(&ended.stderr));
        // `run` refuses the same, in the same words.
        let refused = run("run", folder.path(), file, &flags);
        if !flags.contains("--interface-index") {
            assert_eq!(
                (refused.status.code(), text(&refused.stderr)),
                (Some(2), text(&ended.stderr)),
                "{name}"
            );
        }
        writeln!(all, "== {name}: flowxdp check {flags}\n{}", text(&ended.stderr)).unwrap();
    }
    committed::compare("tests/check/faults.txt", &all);
}

#[test]
fn a_report_is_a_file_that_makes_the_same_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let report = run("check", folder.path(), GOOD, "--config flowxdp.toml --idle-timeout 5s");
    assert_eq!(report.status.code(), Some(0), "{}", text(&report.stderr));
    let report = text(&report.stdout).to_owned();
    assert!(report.contains("idle-timeout = \"5s\"") && report.contains("flows = \"2M\""), "{report}");
    let again = run("check", folder.path(), &report, "--config flowxdp.toml");
    assert_eq!(text(&again.stdout), report);
    let print = run("check", folder.path(), &report, "--config flowxdp.toml --print");
    assert!(report.starts_with(text(&print.stdout)) && !text(&print.stdout).contains('#'), "{report}");
    for unverified in ["pattern was not matched", "collector.example was not resolved", "path MTU", "kernel"]
    {
        assert!(report.contains(unverified), "{unverified}: {report}");
    }
}

#[test]
fn the_report_has_the_timeouts_of_classes_and_the_options_that_are_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let report = |flags: &str| {
        let ended = run("check", folder.path(), GOOD, &format!("--config flowxdp.toml {flags}"));
        assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
        text(&ended.stdout).to_owned()
    };
    let kinds = |report: &str| -> std::collections::BTreeSet<String> {
        let lines = report.lines().filter_map(|line| line.strip_prefix("# - options template "));
        lines.map(|line| line.split(',').nth(1).unwrap().trim().to_owned()).collect()
    };
    let chosen = report("--options interfaces,reliability --timeouts udp.active=20s,tcp.idle=30s");
    let timeouts = "timeouts = { tcp = { idle = \"30s\" }, udp = { active = \"20s\" } }\n";
    assert!(chosen.contains(timeouts) && chosen.contains("options = [\"interfaces\", \"reliability\"]\n"));
    let wanted = ["exporting reliability", "flow keys", "interfaces", "metering reliability"];
    assert_eq!(kinds(&chosen), wanted.map(str::to_owned).into());
    let none = report("--options=");
    assert!(none.contains("options = []\n"), "{none}");
    assert_eq!(kinds(&none), ["flow keys".to_owned()].into());
    assert_eq!(kinds(&report("")).len(), 7);
    // Both come back from the file that the report is.
    assert_eq!(text(&run("check", folder.path(), &chosen, "--config flowxdp.toml").stdout), chosen);
    assert_eq!(text(&run("check", folder.path(), &none, "--config flowxdp.toml").stdout), none);
}

#[test]
fn a_report_has_the_sizes_of_every_template() {
    let folder = tempfile::tempdir().unwrap();
    let report = run("check", folder.path(), GOOD, "--config flowxdp.toml");
    let (mut most, mut header, mut templates) = (0, 0, 0);
    let mut lines = text(&report.stdout).lines();
    while let Some(line) = lines.next() {
        let numbers: Vec<usize> = line
            .split(|character: char| !character.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect();
        if line.starts_with("# Exporter ") {
            most = *numbers.last().unwrap();
            header = if line.contains("IPFIX") { 16 } else { 20 };
        } else if line.starts_with("# - template ") {
            let fields = lines.next().unwrap().trim_start_matches("#   ");
            let octets = |field: &str| field.rsplit(' ').next().unwrap().parse::<usize>().unwrap();
            let record: usize = fields.split(", ").map(octets).sum();
            assert!(numbers[0] >= 256 && fields.contains("packetDeltaCount"), "{line}\n{fields}");
            assert_eq!(
                numbers[numbers.len() - 2..],
                [record, (most - header - 4) / record],
                "{line}\n{fields}"
            );
            templates += 1;
        }
    }
    // Flows and aggregates, wide and usual, of four kinds each, over IPFIX twice and v9.
    assert_eq!(templates, 3 * 16);
    assert!(text(&report.stdout).contains("24 octets, 48 octets a record, 30 records a message"));
    for size in ["at most 8192 octets", "at most 1452 octets", "at most 1400 octets"] {
        assert!(text(&report.stdout).contains(size), "{size}");
    }
}

/// A collector with IPFIX gets every options template with its element names, one with v9 those that v9 has.
#[test]
fn a_report_has_the_options_templates_of_each_exporter() {
    let folder = tempfile::tempdir().unwrap();
    let flags = "--interface eth0 --collector tcp://192.0.2.1,udp://192.0.2.2?protocol=v9,udp://192.0.2.3?preset=nfdump,\
                 udp://192.0.2.4?protocol=v5 --observation-domain 7";
    let report = run("check", folder.path(), "", flags);
    let report = text(&report.stdout);
    let exporters: Vec<Vec<&str>> = report
        .split("# Exporter ")
        .skip(1)
        .map(|part| {
            let heads = part.lines().filter_map(|line| line.strip_prefix("# - options template "));
            heads.filter_map(|line| line.split_once(": ")).map(|(head, _)| head).collect()
        })
        .collect();
    let ipfix = [
        "280, statistics, observation domain 0",
        "277, exporter, observation domain 0",
        "279, sampler, observation domain 7",
        "276, interfaces, observation domain 7",
        "275, flow keys, observation domain 7",
        "281, metering reliability, observation domain 0",
        "282, exporting reliability, observation domain 0",
    ];
    let v9 = [
        "280, statistics, source id 0",
        "279, sampler, source id 7",
        "276, interfaces, source id 7",
        "281, metering reliability, source id 0",
        "282, exporting reliability, source id 0",
    ];
    let nfdump = [ipfix[0], ipfix[1], "279, sampler, observation domain 0", ipfix[5], ipfix[6]];
    assert_eq!(exporters, [&ipfix[..], &v9, &nfdump, &[]], "{report}");
    for line in [
        "279, sampler, source id 7: 14 octets a record",
        "276, interfaces, observation domain 7: 4 octets and 2 texts a record",
        "#   scope System 4, ingressInterface 4, interfaceName 16, interfaceDescription 64",
        "#   scope ingressInterface 4, interfaceName variable, interfaceDescription variable",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
}

#[test]
fn fields_and_groups_beside_a_fixed_record_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let flags = "--interface eth0 --collect mac,minmax --collector udp://192.0.2.1?protocol=v5&fields=default,-minimumTTL,udp://192.0.2.2,\
                 udp://192.0.2.3?protocol=v1,udp://192.0.2.4?preset=netflow-original&protocol=v7";
    let report = run("check", folder.path(), "", flags);
    let report = text(&report.stdout);
    let (_, warnings) = report.split_once("# Warnings:\n").unwrap();
    let warnings: Vec<&str> = warnings.lines().collect();
    assert_eq!(warnings.len(), 5, "{report}");
    for (warning, [host, setting, protocol]) in warnings.iter().zip([
        ["192.0.2.1", "fields has no effect", "NetFlow v5"],
        ["192.0.2.1", "--collect mac,", "NetFlow v5"],
        ["192.0.2.3", "--collect mac,", "NetFlow v1"],
        ["192.0.2.4", "fields has no effect", "NetFlow v7"],
        ["192.0.2.4", "--collect mac,", "NetFlow v7"],
    ]) {
        assert!([host, setting, protocol].iter().all(|word| warning.contains(word)), "{warning}");
    }
}

#[test]
fn flags_become_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let flags =
        "--interface eth0,eth1 --collector udp://192.0.2.10?protocol=v9&mtu=1400 --pin /p --keep --print";
    let printed = run("check", folder.path(), "", flags);
    let printed = text(&printed.stdout);
    assert!(
        printed.contains("interface = [\"eth0\", \"eth1\"]") && printed.contains("mtu = 1400"),
        "{printed}"
    );
    let again = run("check", folder.path(), printed, "--config flowxdp.toml --print");
    assert_eq!(text(&again.stdout), printed);
}

#[test]
fn a_file_that_is_none_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("folder")).unwrap();
    std::fs::write(path("latin.toml"), b"# fine\n# caf\xe9\n").unwrap();
    std::fs::File::create(path("large.toml")).unwrap().set_len(100 << 20).unwrap();
    let fifo = Command::new("mkfifo").arg(path("fifo")).status().unwrap();
    assert!(fifo.success());
    for (name, words) in [
        ("absent.toml", "No such file"),
        ("folder", "folder"),
        ("latin.toml", "latin.toml:2: the file is not UTF-8"),
        ("large.toml", "262144 octets"),
        ("fifo", "pipe"),
    ] {
        for command in ["check", "run"] {
            let ended = run(command, folder.path(), "", &format!("--config {name}"));
            let error = text(&ended.stderr);
            assert_eq!((ended.status.code(), error.lines().count()), (Some(2), 1), "{name}: {error}");
            assert!(error.contains(name) && error.contains(words), "{name}: {error}");
        }
    }
}
