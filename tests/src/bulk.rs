//! TCP in bulk through a gateway, in packets above 65,535 octets (BIG TCP): the links between three network
//! namespaces take such packets whole.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use netlink_bindings::rt_link::{Ifinfomsg, Request};
use netlink_socket2::NetlinkSocket;

use crate::netns::Netns;
use crate::process::patient;

/// Where the gateway meters: the client's side, and the server's.
pub const METERED: [&str; 2] = ["met0", "met1"];
/// The server's addresses.
pub const SERVER: [&str; 2] = ["10.66.2.2", "fd66:2::2"];
/// Octets of the largest packet.
const LARGEST: u32 = 185_000;
/// Octets that one call writes or reads.
const CHUNK: usize = 1 << 20;
const LIMIT: Duration = Duration::from_secs(60);

/// A client, a gateway and a server.
pub struct Bulk {
    /// Sends.
    pub client: Netns,
    /// Forwards, by [`METERED`].
    pub gateway: Netns,
    /// Receives, at [`SERVER`].
    pub server: Netns,
}

impl Bulk {
    /// Three namespaces, and the links between them.
    ///
    /// # Errors
    ///
    /// The kernel refuses one of them.
    pub fn new() -> Result<Self> {
        let bulk = Self {
            client: Netns::new("client")?,
            gateway: Netns::new("gateway")?,
            server: Netns::new("server")?,
        };
        for (end, link, number) in [(&bulk.client, METERED[0], 1), (&bulk.server, METERED[1], 2)] {
            bulk.gateway.ip(&format!("link add {link} type veth peer name end0 netns {}", end.name()))?;
            for (netns, link, host) in [(&bulk.gateway, link, 1), (end, "end0", 2)] {
                netns.sysctl(&format!("ipv6/conf/{link}/accept_dad"), "0")?;
                netns.sysctl(&format!("ipv6/conf/{link}/router_solicitations"), "0")?;
                netns.ip(&format!("addr add 10.66.{number}.{host}/24 dev {link}"))?;
                netns.ip(&format!("addr add fd66:{number}::{host}/64 dev {link} nodad"))?;
                netns.ip(&format!("link set {link} up"))?;
                netns.inside(|| large(link))?;
            }
            end.ip(&format!("route add default via 10.66.{number}.1"))?;
            end.ip(&format!("route add default via fd66:{number}::1"))?;
            // One that paces nothing: packets are as large as the link takes them.
            end.sysctl("ipv4/tcp_congestion_control", "reno")?;
        }
        bulk.gateway.sysctl("ipv4/ip_forward", "1")?;
        bulk.gateway.sysctl("ipv6/conf/all/forwarding", "1")?;
        Ok(bulk)
    }

    /// Whether IPv4 packets may be large too (Linux 6.3).
    ///
    /// # Errors
    ///
    /// Netlink's.
    pub fn is_large_in_ipv4(&self) -> Result<bool> {
        let index = self.client.index("end0")?;
        self.client.inside(|| {
            let header = Ifinfomsg { ifi_index: index.cast_signed(), ..Ifinfomsg::default() };
            let mut socket = NetlinkSocket::new();
            let request = Request::new().op_getlink_do(&header);
            let mut replies = socket.request(&request)?;
            let (_, link) = replies.recv_one().map_err(std::io::Error::from)?;
            Ok(link.get_gso_ipv4_max_size().is_ok_and(|size| size == LARGEST))
        })
    }

    /// Sends so many octets from the client to one of [`SERVER`], and waits until all are there.
    ///
    /// # Errors
    ///
    /// Fewer came.
    pub fn send(&self, to: &str, octets: usize) -> Result<()> {
        let to: IpAddr = to.parse()?;
        let listener = self.server.inside(|| Ok(TcpListener::bind((to, 0))?))?;
        let address = SocketAddr::new(to, listener.local_addr()?.port());
        let limit = Some(patient(LIMIT));
        let mut sending = self.client.inside(|| Ok(TcpStream::connect_timeout(&address, patient(LIMIT))?))?;
        sending.set_write_timeout(limit)?;
        let (mut receiving, _) = listener.accept()?;
        receiving.set_read_timeout(limit)?;
        std::thread::scope(|scope| {
            let receiver = scope.spawn(move || {
                let (mut chunk, mut received) = (vec![0; CHUNK], 0);
                loop {
                    match receiving.read(&mut chunk).context("the server")? {
                        0 => return anyhow::Ok(received),
                        more => received += more,
                    }
                }
            });
            let chunk = vec![0; CHUNK];
            for start in (0..octets).step_by(CHUNK) {
                sending.write_all(&chunk[..CHUNK.min(octets - start)]).context("the client")?;
            }
            sending.shutdown(Shutdown::Write)?;
            let received = receiver.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
            ensure!(received == octets, "{received} octets of {octets} came");
            Ok(())
        })
    }

    /// IP octets that reached the gateway's stack, as its kernel counts them: behind a program in generic mode.
    ///
    /// # Errors
    ///
    /// The kernel has no such counters.
    pub fn octets_in(&self) -> Result<u64> {
        self.gateway.inside(|| {
            // In a thread of its own, which has its own view of the network.
            let ipv4 = std::fs::read_to_string("/proc/thread-self/net/netstat")?;
            let mut rows = ipv4.lines().filter(|row| row.starts_with("IpExt:"));
            let (names, numbers) = rows.next().zip(rows.next()).context("no IpExt")?;
            let mut columns = names.split_whitespace().zip(numbers.split_whitespace());
            let (_, ipv4) = columns.find(|(name, _)| *name == "InOctets").context("no InOctets")?;
            let ipv6 = std::fs::read_to_string("/proc/thread-self/net/snmp6")?;
            let ipv6 =
                ipv6.lines().find_map(|row| row.strip_prefix("Ip6InOctets")).context("no Ip6InOctets")?;
            Ok(ipv4.parse::<u64>()? + ipv6.trim().parse::<u64>()?)
        })
    }
}

/// Lets an interface of this namespace send and join packets of [`LARGEST`] octets. A kernel that does not know
/// the sizes of IPv4 leaves them out.
fn large(link: &str) -> Result<()> {
    let index = rustix::net::netdevice::name_to_index(std::net::UdpSocket::bind("0.0.0.0:0")?, link)?;
    let header = Ifinfomsg { ifi_index: index.cast_signed(), ..Ifinfomsg::default() };
    let mut request = Request::new().op_setlink_do(&header);
    request
        .encode()
        .push_gso_max_size(LARGEST)
        .push_gro_max_size(LARGEST)
        .push_gso_ipv4_max_size(LARGEST)
        .push_gro_ipv4_max_size(LARGEST);
    let mut socket = NetlinkSocket::new();
    socket.request(&request)?.recv_ack().map_err(std::io::Error::from).context("the size of packets")?;
    Ok(())
}
