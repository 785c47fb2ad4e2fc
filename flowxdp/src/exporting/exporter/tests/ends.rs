//! Collectors that end a connection, each in its way: octets that were read go out once.

use std::{
    net::{Shutdown, TcpListener, TcpStream},
    sync::mpsc::channel,
};

use socket2::SockRef;

use super::{
    collector::{Message, some},
    *,
};

/// A session of ten records that the collector ends by `end`, and one of ten more; gives the ports of each and
/// the books. `query` is the URL's.
fn ended(query: &str, end: impl FnOnce(TcpStream) + Send + 'static) -> ([Vec<u16>; 2], Collector) {
    let (listener, address) = listen();
    let mut driver = Driver::new(&format!("tcp://{address}{query}"), TlsSettings::default());
    let collector = spawn(move || {
        let mut stream = accept(&listener);
        let first = some(&mut stream, |read| ports(read).len() == 10);
        end(stream);
        [first, all(accept(&listener))].map(|read| ports(&read))
    });
    driver.push(0..10);
    driver.exported(10);
    driver.until("ended", |exporter| exporter.availability().is_none());
    driver.push(10..20);
    driver.exported(20);
    let books = driver.end();
    (collector.join().unwrap(), books)
}

fn once([first, second]: &[Vec<u16>; 2], books: &Collector) {
    assert_eq!((first, second), (&(0..10).collect(), &(10..20).collect()));
    assert_eq!((books.exported.records, books.perhaps_twice.records), (20, 0));
    assert_eq!((books.queued.records, books.lost.records), (0, 0));
}

fn twice([first, second]: &[Vec<u16>; 2], books: &Collector) {
    assert_eq!((first, second), (&(0..10).collect(), &(0..20).collect()));
    assert_eq!((books.exported.records, books.perhaps_twice.records), (20, 10));
    assert_eq!((books.queued.records, books.lost.records), (0, 0));
}

#[test]
fn an_end_in_order_doubles_nothing() {
    let (read, books) = ended("", drop);
    once(&read, &books);
}

#[test]
fn an_end_behind_a_proxy_doubles_and_names_all() {
    let (read, books) = ended("?resend-after-end", drop);
    twice(&read, &books);
}

#[test]
fn an_end_of_one_side_is_answered_by_ours() {
    let (read, books) = ended("", |stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        // Ends when the exporter ends its side too.
        assert_eq!(all(stream).len(), 0);
    });
    once(&read, &books);
}

#[test]
fn a_reset_behind_the_end_of_one_side_doubles_and_names_all() {
    let (read, books) = ended("", |stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    twice(&read, &books);
}

/// Records wait again, or went out again meanwhile.
fn was_taken_back(exporter: &Exporter) -> bool {
    exporter.queued().records > 0 || exporter.books().perhaps_twice.records > 0
}

/// A session of ten records that the collector ends by `end` without reading any: all go out again.
fn unread(end: impl FnOnce(TcpStream) + Send + 'static) {
    let (listener, address) = listen();
    let mut driver = Driver::new(&format!("tcp://{address}"), TlsSettings::default());
    let (go, wait) = channel();
    let collector = spawn(move || {
        let stream = accept(&listener);
        wait.recv_timeout(LIMIT).unwrap();
        end(stream);
        ports(&all(accept(&listener)))
    });
    driver.push(0..10);
    driver.exported(10);
    go.send(()).unwrap();
    driver.until("ended", |exporter| exporter.availability().is_none());
    driver.until("taken back", was_taken_back);
    driver.exported(10);
    let books = driver.end();
    assert_eq!(collector.join().unwrap(), (0..10).collect::<Vec<_>>());
    assert_eq!((books.exported.records, books.perhaps_twice.records), (10, 10));
}

#[test]
fn octets_that_died_unread_go_out_again() {
    unread(drop);
}

#[test]
fn octets_that_died_unread_behind_the_end_of_one_side_go_out_again() {
    unread(|stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    });
}

/// Ends its side with its buffer full, and reads the rest once our side ended.
fn full(stream: TcpStream) -> Vec<Message> {
    stream.shutdown(Shutdown::Write).unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    all(stream)
}

#[test]
fn octets_that_no_kernel_took_go_out_again_and_no_others() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    SockRef::from(&listener).set_recv_buffer_size(16 << 10).unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let mut driver = Driver::new(&url, TlsSettings::default());
    let (go, wait) = channel();
    let collector = spawn(move || {
        let stream = accept(&listener);
        wait.recv_timeout(LIMIT).unwrap();
        let first = spawn(move || full(stream));
        let second = ports(&all(accept(&listener)));
        (ports(&first.join().unwrap()), second)
    });
    driver.push(0..5_000);
    driver.exported(5_000);
    go.send(()).unwrap();
    driver.until("ended", |exporter| exporter.availability().is_none());
    driver.until("taken back", was_taken_back);
    driver.exported(5_000);
    let books = driver.end();
    let again = books.perhaps_twice.records;
    let (first, second) = collector.join().unwrap();
    assert!((1..5_000).contains(&again), "{again} records went out again");
    assert_eq!(second, (5_000 - u16::try_from(again).unwrap()..5_000).collect::<Vec<_>>());
    // Our kernel still delivers the octets that it holds, so the rest may come twice and is named.
    assert!(first.len() + second.len() >= 5_000, "{} and {}", first.len(), second.len());
    assert_eq!(first, (0..u16::try_from(first.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!((books.exported.records, books.queued.records, books.lost.records), (5_000, 0, 0));
}

#[test]
fn a_tls_session_that_ends_in_order_doubles_nothing() {
    let (listener, address) = listen();
    let (server, ca) = self_signed();
    let directory = tempfile::tempdir().unwrap();
    let trusted = directory.path().join("ca.pem");
    std::fs::write(&trusted, ca).unwrap();
    let mut driver =
        Driver::new(&format!("tls://{address}"), TlsSettings { ca: Some(trusted), ..TlsSettings::default() });
    let collector = spawn(move || {
        let session =
            || StreamOwned::new(ServerConnection::new(Arc::clone(&server)).unwrap(), accept(&listener));
        // Once gone, once waiting for the exporter's own close_notify.
        let ends = [false, true].map(|patient| {
            let mut stream = session();
            let read = some(&mut stream, |read| ports(read).len() == 10);
            stream.conn.send_close_notify();
            stream.conn.complete_io(&mut stream.sock).unwrap();
            if patient {
                let mut rest = Vec::new();
                std::io::Read::read_to_end(&mut stream, &mut rest).unwrap();
                assert_eq!(rest.len(), 0);
            }
            ports(&read)
        });
        let mut stream = session();
        let last = some(&mut stream, |read| ports(read).len() == 10);
        (ends, ports(&last), all(stream.sock).len())
    });
    for session in 0..3 {
        driver.push(10 * session..10 * session + 10);
        driver.exported(10 * u64::from(session + 1));
        if session < 2 {
            driver.until("ended", |exporter| exporter.availability().is_none());
        }
    }
    let books = driver.end();
    let (ends, last, _) = collector.join().unwrap();
    assert_eq!([&ends[0], &ends[1], &last].map(|read| read[0]), [0, 10, 20]);
    assert_eq!((books.exported.records, books.perhaps_twice.records), (30, 0));
    assert_eq!((books.queued.records, books.lost.records), (0, 0));
}
