//! Collectors that ask for our certificate.

use std::{
    io::Read,
    sync::mpsc::{Sender, channel},
};

use rustls::{
    ServerConnection, StreamOwned, SupportedProtocolVersion,
    version::{TLS12, TLS13},
};

use super::{
    Driver, LIMIT, Phase, RECORDS, StreamSettings, client,
    pki::{self, Authority},
    server::{Collector, Server},
    session,
};

struct Outcome {
    result: Result<Vec<Phase>, String>,
    read: Vec<u8>,
}

/// A session with a collector that wants a certificate of its authority; ours is of the same one, of another
/// or not there.
fn outcome(
    version: &'static SupportedProtocolVersion,
    ours: Option<&Authority>,
    theirs: &Authority,
) -> Outcome {
    let leaf = theirs.issue(&pki::server(&["collector.test"]));
    let collector = Collector { version, clients: Some(theirs.certificate()) };
    let settings = match ours {
        Some(authority) => theirs.settings_as(&authority.issue(&pki::exporter())),
        None => theirs.settings(),
    };
    let server = collector.serve(&leaf);
    let result = session(server.address, Some(&client(settings)));
    Outcome { result, read: server.result() }
}

#[test]
fn a_good_certificate_of_ours_is_taken() {
    let authority = Authority::new("Test CA");
    for (version, probes) in [(&TLS13, true), (&TLS12, false)] {
        let outcome = outcome(version, Some(&authority), &authority);
        let phases = outcome.result.unwrap();
        // A ticket that comes fast enough makes it too short to be seen.
        assert!(probes || !phases.contains(&Phase::Probing), "{phases:?}");
        assert_eq!(outcome.read, RECORDS);
    }
}

#[test]
fn a_ticket_ends_the_probe() {
    let authority = Authority::new("Test CA");
    let collector = Collector { version: &TLS13, clients: Some(authority.certificate()) };
    let server = collector.serve(&authority.issue(&pki::server(&["collector.test"])));
    let client = client(authority.settings_as(&authority.issue(&pki::exporter())));
    let mut driver = Driver::connect(server.address, &StreamSettings::default(), Some(&client)).unwrap();
    // The time stands still, so nothing else can.
    driver
        .until(|stream, _| {
            Ok((stream.poll(flowxdp_core::clock::AgentTime::START)? == Phase::Ready).then_some(()))
        })
        .unwrap();
    driver.close().unwrap();
    server.result();
}

#[test]
fn a_wrong_certificate_of_ours_is_refused_before_anything_is_sent() {
    let (theirs, other) = (Authority::new("Test CA"), Authority::new("Other CA"));
    for version in [&TLS13, &TLS12] {
        let outcome = outcome(version, Some(&other), &theirs);
        assert_eq!(outcome.result, Err("refused our certificate (alert UnknownCA)".to_owned()));
        assert_eq!(outcome.read, b"");
    }
}

#[test]
fn a_missing_certificate_of_ours_is_asked_for() {
    let theirs = Authority::new("Test CA");
    for version in [&TLS13, &TLS12] {
        let outcome = outcome(version, None, &theirs);
        let expected = "wants a certificate of ours: give cert= and key= (alert CertificateRequired)";
        assert_eq!(outcome.result, Err(expected.to_owned()));
        assert_eq!(outcome.read, b"");
    }
}

/// A collector of TLS 1.3 that ends its part of the handshake, and judges our certificate, of another
/// authority, when it is told to.
fn slow_judge() -> (Driver, Server<Vec<u8>>, Sender<()>) {
    let (theirs, other) = (Authority::new("Test CA"), Authority::new("Other CA"));
    let collector = Collector { version: &TLS13, clients: Some(theirs.certificate()) };
    let config = collector.config(&theirs.issue(&pki::server(&["collector.test"])));
    let (go, wait) = channel();
    let server = Server::new(move |mut stream| {
        let mut connection = ServerConnection::new(config).unwrap();
        while !connection.wants_write() {
            connection.read_tls(&mut stream).unwrap();
            connection.process_new_packets().unwrap();
        }
        while connection.wants_write() {
            connection.write_tls(&mut stream).unwrap();
        }
        wait.recv_timeout(LIMIT).unwrap();
        let mut read = Vec::new();
        drop(StreamOwned::new(connection, stream).read_to_end(&mut read));
        read
    });
    let client = client(theirs.settings_as(&other.issue(&pki::exporter())));
    let mut driver = Driver::connect(server.address, &StreamSettings::default(), Some(&client)).unwrap();
    let phases = driver.ready().unwrap();
    assert!(phases.contains(&Phase::Probing), "{phases:?}");
    driver.write(RECORDS).unwrap();
    (driver, server, go)
}

#[test]
fn a_refusal_that_comes_late_is_found_by_a_poll() {
    let (mut driver, server, go) = slow_judge();
    go.send(()).unwrap();
    assert_eq!(driver.end(), "refused our certificate (alert UnknownCA)");
    assert_eq!(server.result(), b"", "what was written is read by nobody");
}

#[test]
fn a_refusal_that_comes_late_is_found_by_a_write() {
    let (mut driver, server, go) = slow_judge();
    go.send(()).unwrap();
    let end: Result<(), _> = driver.until(|stream, _| stream.write(RECORDS).map(|_| None));
    assert_eq!(end.unwrap_err().to_string(), "refused our certificate (alert UnknownCA)");
    assert_eq!(server.result(), b"");
}

#[test]
fn a_refusal_that_comes_late_spoils_an_orderly_end() {
    let (mut driver, server, go) = slow_judge();
    assert!(!driver.stream.close(flowxdp_core::clock::AgentTime::START).unwrap());
    go.send(()).unwrap();
    assert_eq!(
        driver.close_patiently().unwrap_err().to_string(),
        "refused our certificate (alert UnknownCA)"
    );
    assert_eq!(server.result(), b"");
}
