//! Values from flags: values that agree with each other, and the faults of values that do not.

use std::sync::Arc;

use clap::Parser;
use flowxdp_core::clock::SECOND;

use super::{
    flags::Flags,
    key::{CHECK, REPLAY},
    *,
};
use crate::{committed, exporting::exporter::Settings, transport::readiness::Readiness};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    flags: Flags<REPLAY>,
}

#[derive(Parser)]
struct All {
    #[command(flatten)]
    flags: Flags<CHECK>,
}

fn read(arguments: &[&str]) -> Result<Config, fault::Faults> {
    Arguments::try_parse_from([&["flowxdp"], arguments].concat()).unwrap().flags.config()
}

fn parsed(arguments: &[&str]) -> Config {
    read(arguments).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    read(arguments).unwrap_err().to_string()
}

fn settings(arguments: &[&str]) -> Settings {
    Settings::new(&parsed(arguments), 1, &Arc::new(Readiness::new().unwrap()), None)
}

#[test]
fn every_default_is_a_value() {
    for key in keys::KEYS.iter().filter(|key| !key.default.is_empty()) {
        let mut config = Config::blank();
        assert_eq!(key.set(&mut config, &key.defaults()), [], "{key:?}");
        assert_eq!(key.get(&config), key.defaults(), "{key:?}");
    }
}

#[test]
fn every_key_has_a_name_of_its_own_and_a_sentence() {
    let all = keys::KEYS.iter();
    let paths: std::collections::BTreeSet<String> = all.clone().map(key::Key::path).collect();
    assert_eq!(paths.len(), keys::KEYS.len());
    let flags: Vec<String> = all.clone().filter_map(key::Key::flag).collect();
    assert_eq!(flags.iter().collect::<std::collections::BTreeSet<_>>().len(), flags.len());
    for key in all {
        assert!(!key.sentence.is_empty() && !key.sentence.ends_with('.'), "{key:?}");
    }
    for (path, flag) in [("spool.directory", "spool"), ("spool.limit", "spool-limit"), ("tls.ca", "tls-ca")] {
        let key = keys::KEYS.iter().find(|key| key.path() == path).unwrap();
        assert_eq!(key.flag().as_deref(), Some(flag));
    }
}

#[test]
fn all_faults_of_flags_are_found() {
    let flags = All::try_parse_from(["flowxdp", "--mode=x", "--flows=0", "--interface=,", "--tls-peer=1,2"]);
    let faults = flags.unwrap().flags.config().unwrap_err();
    let named =
        ["--interface", "--interface", "--mode", "--flows", "--tls-peer", "--tls-peer", "no collector"];
    assert_eq!(faults.texts().count(), named.len(), "{faults}");
    faults.texts().zip(named).for_each(|(text, flag)| assert!(text.contains(flag), "{text}"));
}

#[test]
fn a_switch_is_turned_off_too() {
    for (argument, on) in [("--flow-keys", true), ("--flow-keys=true", true), ("--flow-keys=false", false)] {
        assert_eq!(parsed(&["--collector", "udp://h", argument]).exporting.flow_keys, on);
    }
    assert!(refused(&["--collector", "udp://h", "--flow-keys=yes"]).contains("--flow-keys"));
}

#[test]
fn defaults_are_those_of_the_manual() {
    let Config { exporting: flags, spool, tls, .. } = parsed(&["--collector", "udp://h"]);
    assert_eq!((flags.protocol, flags.strategy), (Protocol::Ipfix, Strategy::Replicate));
    assert_eq!((flags.observation_domain, flags.pace), (1, 16_000));
    assert_eq!(
        (flags.failover_hold, flags.options_interval),
        (Duration::from_secs(30), Duration::from_secs(60))
    );
    assert_eq!((spool.directory.as_ref(), spool.limit), (None, 1 << 30));
    assert_eq!((spool.age, flags.resend_window), (Duration::from_secs(86_400), 4 << 20));
    assert_eq!((flags.template_interval, flags.template_messages), (Duration::from_secs(60), 20));
    assert_eq!(
        (flags.handshake_timeout, flags.retry_limit),
        (Duration::from_secs(10), Duration::from_secs(10))
    );
    assert_eq!(flags.resolve_interval, Duration::from_secs(60));
    assert!(!flags.flow_keys);
    assert_eq!(tls, TlsSettings::default());
}

#[test]
fn template_intervals_are_taken() {
    let settings = |arguments: &[&str]| {
        let settings = settings(&[&["--collector", "udp://h"], arguments].concat());
        (settings.template_interval, settings.template_messages)
    };
    assert_eq!(settings(&[]), (60 * SECOND, 20));
    assert_eq!(settings(&["--template-interval", "90s", "--template-messages", "1K"]), (90 * SECOND, 1_000));
    assert_eq!(settings(&["--template-messages", "1"]), (60 * SECOND, 1));
    for arguments in
        [["--template-interval", "0s"], ["--template-messages", "0"], ["--template-messages", "5G"]]
    {
        let text = refused(&[&["--collector", "udp://h"], &arguments[..]].concat());
        assert!(text.contains(arguments[0]), "{text}");
    }
}

#[test]
fn retries_are_as_configured() {
    let settings = |arguments: &[&str]| {
        let settings = settings(&[&["--collector", "tls://h"], arguments].concat());
        (settings.handshake_timeout, settings.retry_limit)
    };
    assert_eq!(settings(&[]), (10 * SECOND, 10 * SECOND));
    assert_eq!(settings(&["--handshake-timeout", "3s", "--retry-limit", "1m"]), (3 * SECOND, 60 * SECOND));
    assert_eq!(settings(&["--retry-limit", "200ms"]).1, SECOND / 5);
    for arguments in [["--handshake-timeout", "0s"], ["--retry-limit", "199ms"]] {
        let text = refused(&[&["--collector", "tls://h"], &arguments[..]].concat());
        assert!(text.contains(arguments[0]), "{text}");
    }
}

#[test]
fn every_protocol_has_its_name() {
    for protocol in Protocol::ALL {
        assert_eq!(
            parsed(&["--collector", "udp://h", "--protocol", protocol.name()]).exporting.protocol,
            protocol
        );
    }
    assert_eq!(parsed(&["--collector", "udp://h", "--protocol", "V5"]).exporting.protocol, Protocol::V5);
    assert!(refused(&["--collector", "udp://h", "--protocol", "v4"]).contains("--protocol"));
}

#[test]
fn netflow_over_a_stream_is_refused_wherever_it_comes_from() {
    for protocol in ["v9", "v7", "v5", "v1"] {
        for scheme in ["tcp", "tls"] {
            let (url, named) = (format!("{scheme}://h"), format!("{scheme}://h?protocol={protocol}"));
            for arguments in [&["--collector", &*named][..], &["--protocol", protocol, "--collector", &*url]]
            {
                let text = refused(arguments);
                assert!(text.contains(&url) && text.contains("over UDP alone"), "{text}");
            }
            let ipfix = format!("{scheme}://h?protocol=ipfix");
            parsed(&["--protocol", protocol, "--collector", &ipfix]);
        }
    }
}

#[test]
fn a_certificate_has_a_key() {
    for (arguments, missing) in [
        (&["--collector", "tls://h?cert=c.pem"][..], "--tls-key"),
        (&["--collector", "tls://h", "--tls-cert", "c.pem"], "--tls-key"),
        (&["--collector", "udp://h", "--collector", "tls://h?key=k.pem"], "--tls-cert"),
        (&["--collector", "tls://h", "--tls-key", "k.pem"], "--tls-cert"),
    ] {
        let text = refused(arguments);
        assert!(text.contains(missing) && text.contains("tls://h"), "{text}");
    }
    parsed(&["--collector", "tls://h?cert=c.pem", "--tls-key", "k.pem"]);
    parsed(&["--collector", "tls://h?cert=c.pem&key=k.pem", "--tls-cert", "other.pem"]);
    parsed(&["--collector", "tcp://h", "--tls-cert", "c.pem"]);
}

#[test]
fn lists_repeat_and_take_commas() {
    let (one, two, three) = ("ab".repeat(32), "AB:".repeat(31) + "cd", "01".repeat(32));
    let commas = format!("sha256:{one},sha256:{two}");
    let flags = parsed(&[
        "--collector",
        "udp://a,tls://b?ca=x,y%2Cz.pem",
        "--collector",
        "tcp://c",
        "--tls-peer",
        &commas,
        "--tls-peer",
        &format!("sha256:{three}"),
        "--tls-ca",
        "z.pem",
    ]);
    assert_eq!(flags.exporter.len(), 3);
    assert_eq!(flags.tls.peers.len(), 3);
    let settings = flags.tls_of(&flags.exporter[1]);
    assert_eq!(settings.ca, Some(PathBuf::from("x,y,z.pem")));
    assert_eq!(settings.peers[2], [1; 32]);
    assert!(refused(&["--collector", "udp://h", "--tls-peer", "sha256:ab"]).contains("--tls-peer"));
    assert!(refused(&["--collector", "udp://h,udp://h"]).contains("named twice"));
}

#[test]
fn one_collector_under_several_spellings_is_named_twice() {
    for same in [
        ["udp://localhost:4739", "udp://LOCALHOST"],
        ["udp://localhost.", "udp://127.0.0.1"],
        ["udp://127.0.0.1:4739", "UDP://127.0.0.1?mtu=1400"],
        ["udp://127.0.0.1", "udp://[::ffff:127.0.0.1]"],
        ["udp://0.0.0.0", "udp://[::ffff:7f00:1]:4739"],
        ["udp://[::]", "udp://[0:0::1]:4739"],
        ["udp://[2001:DB8::1]", "udp://[2001:db8:0:0:0:0:0:1]:4739"],
        ["udp://[fe80::1%eth0]", "udp://[fe80:0::1%25eth0]"],
        ["tls://Collector.example", "tls://collector.example.:4740?name=other.example"],
        ["udp://h?protocol=v9", "udp://h:2055?protocol=v9"],
        ["udp://h", "udp://h?protocol=ipfix"],
    ] {
        for [first, second] in [same, [same[1], same[0]]] {
            let text = refused(&["--collector", first, "--collector", second]);
            assert!(text.contains(first) && text.contains(second) && text.contains("named twice"), "{text}");
        }
    }
    for different in [
        ["udp://h", "tcp://h"],
        ["udp://h", "udp://h:4740"],
        ["udp://h", "udp://h.example"],
        ["udp://h:2055?protocol=v9", "udp://h:2055"],
        ["udp://[fe80::1%eth0]", "udp://[fe80::1%eth1]"],
        ["udp://192.0.2.1?source=192.0.2.7", "udp://192.0.2.1?source=192.0.2.8"],
        ["udp://127.0.0.1", "udp://[::1]"],
    ] {
        parsed(&["--collector", different[0], "--collector", different[1]]);
    }
    // The protocol of the flag counts where the URL has none.
    assert!(
        refused(&["--protocol", "v9", "--collector", "udp://h,udp://h:2055?protocol=v9"]).contains("twice")
    );
}

#[test]
fn a_spool_has_a_collector_and_room() {
    fn has_idle_spool(config: &Config) -> bool {
        config.warnings().iter().any(|warning| warning.contains("--spool"))
    }
    fn spool<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        [&["--spool", "/tmp/x"], arguments].concat()
    }
    assert!(has_idle_spool(&parsed(&spool(&["--collector", "udp://h,udp://i"]))));
    assert!(!has_idle_spool(&parsed(&spool(&["--collector", "udp://h,tcp://i"]))));
    assert!(!has_idle_spool(&parsed(&["--collector", "udp://h"])));
    for limit in ["0", "0B", "1", "65535", "-1", "99999999T", ""] {
        let limit = format!("--spool-limit={limit}");
        let text = refused(&spool(&["--collector", "tcp://h", &limit]));
        assert!(text.contains("--spool-limit"), "{text}");
    }
    parsed(&spool(&["--collector", "udp://h,tcp://h", "--spool-limit", "64KiB"]));
    let text = refused(&spool(&["--collector", "tcp://i,tcp://h", "--spool-limit", "127KiB"]));
    assert!(text.contains("65536 octets") && text.contains("2"), "{text}");
    parsed(&spool(&["--collector", "tcp://i,tcp://h", "--spool-limit", "18446744073709551615"]));
}

#[test]
fn numbers_that_cannot_be_are_refused_by_their_flag() {
    for (flag, values) in [
        ("--resend-window", &["1073741825", "100GiB", "18446744073709551616", "-1", ""][..]),
        ("--pace", &["4294967296", "5G", "-1", "+1", ""]),
        ("--observation-domain", &["0", "+1", "-1", "4294967296", ""]),
        ("--template-messages", &["0", "4294967296", "-1", ""]),
        ("--options-interval", &["0s", "1ns", "99ms", "36501d"]),
        ("--template-interval", &["0s", "1ns", "99ms", "36501d"]),
        ("--resolve-interval", &["0s", "1ns", "99ms", "36501d"]),
        ("--udp-segments", &["0", "17", "256", "-1", ""]),
    ] {
        for value in values {
            let text = refused(&["--collector", "tcp://h", &format!("{flag}={value}")]);
            assert!(text.contains(flag), "{flag}={value}: {text}");
        }
    }
    for url in ["udp://h:65536", "udp://h:-1", "udp://h:+1", "udp://h:", "udp://h:0", "udp://h?mtu=+600"] {
        assert!(refused(&["--collector", url]).contains(url), "{url}");
    }
    let window = |text| parsed(&["--collector", "tcp://h", "--resend-window", text]).exporting.resend_window;
    assert_eq!((window("0"), window("1GiB")), (0, 1 << 30));
}

/// Reads a file beside flags, as `check` does.
fn of_file(text: &str, arguments: &[&str]) -> flags::Reading {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().display().to_string();
    All::try_parse_from([&["flowxdp", "--config", &path], arguments].concat()).unwrap().flags.read()
}

#[test]
fn pages_follow_from_the_table() {
    committed::compare("package/flowxdp.toml", &pages::example());
    committed::compare("manual/configuration.md", &pages::manual());
}

#[test]
fn the_example_has_the_defaults() {
    let example = pages::example();
    let reading = of_file(&example, &[]);
    assert_eq!(reading.faults.texts().collect::<Vec<_>>(), [""; 0]);
    let defaults =
        keys::KEYS.iter().filter(|key| !key.default.is_empty()).map(|key| format!("#{} =", key.name));
    let defaults: Vec<String> = defaults.collect();
    // The keys of an exporter have no defaults.
    let is_default = |line: &str, exporter: bool| {
        !exporter && defaults.iter().any(|default| line.starts_with(default.as_str()))
    };
    let mut exporter = false;
    let set: Vec<&str> = example
        .lines()
        .map(|line| {
            exporter = if line.starts_with('[') { line == "[[exporter]]" } else { exporter };
            if is_default(line, exporter) { line.trim_start_matches('#') } else { line }
        })
        .collect();
    assert_ne!(set.join("\n"), example.trim_end());
    assert_eq!(of_file(&set.join("\n"), &[]).config, reading.config);
    assert_eq!(reading.config.monitor.interface, ["eth0"]);
    let Config { monitor, spool, .. } = reading.config;
    let defaults = Config::default();
    let unit = Monitor { interface: Vec::new(), pin: None, keep: false, ..monitor };
    assert_eq!((unit, Spool { directory: None, ..spool }), (defaults.monitor, defaults.spool));
}

#[test]
fn flags_win_and_their_lists_replace_the_files() {
    let file = "monitor.interface = ['a', 'b']\nmonitor.idle-timeout = '5s'\nexporting.flow-keys = true\n\
                [[exporter]]\ncollector = 'udp://a'\n[[exporter]]\ncollector = 'udp://b'\n";
    let config = of_file(file, &[]).config;
    assert_eq!((config.monitor.interface.len(), config.exporter.len()), (2, 2));
    let flags = ["--interface", "c", "--collector", "udp://c", "--idle-timeout", "9s", "--flow-keys=false"];
    let config = of_file(file, &flags).config;
    assert_eq!(
        (config.monitor.interface, config.exporter),
        (vec!["c".to_owned()], vec!["udp://c".parse().unwrap()])
    );
    assert_eq!((config.monitor.idle_timeout, config.exporting.flow_keys), (Duration::from_secs(9), false));
}

#[test]
fn both_forms_of_a_collector_give_one_value() {
    let peer = "ab".repeat(32);
    let url = format!(
        "tls://h:1?source=192.0.2.1&mtu=1400&ca=/a%20b,c%26+.pem&peer=sha256:{peer}&peer={peer}&resend-after-end=true"
    );
    let file = format!(
        "[[exporter]]\ncollector = 'tls://h:1'\nsource = '192.0.2.1'\nmtu = 1400\nca = '/a b,c&+.pem'\n\
         peer = ['sha256:{peer}', '{peer}']\nresend-after-end = true\n"
    );
    let reading = of_file(&file, &["--interface", "a"]);
    assert_eq!(reading.faults.texts().collect::<Vec<_>>(), [""; 0]);
    assert_eq!(reading.config, of_file("", &["--interface", "a", "--collector", &url]).config);
    assert_eq!(reading.config.exporter[0].to_string(), url);
}

#[test]
fn a_printed_configuration_is_the_same_again() {
    let long = format!("--tls-peer=sha256:{}", "0f".repeat(32));
    for arguments in [
        &[][..],
        &[
            "--flows",
            "65536",
            "--flows6=99999999K",
            "--pace=1M",
            "--retry-limit=250ms",
            "--keep",
            "--pin=/a\"b\n",
        ],
        &[
            "--spool=/s",
            "--spool-limit",
            "18446744073709551615",
            "--spool-age",
            "90m",
            &long,
            "--tls-name",
            "n.example",
        ],
        &["--collector", "tls://a?peers=x&name=b.example&cert=%E4&key=k,udp://b?protocol=V9&preset=nfdump"],
        &[
            "--collector",
            "tcp://[fe80::1%25eth0]:1?resend-after-end",
            "--collector",
            "tls://c?name=%63.example",
        ],
        &[
            "--collector",
            "udp://a?fields=default,-minimumTTL,+maximumTTL&mtu=1400",
            "--collect",
            "mac,minimumTTL",
        ],
        &["--mode", "generic", "--strategy", "failover", "--failover-hold", "0", "--protocol", "v9"],
    ] {
        let arguments = [&["--interface", "a,b*", "--collector", "udp://h"], arguments].concat();
        let reading = of_file("", &arguments);
        assert_eq!(reading.faults.texts().collect::<Vec<_>>(), [""; 0]);
        let again = of_file(&print::toml(&reading.config), &[]);
        assert_eq!(again.config, reading.config, "{}", print::toml(&reading.config));
        assert_eq!(print::toml(&again.config), print::toml(&reading.config));
    }
}

#[test]
fn a_file_of_faults_alone_is_read_to_its_end() {
    for line in
        ["a = 1\n", "=\n", "\"\n", "[[exporter]]\n", "[[exporter]]\ncollector = 'udp://h'\n", "[", "1,"]
    {
        let begin = if line == "1," { "monitor.interface = [" } else { "" };
        let text = begin.to_owned() + &line.repeat(100_000 / line.len());
        let reading = of_file(&text, &[]);
        assert!(!reading.faults.faults.is_empty() && reading.faults.shown().lines().count() < 600, "{line}");
    }
    let keys: String = (0..10_000).map(|number| format!("monitor.key{number} = {number}\n")).collect();
    assert_eq!(of_file(&keys, &[]).faults.faults.len(), 10_002);
}

proptest::proptest! {
    /// A file with an octet or a word of it replaced is judged; without a fault, it prints as itself.
    #[test]
    fn no_text_panics(at in 0..12_000_usize, length in 0..12_usize, put in "\\PC{0,3}|[\\[\\]=.\"'#\n\r,{}x9-]{0,3}") {
        let example = pages::example().replace("\n#", "\n");
        let lines: Vec<&str> = example.lines().filter(|line| line.contains(" = ") || line.starts_with('[')).collect();
        let mut text = lines.join("\n");
        let at = text.floor_char_boundary(at % text.len());
        let end = text.floor_char_boundary((at + length).min(text.len()));
        text.replace_range(at..end, &put);
        let reading = of_file(&text, &[]);
        let shown = reading.faults.shown();
        proptest::prop_assert!(reading.faults.faults.is_empty() == shown.is_empty());
        let again = of_file(&print::toml(&reading.config), &[]).config;
        proptest::prop_assert_eq!(again, reading.config);
    }
}

#[test]
fn a_fault_behind_the_text_of_its_line_is_shown_at_its_end() {
    for text in ["[monitor]\nkeep = tru\r\r\n", "[monitor]\r\r", "\r\r\r\n\r", "flows = 1\r\r\rx\r"] {
        let reading = of_file(text, &[]);
        assert!(reading.faults.shown().starts_with("flowxdp: "), "{text:?}");
    }
}

#[test]
fn fields_and_what_is_collected_make_the_choice() {
    let ids = |arguments: &[&str]| {
        let config = parsed(arguments);
        let (choice, absent) = config.exporter[0].choice(&config.record).unwrap();
        (choice.elements().map(|element| element.id).collect::<Vec<u16>>(), absent)
    };
    let (all, _) = ids(&["--collector", "udp://h"]);
    let (fewer, absent) = ids(&["--collector", "udp://h?fields=default,-minimumTTL,-bgpSourceAsNumber"]);
    assert_eq!(
        (fewer, absent),
        (all.iter().copied().filter(|id| *id != 52).collect(), vec!["bgpSourceAsNumber".into()])
    );
    let warnings = parsed(&["--collector", "udp://h?fields=default,-bgpSourceAsNumber"]).warnings();
    assert!(matches!(&warnings[..], [one] if one.contains("-bgpSourceAsNumber")), "{warnings:?}");
    // An element of the base record adds nothing; a group's element comes without the group's others.
    assert_eq!(ids(&["--collector", "udp://h", "--collect", "minimumTTL"]).0, all);
    let (inner, _) = ids(&["--collector", "udp://h", "--tunnels", "inner"]);
    assert!([351, 507, 296].iter().all(|id| inner.contains(id) && !all.contains(id)), "{inner:?}");
    let text = refused(&["--collector", "udp://h", "--collect", "tunnel"]);
    assert!(text.contains("--tunnels inner"), "{text}");
    for element in ELEMENTS.iter().filter(|element| !matches!(element.group, Group::Base | Group::Tunnel)) {
        let (with, _) = ids(&["--collector", "udp://h", "--collect", element.name]);
        assert!(with.iter().all(|id| all.contains(id) || *id == element.id) && with.contains(&element.id));
        let (group, _) = ids(&["--collector", "udp://h", "--collect", element.group.name()]);
        assert!(group.contains(&element.id) && group.len() >= with.len());
        let text = refused(&["--collector", &format!("udp://h?fields=default,+{}", element.name)]);
        assert!(text.contains(element.group.name()) && text.contains(element.name), "{text}");
    }
}

#[test]
fn ports_of_vxlan_are_none_of_another_tunnel_and_wait_for_inner_tunnels() {
    let ports = |list: &str| ["--collector", "udp://h", "--vxlan-ports", list].map(str::to_owned);
    let flags = |list: &str| ports(list).to_vec();
    let config = |list: &str| parsed(&flags(list).iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(config("8472,4790").record.vxlan_ports, [8472, 4790]);
    assert!(config("8472").warnings().iter().any(|text| text.contains("--tunnels inner")));
    for list in ["0", "65536", "6081", "2152", "1,2,3,4,5,6,7,8,9"] {
        let text = refused(&flags(list).iter().map(String::as_str).collect::<Vec<_>>());
        assert!(text.contains("--vxlan-ports"), "{text}");
    }
}
