//! `explain` on captures, as any user: each packet's verdict and reason against the captures' ground truth.
//!
//! The captures are the project's own, and the files of the directories in `FLOWXDP_CAPTURES`.
#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

fn explain(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flowxdp")).arg("explain").args(arguments).output().unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures")
}

/// Captures with the truth about the packets that are ignored.
fn captures() -> Vec<(PathBuf, Value)> {
    let further = std::env::var_os("FLOWXDP_CAPTURES").unwrap_or_default();
    let further = std::env::split_paths(&further).filter(|path| !path.as_os_str().is_empty());
    let mut captures = Vec::new();
    for folder in [own()].into_iter().chain(further) {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "pcap" || ending == "pcapng") {
                let stem = path.file_stem().unwrap().to_str().unwrap();
                let truth = fs::read(folder.join(format!("truth/{stem}.ignored.json"))).unwrap();
                captures.push((path, serde_json::from_slice(&truth).unwrap()));
            }
        }
    }
    captures
}

/// Packets by verdict or reason.
fn by_reason(output: &Output) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in lines(output) {
        let object: Value = serde_json::from_str(&line).unwrap();
        let reason = object.get("reason").unwrap_or(&object["verdict"]).as_str().unwrap().to_owned();
        *sums.entry(reason).or_default() += 1;
    }
    sums
}

#[test]
fn packets_by_reason_equal_the_ground_truth() {
    let captures = captures();
    assert!(captures.len() >= 20);
    for (path, truth) in captures {
        let file = path.to_str().unwrap();
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for (reason, packets) in truth["ignored"].as_object().unwrap() {
            expected.insert(reason.clone(), packets.as_u64().unwrap());
        }
        expected.retain(|_, packets| *packets > 0);
        let output = explain(&["--json", file]);
        assert!(output.status.success(), "{file}");
        assert_eq!(by_reason(&output), expected, "{file}");
        let metered = truth["metered_packets"].as_u64().unwrap();
        expected.extend([("metered".to_owned(), metered)].into_iter().filter(|(_, packets)| *packets > 0));
        assert_eq!(by_reason(&explain(&["--all", "--json", file])), expected, "{file}");
        let summary = String::from_utf8(output.stderr).unwrap();
        assert!(
            summary.starts_with(&format!("{} packets: {metered} metered, ", truth["frames"])),
            "{summary}"
        );
    }
}

#[test]
fn a_reason_gives_its_packets_alone() {
    let capture = own().join("crafted-pppoe.pcap");
    let file = capture.to_str().unwrap();
    let all = by_reason(&explain(&["--json", file]));
    for reason in ["not_ip", "malformed"] {
        let one = by_reason(&explain(&["--json", "--reason", reason, file]));
        assert_eq!(one, BTreeMap::from([(reason.to_owned(), all[reason])]));
    }
    let two = by_reason(&explain(&["--json", "--reason", "not_ip,malformed", file]));
    assert_eq!(two["not_ip"] + two["malformed"], all["not_ip"] + all["malformed"]);
    assert_eq!(two.len(), 2);
}

#[test]
fn a_line_has_time_number_octet_and_rule() {
    let capture = own().join("crafted-mpls.pcap");
    let output = explain(&["--reason", "malformed", capture.to_str().unwrap()]);
    assert_eq!(
        lines(&output)[0],
        "2023-11-14T22:13:20.041956000Z packet 35: Ethernet 0x8847, MPLS label 16, IPv4 header at octet 18: header \
         length 4 is below 5 words: malformed"
    );
}

#[test]
fn a_filter_gives_all_its_packets() {
    let capture = own().join("recorded-udp.pcap");
    let file = capture.to_str().unwrap();
    let all = lines(&explain(&["--all", "--json", file]));
    let one: Value = all
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|packet: &Value| packet["verdict"] == "metered" && packet["source_port"].is_number())
        .unwrap();
    let port = one["source_port"].to_string();
    let host = one["source"].as_str().unwrap();
    let of_port = lines(&explain(&["--json", "--port", &port, "--host", host, "--protocol", "udp", file]));
    assert!(!of_port.is_empty() && of_port.len() < all.len());
    let is_of = |packet: &Value| {
        let ports = [&packet["source_port"], &packet["destination_port"]];
        let hosts = [&packet["source"], &packet["destination"]];
        ports.contains(&&one["source_port"]) && hosts.contains(&&one["source"]) && packet["protocol"] == 17
    };
    let parsed = |lines: &[String]| {
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    assert_eq!(parsed(&of_port), parsed(&all).into_iter().filter(is_of).collect::<Vec<_>>());
}

#[test]
fn a_cut_file_is_explained_up_to_the_cut_and_named() {
    let whole = fs::read(own().join("crafted-mpls.pcap")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.pcap");
    fs::write(&cut, &whole[..whole.len() - 7]).unwrap();
    let good = own().join("crafted-pppoe.pcap");
    let output = explain(&["--all", "--json", cut.to_str().unwrap(), "none.pcap", good.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let alone = lines(&explain(&["--all", "--json", good.to_str().unwrap()])).len();
    assert_eq!(lines(&output).len(), 72 + alone);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let error = stderr.lines().last().unwrap();
    assert!(error.contains("cut.pcap: at octet") && error.contains("none.pcap: No such file"), "{error}");
}

#[test]
fn standard_input_is_a_capture_and_a_reader_that_leaves_is_no_error() {
    let capture = fs::read(own().join("crafted-cut.pcap")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_flowxdp"))
        .args(["explain", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    drop(child.stdout.take());
    stdin.write_all(&capture).unwrap_or_default();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn faults_of_usage_are_one_line_and_exit_2() {
    for (arguments, words) in [
        (&[][..], "FILE"),
        (&["--reason", "cut", "x.pcap"], "write one of not_ip, truncated, malformed"),
        (&["--port", "65536", "x.pcap"], "65536"),
        (&["--protocol", "quic", "x.pcap"], "write a number from 0 to 255"),
    ] {
        let output = explain(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains(words), "{stderr}");
    }
}
