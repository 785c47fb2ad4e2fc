//! Traffic between client and server, by ordinary sockets: the packets are the kernel's own.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::net::{AddressFamily, SocketType, ipproto, socket};

use super::network::Network;
use crate::netns::Namespace;
use crate::stop;

/// Longer than the active timeout, so that one flow is exported while it lasts.
pub(crate) const TIME: Duration = Duration::from_secs(6);

const WEB: u16 = 8080;
const TALK: u16 = 9000;

/// No wait on a socket lasts longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Short exchanges of every kind, beside a long one.
pub(crate) fn run(network: &Network) -> Result<()> {
    serve(&network.server)?;
    let servers = network.servers()?;
    let first = *servers.first().context("no server")?;
    let long = background(talk(&network.client, first, TIME, Duration::from_millis(50))?);
    for server in servers {
        for (up, down) in [(2_000, 4_000_000), (500, 200_000), (1_000_000, 1_000)] {
            let got = stop::receive(&background(transfer(&network.client, server, up, down)?))??;
            println!("  TCP   {server}: sent {up} octets, got {got}");
        }
        let answers = talk_fast(&network.client, server)?;
        println!("  UDP   {server}: {answers} answers");
        let replies = stop::receive(&background(ping(&network.client, server)?))??;
        println!("  ICMP  {server}: {replies} echo replies");
    }
    let answers = stop::receive(&long)??;
    println!("  UDP   {first}: {answers} answers in {} s", TIME.as_secs());
    Ok(())
}

fn talk_fast(client: &Namespace, server: IpAddr) -> Result<usize> {
    stop::receive(&background(talk(client, server, Duration::from_millis(500), Duration::from_millis(2))?))?
}

/// Does a job in a thread of its own. One that waits for a socket ends within [`PATIENCE`].
fn background<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Receiver<Result<T>> {
    let (done, answer) = channel();
    std::thread::spawn(move || done.send(job()));
    answer
}

/// The server: as many octets over TCP as are asked for, and an answer to every datagram.
fn serve(server: &Namespace) -> Result<()> {
    let (web, talk) = server.inside(|| {
        let web =
            TcpListener::bind((Ipv6Addr::UNSPECIFIED, WEB)).or_else(|_| TcpListener::bind(("0.0.0.0", WEB)));
        let talk =
            UdpSocket::bind((Ipv6Addr::UNSPECIFIED, TALK)).or_else(|_| UdpSocket::bind(("0.0.0.0", TALK)));
        Ok((web.context("cannot listen")?, talk.context("cannot listen")?))
    })?;
    // Both threads live until xtask ends.
    std::thread::spawn(move || {
        for stream in web.incoming().flatten() {
            // The client tells when it was not answered.
            let _ = answer(stream);
        }
    });
    std::thread::spawn(move || {
        let mut datagram = [0; 2048];
        while let Ok((length, from)) = talk.recv_from(&mut datagram) {
            // Longer than the request, as answers are.
            let _ = talk.send_to(&datagram[..(length * 3).min(1200)], from);
        }
    });
    Ok(())
}

/// Reads a wish of eight octets and whatever follows it, then grants it.
fn answer(mut stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut wish = [0; 8];
    stream.read_exact(&mut wish)?;
    std::io::copy(&mut stream, &mut std::io::sink())?;
    std::io::copy(&mut std::io::repeat(b'.').take(u64::from_be_bytes(wish)), &mut stream)?;
    Ok(())
}

/// Sends `up` octets and asks for `down`.
fn transfer(
    client: &Namespace,
    server: IpAddr,
    up: u64,
    down: u64,
) -> Result<impl FnOnce() -> Result<u64> + Send + use<>> {
    let to = SocketAddr::new(server, WEB);
    let mut stream = client.inside(move || {
        TcpStream::connect_timeout(&to, PATIENCE).with_context(|| format!("cannot connect to {to}"))
    })?;
    Ok(move || {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(&down.to_be_bytes())?;
        std::io::copy(&mut std::io::repeat(b'.').take(up), &mut stream)?;
        stream.shutdown(Shutdown::Write)?;
        let got =
            std::io::copy(&mut stream, &mut std::io::sink()).context("waiting for the server's answer")?;
        if got != down {
            bail!("asked the server for {down} octets and got {got}");
        }
        Ok(got)
    })
}

/// Asks and waits for the answer, again and again.
fn talk(
    client: &Namespace,
    server: IpAddr,
    time: Duration,
    pause: Duration,
) -> Result<impl FnOnce() -> Result<usize> + Send + use<>> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = client.inside(move || UdpSocket::bind(any).context("cannot open a UDP socket"))?;
    socket.connect((server, TALK)).context("cannot reach the server")?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    Ok(move || {
        let end = Instant::now() + time;
        let mut answers = 0;
        while Instant::now() < end {
            socket.send(&[b'?'; 200])?;
            answers += usize::from(socket.recv(&mut [0; 2048]).is_ok());
            std::thread::sleep(pause);
        }
        if answers == 0 {
            bail!("the server answered no datagram");
        }
        Ok(answers)
    })
}

/// Five echo requests, through the kernel's socket for just that.
fn ping(client: &Namespace, server: IpAddr) -> Result<impl FnOnce() -> Result<usize> + Send + use<>> {
    let (family, protocol, request) = match server {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP, 8),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6, 128),
    };
    let open =
        move || socket(family, SocketType::DGRAM, Some(protocol)).context("cannot open an ICMP socket");
    let socket = UdpSocket::from(client.inside(open)?);
    socket.connect((server, 0)).context("cannot reach the server")?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    Ok(move || {
        let mut replies = 0;
        for number in 0..5 {
            let mut echo = [0; 64];
            // Type and sequence number; identifier and checksum are the kernel's.
            echo[0] = request;
            echo[7] = number;
            socket.send(&echo)?;
            replies += usize::from(socket.recv(&mut [0; 128]).is_ok());
            std::thread::sleep(Duration::from_millis(100));
        }
        if replies == 0 {
            bail!("the server answered no echo request");
        }
        Ok(replies)
    })
}
