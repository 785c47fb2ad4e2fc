//! Peers that no TLS library would be: octets made by hand.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

use super::{Driver, client, impatient, pki::Authority, server::Server, session};

/// A peer that reads the `ClientHello`, answers with these octets and ends its side; the result is the octets
/// it reads afterwards.
fn answer(octets: Vec<u8>) -> Server<Vec<u8>> {
    Server::new(move |mut stream| {
        hello(&mut stream);
        stream.write_all(&octets).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut read = Vec::new();
        drop(stream.read_to_end(&mut read));
        read
    })
}

/// Reads one record.
fn hello(stream: &mut TcpStream) {
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header[0], 22, "a handshake record");
    let mut rest = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    stream.read_exact(&mut rest).unwrap();
}

/// A `ServerHello` in its record, both of this version, with this cipher suite (RFC 5246 section 7.4.1.3).
fn server_hello(version: u16, suite: u16) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend(suite.to_be_bytes());
    body.push(0);
    let mut record = vec![22, 3, 3];
    record.extend(u16::try_from(body.len() + 4).unwrap().to_be_bytes());
    record.extend([2, 0]);
    record.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    record.extend(body);
    record
}

/// An alert in its record.
fn alert(description: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, 2, description]
}

/// The words for such a peer. All that it may read after the `ClientHello` is one alert record of 7 octets.
fn told(octets: Vec<u8>) -> String {
    let server = answer(octets);
    let told = session(server.address, Some(&client(Authority::new("Test CA").settings()))).unwrap_err();
    let read = server.result();
    assert!(read.is_empty() || (read.len() == 7 && read[0] == 21), "{told}: {read:?}");
    told
}

#[test]
fn old_versions_are_refused() {
    let expected = "offers neither TLS 1.2 nor TLS 1.3";
    assert_eq!(told(server_hello(0x0301, 0xc009)), expected);
    assert_eq!(told(server_hello(0x0302, 0xc009)), expected);
    assert_eq!(told(alert(70)), format!("{expected} (alert ProtocolVersion)"));
}

#[test]
fn suites_that_hide_nothing_are_refused() {
    // TLS_NULL_WITH_NULL_NULL, TLS_RSA_WITH_NULL_SHA256, TLS_ECDHE_ECDSA_WITH_NULL_SHA, and an anonymous one.
    for suite in [0x0000, 0x003b, 0xc006, 0xc018] {
        assert_eq!(told(server_hello(0x0303, suite)), "chose a cipher suite that we do not offer");
    }
    assert_eq!(told(alert(40)), "has no cipher suite in common with us (alert HandshakeFailure)");
    assert_eq!(told(alert(80)), "ended the session (alert InternalError)");
}

#[test]
fn what_is_not_tls_is_called_that() {
    for octets in
        [&b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n"[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", &[0; 64], &[0xff; 64]]
    {
        assert_eq!(told(octets.to_vec()), "is not TLS", "{octets:?}");
    }
}

#[test]
fn an_end_in_the_middle_of_the_handshake_is_noticed() {
    let expected = "closed the connection during the handshake";
    assert_eq!(told(Vec::new()), expected);
    assert_eq!(told(server_hello(0x0303, 0xc02b)), expected);
    assert_eq!(told(server_hello(0x0303, 0xc02b)[..20].to_vec()), expected);
}

#[test]
fn a_reset_in_the_middle_of_the_handshake_is_noticed() {
    let server = Server::new(|mut stream| {
        hello(&mut stream);
        socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    });
    let told = session(server.address, Some(&client(Authority::new("Test CA").settings()))).unwrap_err();
    assert_eq!(told, "reset the connection during the handshake");
    server.result();
}

#[test]
fn a_peer_that_never_answers_is_given_up() {
    let server = Server::new(|mut stream| {
        let mut read = Vec::new();
        drop(stream.read_to_end(&mut read));
        read.len()
    });
    let client = client(Authority::new("Test CA").settings());
    let mut driver = Driver::connect(server.address, &impatient(), Some(&client)).unwrap();
    assert_eq!(driver.ready().unwrap_err().to_string(), "did not finish the handshake within 0.3 s");
    drop(driver);
    assert!(server.result() < 1000, "a ClientHello and nothing more");
}

#[test]
fn a_peer_that_drips_is_given_up_as_well() {
    let server = Server::new(|mut stream| {
        hello(&mut stream);
        for octet in server_hello(0x0303, 0xc02b) {
            if stream.write_all(&[octet]).is_err() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let client = client(Authority::new("Test CA").settings());
    let mut driver = Driver::connect(server.address, &impatient(), Some(&client)).unwrap();
    assert_eq!(driver.ready().unwrap_err().to_string(), "did not finish the handshake within 0.3 s");
    drop(driver);
    server.result();
}
