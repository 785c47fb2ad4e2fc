//! TCP without TLS: how it begins and how it ends.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::mpsc::channel,
    time::Duration,
};

use socket2::{Domain, SockRef, Socket, Type};

use super::{Driver, Phase, RECORDS, Stream, StreamSettings, impatient, server::Server, session};
use crate::transport::stream::socket;

/// A port of the loopback where nobody listens.
fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_session_delivers_all_octets() {
    let server = Server::new(|mut stream| {
        let mut read = Vec::new();
        stream.read_to_end(&mut read).unwrap();
        read
    });
    session(server.address, None).unwrap();
    assert_eq!(server.result(), RECORDS);
}

#[test]
fn a_closed_port_refuses() {
    assert_eq!(session(closed_port(), None).unwrap_err(), "refuses connections");
}

#[test]
fn a_port_that_meets_itself_refuses_too() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.connect(&socket.local_addr().unwrap()).unwrap();
    assert_eq!(socket::connected(&socket).unwrap_err().to_string(), "refuses connections");
}

#[test]
fn a_host_that_drops_what_comes_does_not_answer() {
    // A full queue of one: the kernel drops further connects.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut earlier: Vec<_> =
        (0..4).map(|_| Driver::connect(address, &StreamSettings::default(), None).unwrap()).collect();
    earlier[0].ready().unwrap();
    let mut driver = Driver::connect(address, &impatient(), None).unwrap();
    assert_eq!(driver.ready().unwrap_err().to_string(), "does not answer within 0.3 s");
}

#[test]
fn a_source_that_is_not_ours_is_named() {
    let source = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    let settings = StreamSettings { source, ..StreamSettings::default() };
    let told = Driver::connect(closed_port(), &settings, None).err().unwrap().to_string();
    assert_eq!(told, "cannot be reached from 192.0.2.1: that is no address of this machine");
}

#[test]
fn a_source_of_ours_is_used() {
    let server = Server::new(|stream| stream.peer_addr().unwrap().ip());
    let source = Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9)));
    let settings = StreamSettings { source, ..StreamSettings::default() };
    Driver::connect(server.address, &settings, None).unwrap().ready().unwrap();
    assert_eq!(Some(server.result()), source);
}

#[test]
fn an_end_and_a_reset_are_noticed_without_a_write() {
    for (with_reset, expected) in [(false, "closed the connection"), (true, "reset the connection")] {
        let (go, wait) = channel();
        let server = Server::new(move |stream| {
            wait.recv().unwrap();
            if with_reset {
                SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
        });
        let mut driver = Driver::connect(server.address, &StreamSettings::default(), None).unwrap();
        driver.ready().unwrap();
        go.send(()).unwrap();
        assert_eq!(driver.end(), expected);
        server.result();
    }
}

#[test]
fn a_collector_that_talks_is_listened_to_and_not_believed() {
    let server = Server::new(|mut stream| {
        stream.write_all(&vec![b'x'; 3 << 20]).unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).unwrap();
        read
    });
    session(server.address, None).unwrap();
    assert_eq!(server.result(), RECORDS);
}

#[test]
fn a_collector_that_dies_with_octets_unread_spoils_the_end() {
    let (go, wait) = channel();
    let server = Server::new(move |stream| {
        wait.recv_timeout(super::LIMIT).unwrap();
        drop(stream);
    });
    let mut driver = Driver::connect(server.address, &StreamSettings::default(), None).unwrap();
    driver.ready().unwrap();
    driver.write(RECORDS).unwrap();
    assert!(!driver.stream.close(flowxdp_core::clock::AgentTime::START).unwrap());
    go.send(()).unwrap();
    assert_eq!(driver.close_patiently().unwrap_err().to_string(), "reset the connection");
    server.result();
}

#[test]
fn a_collector_that_keeps_its_side_open_is_not_waited_for() {
    let (go, wait) = channel();
    let server = Server::new(move |mut stream| {
        let mut read = Vec::new();
        stream.read_to_end(&mut read).unwrap();
        wait.recv_timeout(super::LIMIT).unwrap();
        read
    });
    let mut driver = Driver::connect(server.address, &StreamSettings::default(), None).unwrap();
    driver.ready().unwrap();
    driver.write(RECORDS).unwrap();
    driver.close().unwrap();
    go.send(()).unwrap();
    assert_eq!(server.result(), RECORDS);
}

#[test]
fn a_collector_that_left_before_the_last_octets_spoils_the_end() {
    let server = Server::new(drop);
    let mut driver = Driver::connect(server.address, &StreamSettings::default(), None).unwrap();
    // Its end is there, and nobody reads it: the octets are written behind it.
    driver.until(|stream, _| Ok(is_connected(stream).then_some(()))).unwrap();
    server.result();
    driver.stream.phase = Phase::Ready;
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(driver.stream.write(RECORDS).unwrap(), RECORDS.len());
    assert_eq!(driver.close_patiently().unwrap_err().to_string(), "closed the connection");
}

fn is_connected(stream: &Stream) -> bool {
    socket::connected(&stream.socket).unwrap()
}
