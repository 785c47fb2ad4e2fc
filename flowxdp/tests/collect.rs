//! `collect` over loopback, fed by our own encoder: the same records come out, with every protocol.
#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

use std::net::UdpSocket;

use flowxdp::command::collect::{Format, Summary, bind, collect};
use flowxdp_core::clock::Now;
use flowxdp_core::exporting::session::{Protocol, Session, SessionConfig};
use flowxdp_core::record::{Addresses, EndReason, Flow, FlowKey, FlowRecord};
use flowxdp_core::samples;
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// Milliseconds since 1970 at which everything is exported: a whole second.
const NOW: u64 = 1_700_000_000_000;

fn record(index: u8) -> FlowRecord {
    let addresses = if index.is_multiple_of(2) {
        Addresses::V4 { source: [192, 0, 2, index], destination: [198, 51, 100, 1] }
    } else {
        let mut source = [0; 16];
        [source[0], source[1], source[15]] = [0x20, 0x01, index];
        Addresses::V6 { source, destination: [0xfd; 16] }
    };
    let key = FlowKey {
        addresses,
        source_port: 1000 + u16::from(index),
        destination_port: 443,
        protocol: 6,
        tos: 0xb8,
        vlan: 12,
        ingress: 3,
    };
    Flow {
        key,
        packets: 10,
        octets: 5_000_000_000,
        start_ms: NOW - 5_000 + u64::from(index),
        end_ms: NOW - 1_234,
        tcp_flags: 0x1b,
        ttl_min: 63,
        length_min: 40,
        length_max: 1500,
        end_reason: EndReason::EndOfFlow,
        ..samples::FLOW
    }
    .into()
}

/// Messages with `count` records, system start so that the uptime wraps within the flows.
fn messages(protocol: Protocol, count: u8) -> Vec<Vec<u8>> {
    let config = SessionConfig::new(protocol, NOW - 2_000 - (1 << 32));
    let mut session = Session::new(config).unwrap();
    let now = Now::new(1, NOW);
    (0..count).for_each(|index| session.push(&record(index), now).unwrap());
    std::iter::from_fn(|| session.poll_message(now, true)).map(|message| message.bytes).collect()
}

/// Runs a collector, sends it `messages`, stops it, and gives its output.
fn run(format: Format, messages: &[Vec<u8>]) -> (String, Summary) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = bind(&"udp://127.0.0.1:0".parse().unwrap()).await.unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(socket.local_addr().unwrap()).unwrap();
        for message in messages {
            sender.send(message).unwrap();
        }
        let (stop, stopped) = oneshot::channel::<()>();
        // Stopped before it begins: messages that have arrived are shown all the same.
        stop.send(()).unwrap();
        let mut out = Vec::new();
        let stopped = async { stopped.await.unwrap() };
        let summary = collect(&socket, format, &mut out, stopped).await.unwrap();
        (String::from_utf8(out).unwrap(), summary)
    })
}

fn check(protocol: Protocol) {
    let (text, summary) = run(Format::Json, &messages(protocol, 100));
    let total = summary.total();
    assert_eq!((total.data_records, total.packets, total.octets), (100, 1000, 500_000_000_000));
    assert_eq!((total.gaps, total.unknown_template, total.malformed), (0, 0, 0));
    assert_eq!(summary.dropped, Some(0));
    let mut rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    rows.sort_by_key(|row| row["sourceTransportPort"].as_u64());
    assert_eq!(rows.len(), 100);
    for (row, index) in rows.iter().zip(0u8..) {
        let record = record(index);
        assert_eq!(row["flowStartMilliseconds"], json!(record.start_ms()), "{row}");
        assert_eq!(row["flowEndMilliseconds"], json!(record.end_ms()), "{row}");
        assert_eq!(row["sourceTransportPort"], json!(record.key().source_port));
        assert_eq!(row["tcpControlBits"], json!(0x1b));
        assert_eq!(row["octetDeltaCount"], json!(5_000_000_000_u64));
        assert_eq!(row["observationDomainId"], json!(1));
        assert_eq!(row["exportTime"], json!(NOW));
    }
    assert_eq!(rows[0]["sourceIPv4Address"], json!("192.0.2.0"));
    assert_eq!(rows[1]["sourceIPv6Address"], json!("2001::1"));
}

#[test]
fn ipfix_comes_back_whole() {
    check(Protocol::Ipfix);
}

#[test]
fn v9_comes_back_whole_across_a_wrap_of_the_uptime() {
    check(Protocol::V9);
}

#[test]
fn a_lost_message_is_a_gap() {
    for (protocol, missing) in [(Protocol::Ipfix, None), (Protocol::V9, Some(1))] {
        let mut messages = messages(protocol, 100);
        assert!(messages.len() > 4, "{}", messages.len());
        messages.remove(2);
        let total = run(Format::Table, &messages).1.total();
        assert_eq!(total.gaps, 1);
        assert_eq!(total.missing, missing.unwrap_or(100 - total.data_records));
    }
}

#[test]
fn a_taken_port_and_a_foreign_address_are_named() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let refused = |url: &str| {
        let error = runtime.block_on(bind(&url.parse().unwrap())).unwrap_err();
        format!("{error:#}")
    };
    let url = format!("udp://127.0.0.1:{port}");
    let error = refused(&url);
    assert!(error.contains(&url) && error.contains("Address already in use"), "{error}");
    let error = refused("udp://192.0.2.1:0");
    assert!(error.contains("udp://192.0.2.1:0") && error.contains("Cannot assign"), "{error}");
    let error = refused("udp://[fe80::1%nonesuch]:0");
    assert!(error.contains("there is no interface nonesuch"), "{error}");
}
