//! Flags that agree with each other, and what is said of those that do not.

use clap::Parser;

use flowxdp_core::clock::SECOND;

use super::*;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    exporting: Exporting,
}

fn parsed(arguments: &[&str]) -> Exporting {
    Arguments::try_parse_from([&["flowxdp"], arguments].concat()).unwrap().exporting
}

fn refused(arguments: &[&str]) -> String {
    let error = Arguments::try_parse_from([&["flowxdp"], arguments].concat()).err().unwrap();
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn defaults_are_those_of_the_manual() {
    let flags = parsed(&["--collector", "udp://h"]);
    assert_eq!((flags.protocol, flags.strategy), (Protocol::Ipfix, Strategy::Replicate));
    assert_eq!((flags.observation_domain.get(), flags.pace), (1, 16_000));
    assert_eq!(
        (flags.failover_hold, flags.options_interval),
        (Duration::from_secs(30), Duration::from_secs(60))
    );
    assert_eq!((flags.spool.as_ref(), flags.spool_limit), (None, 1 << 30));
    assert_eq!((flags.spool_age, flags.resend_window), (Duration::from_secs(86_400), 4 << 20));
    assert_eq!((flags.template_interval, flags.template_messages.get()), (Duration::from_secs(600), 20));
    assert_eq!(
        (flags.handshake_timeout, flags.retry_limit),
        (Duration::from_secs(10), Duration::from_secs(10))
    );
    assert_eq!(flags.resolve_interval, Duration::from_secs(60));
    assert!(!flags.flow_keys);
    assert_eq!(flags.tls, TlsFlags::default());
}

#[test]
fn template_intervals_are_taken() {
    let settings = |arguments: &[&str]| {
        let flags = parsed(&[&["--collector", "udp://h"], arguments].concat());
        let settings = flags.settings(1, &Arc::new(Readiness::new().unwrap()), None);
        (settings.template_interval, settings.template_messages)
    };
    assert_eq!(settings(&[]), (600 * SECOND, 20));
    assert_eq!(settings(&["--template-interval", "90s", "--template-messages", "1K"]), (90 * SECOND, 1_000));
    assert_eq!(settings(&["--template-messages", "1"]), (600 * SECOND, 1));
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
        let flags = parsed(&[&["--collector", "tls://h"], arguments].concat());
        let settings = flags.settings(1, &Arc::new(Readiness::new().unwrap()), None);
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
        assert_eq!(parsed(&["--collector", "udp://h", "--protocol", protocol.name()]).protocol, protocol);
    }
    assert_eq!(parsed(&["--collector", "udp://h", "--protocol", "V5"]).protocol, Protocol::V5);
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
        "udp://a,tls://b?ca=x%2Cy.pem",
        "--collector",
        "tcp://c",
        "--tls-peer",
        &commas,
        "--tls-peer",
        &format!("sha256:{three}"),
        "--tls-ca",
        "z.pem",
    ]);
    assert_eq!(flags.collector.len(), 3);
    assert_eq!(flags.tls.tls_peer.len(), 3);
    let settings = flags.collector[1].tls(&flags.tls);
    assert_eq!(settings.ca, Some(PathBuf::from("x,y.pem")));
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
    fn spool<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        [&["--spool", "/tmp/x"], arguments].concat()
    }
    assert!(parsed(&spool(&["--collector", "udp://h,udp://i"])).has_idle_spool());
    assert!(!parsed(&spool(&["--collector", "udp://h,tcp://i"])).has_idle_spool());
    assert!(!parsed(&["--collector", "udp://h"]).has_idle_spool());
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
    let window = |text| parsed(&["--collector", "tcp://h", "--resend-window", text]).resend_window;
    assert_eq!((window("0"), window("1GiB")), (0, 1 << 30));
}
