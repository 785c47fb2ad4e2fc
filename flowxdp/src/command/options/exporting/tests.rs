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
