//! Readers that do not read: no call blocks, and no record is lost.

use std::{
    io::Read,
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

use rustls::{ServerConnection, StreamOwned, version::TLS13};

use super::{
    Driver, StreamSettings, client,
    pki::{self, Authority},
    server::{Collector, Server},
};

/// Octets that show an order.
fn octets(length: usize) -> Vec<u8> {
    (0..=250).flat_map(|octet| [octet; 7]).cycle().take(length).collect()
}

/// Reads only when told to.
fn stalled(mut stream: impl Read, go: &Receiver<()>) -> Vec<u8> {
    go.recv_timeout(super::LIMIT).unwrap();
    let mut read = Vec::new();
    stream.read_to_end(&mut read).unwrap();
    read
}

/// Fills every buffer towards a reader that does not read, then lets it read, then ends.
fn fill_and_drain(driver: &mut Driver, go: &Sender<()>) -> Vec<u8> {
    driver.ready().unwrap();
    let all = octets(24 << 20);
    let mut taken = 0;
    let mut idle = 0;
    // Full means full for some time: the kernel's buffers grow on the way.
    while idle < 20 {
        let start = Instant::now();
        driver.stream.poll(driver.real()).unwrap();
        let count = driver.stream.write(&all[taken..(taken + (1 << 20)).min(all.len())]).unwrap();
        assert!(start.elapsed() < super::LIMIT / 2, "a write blocked");
        taken += count;
        idle = if count == 0 { idle + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(taken < all.len(), "no buffer is that large");
    let outstanding = driver.stream.outstanding();
    assert!(outstanding > 0 && outstanding < all.len(), "{outstanding}");
    assert!(!driver.stream.close(driver.real()).unwrap(), "what is not acknowledged is not delivered");
    assert_eq!(driver.stream.write(b"more").unwrap(), 0, "nothing goes behind the end");
    go.send(()).unwrap();
    driver.close().unwrap();
    assert_eq!(driver.stream.outstanding(), 0);
    all[..taken].to_vec()
}

#[test]
fn a_stalled_reader_over_tcp_blocks_nobody_and_gets_all_octets() {
    let (go, wait) = channel();
    let server = Server::new(move |stream| stalled(stream, &wait));
    let mut driver = Driver::connect(server.address, &StreamSettings::default(), None).unwrap();
    let sent = fill_and_drain(&mut driver, &go);
    assert!(server.result() == sent, "other octets");
}

#[test]
fn a_stalled_reader_over_tls_blocks_nobody_and_gets_all_octets() {
    let authority = Authority::new("Test CA");
    let config = Collector::of(&TLS13).config(&authority.issue(&pki::server(&["collector.test"])));
    let (go, wait) = channel();
    let server = Server::new(move |stream| {
        let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        tls.conn.complete_io(&mut tls.sock).unwrap();
        stalled(tls, &wait)
    });
    let client = client(authority.settings());
    let mut driver = Driver::connect(server.address, &StreamSettings::default(), Some(&client)).unwrap();
    let sent = fill_and_drain(&mut driver, &go);
    assert!(server.result() == sent, "other octets");
}
