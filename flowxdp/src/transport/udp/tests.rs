//! Datagrams over the loopback, and the socket's options.

use std::net::UdpSocket;

use super::{
    options::{IPV6_PMTUDISC_DO, IPV6_PMTUDISC_PROBE, IPV6_PMTUDISC_WANT},
    reports::Said,
    *,
};

/// linux/udp.h: datagrams of IPv6 leave without a checksum.
const UDP_NO_CHECK6_TX: libc::c_int = 101;

fn messages(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|nth| vec![nth; 100 * usize::from(nth) + 1]).collect()
}

fn send(udp: &mut Udp, messages: &[Vec<u8>]) -> Sent {
    udp.send(&messages.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

#[test]
fn messages_of_many_sizes_arrive_whole_and_in_order() {
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let mut udp = Udp::connect(collector.local_addr().unwrap(), None, 0, false).unwrap();
    let messages = messages(14);
    for batch in [&messages[..], &messages[..1], &messages[3..5]] {
        let sent = send(&mut udp, batch);
        assert_eq!((sent.handed, sent.error.is_some()), (batch.len(), false));
        for message in batch {
            let mut octets = [0; 2000];
            let length = collector.recv(&mut octets).unwrap();
            assert_eq!(&octets[..length], message);
        }
    }
}

#[test]
fn no_more_than_a_batch_is_taken() {
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut udp = Udp::connect(collector.local_addr().unwrap(), None, 0, false).unwrap();
    assert_eq!(send(&mut udp, &vec![vec![7; 10]; BATCH + 9]).handed, BATCH);
}

/// Sends all, call by call; gives the ICMP messages that came meanwhile, and the message that each quotes.
fn reported(udp: &mut Udp, messages: &[Vec<u8>]) -> Vec<(Said, IpAddr, usize)> {
    let (mut left, mut reports) = (messages, Vec::new());
    for _ in 0..1_000 {
        left = &left[send(udp, left).handed..];
        while let Some(report) = udp.report() {
            let length = report.quoted.len();
            let quoted = messages.iter().position(|it| it[..length.min(it.len())] == report.quoted[..]);
            reports.push((report.said, report.offender, quoted.unwrap()));
        }
        if left.is_empty() {
            return reports;
        }
    }
    panic!("{} messages are left", left.len());
}

/// Loopback answers before the next datagram of the same call.
#[test]
fn a_closed_port_is_reported_with_the_message_that_it_refused() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let closed = UdpSocket::bind(address).unwrap().local_addr().unwrap();
        let mut udp = Udp::connect(closed, None, 0, false).unwrap();
        // The first one is shorter than a quote.
        let reports = reported(&mut udp, &messages(6)[1..]);
        assert!((0..5).all(|nth| reports.contains(&(Said::Port, closed.ip(), nth))), "{reports:?}");
    }
}

#[test]
fn a_message_that_is_too_large_stops_the_ones_behind_it_alone() {
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut udp = Udp::connect(collector.local_addr().unwrap(), None, 0, false).unwrap();
    let batch = [vec![1; 10], vec![2; 10], vec![3; 65_535], vec![4; 10]];
    assert_eq!(send(&mut udp, &batch).handed, 2);
    let sent = send(&mut udp, &batch[2..]);
    assert_eq!((sent.handed, sent.error.unwrap().raw_os_error()), (0, Some(libc::EMSGSIZE)));
    // This machine's own error is no ICMP message, and stops nothing that follows.
    assert_eq!(udp.report(), None);
    assert_eq!(send(&mut udp, &batch[3..]).handed, 1);
}

fn option(udp: &Udp, level: libc::c_int, option: libc::c_int) -> libc::c_int {
    system::option(udp.socket.as_fd(), level, option).unwrap()
}

/// Sockets of both IP versions, connected to the loopback.
fn both() -> [Udp; 2] {
    ["127.0.0.1:9", "[::1]:9"].map(|address| Udp::connect(address.parse().unwrap(), None, 0, false).unwrap())
}

#[test]
fn the_checksum_is_on() {
    for udp in both() {
        assert_eq!(option(&udp, libc::SOL_SOCKET, libc::SO_NO_CHECK), 0);
        assert_eq!(option(&udp, libc::IPPROTO_UDP, UDP_NO_CHECK6_TX), 0);
    }
}

#[test]
fn an_unknown_path_takes_packets_of_512_octets() {
    for (address, headers) in [("127.0.0.1:9", 28), ("[::1]:9", 48)] {
        let address: SocketAddr = address.parse().unwrap();
        // The kernel knows no path for a socket that is not connected.
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP)).unwrap();
        let udp = Udp { socket, address, segments: 1, segment: 0, discovery: Discovery::Whole };
        assert_eq!(udp.path_mtu(), None);
        assert_eq!((udp.max_packet(), udp.headers()), (512, headers));
    }
}

#[test]
fn a_known_path_takes_packets_as_large_as_it_and_as_ethernet() {
    for (udp, headers) in both().into_iter().zip([28, 48]) {
        assert!(udp.path_mtu().unwrap() > 1_500);
        assert_eq!((udp.max_packet(), udp.headers()), (1_500, headers));
    }
}

fn discovery(udps: &[Udp; 2]) -> [libc::c_int; 2] {
    let [v4, v6] = udps;
    let v4 = option(v4, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER);
    [v4, option(v6, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER)]
}

#[test]
fn nothing_is_fragmented_whatever_the_kernel_takes_together() {
    let mut both = both();
    for together in [1, 2, 1] {
        for udp in &mut both {
            udp.take_together(2);
            send(udp, &vec![vec![7; 3000 / together]; together]);
        }
        assert_eq!(discovery(&both), [libc::IP_PMTUDISC_PROBE, IPV6_PMTUDISC_PROBE]);
    }
}

#[test]
fn where_this_machine_may_fragment_no_router_may() {
    let mut both = both();
    both.iter_mut().for_each(|udp| udp.allow_fragments().unwrap());
    assert_eq!(discovery(&both), [libc::IP_PMTUDISC_WANT, IPV6_PMTUDISC_WANT]);
    // The kernel compares the uncut send with the path MTU.
    for (together, wanted) in
        [(2, [libc::IP_PMTUDISC_DO, IPV6_PMTUDISC_DO]), (1, [libc::IP_PMTUDISC_WANT, IPV6_PMTUDISC_WANT])]
    {
        for udp in &mut both {
            udp.take_together(2);
            send(udp, &vec![vec![7; 3000 / together]; together]);
        }
        assert_eq!(discovery(&both), wanted);
    }
}

#[test]
fn a_socket_for_another_address_takes_the_port_of_the_one_before() {
    let collectors = ["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"].map(|it| UdpSocket::bind(it).unwrap());
    let mut before = Udp::connect(collectors[0].local_addr().unwrap(), None, 0, false).unwrap();
    let port = before.local_port();
    for collector in &collectors {
        collector.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        before = Udp::connect(collector.local_addr().unwrap(), None, port, false).unwrap();
        assert_eq!(before.send(&[b"message"]).handed, 1);
        assert_eq!(collector.recv_from(&mut [0; 16]).unwrap().1.port(), port);
    }
    drop(before);
}

#[test]
fn the_kernel_cuts_apart_what_it_takes_together() {
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let mut udp = Udp::connect(collector.local_addr().unwrap(), None, 0, false).unwrap();
    udp.take_together(16);
    let lengths = [900, 900, 900, 100, 1000, 1000, 1400, 7, 7, 7, 1000, 1000];
    let messages: Vec<Vec<u8>> = lengths.iter().zip(0..).map(|(&length, nth)| vec![nth; length]).collect();
    let mut left = messages.as_slice();
    while !left.is_empty() {
        let sent = send(&mut udp, left);
        assert!(sent.error.is_none() && sent.handed > 0, "{sent:?}");
        left = &left[sent.handed..];
    }
    for message in messages {
        let mut octets = [0; 2000];
        let length = collector.recv(&mut octets).unwrap();
        assert_eq!(&octets[..length], message);
    }
}

#[test]
fn what_was_taken_together_is_quoted_from_its_first_message_on() {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut udp = Udp::connect(closed, None, 0, false).unwrap();
    udp.take_together(4);
    let messages: Vec<Vec<u8>> = (0..20).map(|nth| vec![nth; 100]).collect();
    let reports = reported(&mut udp, &messages);
    assert!(
        [0, 4, 8, 12, 16].iter().all(|nth| reports.contains(&(Said::Port, closed.ip(), *nth))),
        "{reports:?}"
    );
}
