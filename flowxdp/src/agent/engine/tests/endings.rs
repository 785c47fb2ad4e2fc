//! Endings: with a collector that reads, is away, is slow, resets; and one that leaves the table.

use std::{io::Read, net::TcpListener, thread::spawn};

use super::*;
use crate::exporting::exporter::tests::collector::{accept, all, listen, ports, reset, some};

const LIVE: Rules = Rules::live(false);

fn tcp(address: &str) -> Vec<String> {
    vec![format!("tcp://{address}")]
}

/// A port of the loopback at which nothing listens.
fn away() -> Vec<String> {
    let (listener, address) = listen();
    drop(listener);
    tcp(&address)
}

#[test]
fn everything_retires_and_leaves_before_the_connection_ends_in_order() {
    let (listener, address) = listen();
    let mut world = World::new(&tcp(&address), LIVE);
    world.meter(0..1_000, u64::MAX);
    let reading = spawn(move || all(accept(&listener)));
    let (took, books) = world.end();
    let read = reading.join().unwrap();
    assert_eq!(ports(&read), (0..1_000).collect::<Vec<_>>());
    // The last options data are behind the last record.
    let last = |is_it: fn(u16) -> bool| {
        read.iter().rposition(|message| message.sets.iter().any(|set| is_it(set.0))).unwrap()
    };
    assert!(last(|id| id == 282) > last(|id| (288..304).contains(&id)), "{:?}", read.last());
    assert_eq!((books.exported.packets, books.seen.packets, world.flows().stopped), (3_000, 3_000, 1));
    assert!(books.balance() && took < 2 * SECOND, "{took} {books:?}");
}

#[test]
fn one_that_is_away_is_given_up_after_one_patience_and_its_records_are_named() {
    let mut world = World::new(&away(), LIVE);
    world.meter(0..10, u64::MAX);
    let (took, books) = world.end();
    assert!((LIVE.patience..LIVE.patience + 2 * SECOND).contains(&took), "{} ms", took / MILLISECOND);
    assert_eq!(books.lost["collector_unreachable"].packets, 30);
    assert!(books.balance(), "{books:?}");
}

#[test]
fn one_that_is_away_keeps_no_other_from_its_records() {
    let (listener, address) = listen();
    let mut world = World::new(&[away(), tcp(&address)].concat(), LIVE);
    world.meter(0..10, u64::MAX);
    let reading = spawn(move || all(accept(&listener)));
    let (_, books) = world.end();
    assert_eq!(ports(&reading.join().unwrap()), (0..10).collect::<Vec<_>>());
    let exported: Vec<u64> = books.collectors.values().map(|it| it.exported.records).collect();
    assert!(exported.contains(&10) && exported.contains(&0), "{exported:?}");
}

#[test]
fn one_that_is_slow_is_waited_for_as_long_as_it_takes_records() {
    let (listener, address) = listen();
    // Small buffers, so that the collector's pace is the exporter's.
    socket2::SockRef::from(&listener).set_recv_buffer_size(4_096).unwrap();
    let mut world = World::new(&tcp(&address), LIVE);
    (0..20).for_each(|_| world.meter(0..10_000, u64::MAX));
    world.take(Event::Stop);
    let mut stream = None;
    world.until("connected", |_| {
        stream = listener_accept(&listener);
        stream.is_some()
    });
    let mut stream = stream.unwrap();
    stream.set_nonblocking(true).unwrap();
    let (mut read, mut some, mut next) = (0, vec![0; 1 << 20], 0);
    let took = world.until("ended", |it| {
        // A megabyte at most in each three seconds.
        if it.time >= next {
            next = it.time + 3 * SECOND;
            while let Ok(count @ 1..) = stream.read(&mut some) {
                read += count;
                if count > 1 << 16 {
                    break;
                }
            }
        }
        it.step() == Wake::Done
    });
    let books = world.engine.books().unwrap();
    assert_eq!((books.exported.packets, books.lost.len()), (600_000, 0), "{books:?}");
    assert!(took > 2 * LIVE.patience && read > 10_000_000, "{} ms, {read}", took / MILLISECOND);
}

fn listener_accept(listener: &TcpListener) -> Option<std::net::TcpStream> {
    listener.set_nonblocking(true).unwrap();
    listener.accept().ok().map(|(stream, _)| stream)
}

#[test]
fn one_that_resets_gets_its_records_again_and_they_are_named() {
    let (listener, address) = listen();
    let mut world = World::new(&tcp(&address), LIVE);
    world.meter(0..10, u64::MAX);
    let reading = spawn(move || {
        reset(accept(&listener), |read| ports(read).len() == 10);
        let mut second = accept(&listener);
        let mut read = some(&mut second, |read| ports(read).len() == 10);
        read.extend(all(second));
        read
    });
    // The reset comes while the agent runs; the ending finds the rest.
    world.take(Event::Asked(controlled::question("flush").0));
    world.until("reset", |it| it.engine.dispatch().all()[0].availability().is_none());
    let (_, books) = world.end();
    assert_eq!(ports(&reading.join().unwrap()), (0..10).collect::<Vec<_>>());
    let collector = books.collectors.values().next().unwrap();
    assert_eq!((collector.exported.records, collector.perhaps_twice.records), (10, 10));
    assert!(books.balance(), "{books:?}");
}

#[test]
fn one_that_resets_every_connection_is_given_up_too() {
    let (listener, address) = listen();
    let mut world = World::new(&tcp(&address), LIVE);
    world.meter(0..10, u64::MAX);
    spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            drop(reset(stream, |read| !ports(read).is_empty()));
        }
    });
    let (took, books) = world.end();
    assert!(books.balance() && took < 4 * LIVE.patience, "{} ms {books:?}", took / MILLISECOND);
    let collector = books.collectors.values().next().unwrap();
    assert_eq!(collector.exported.records + collector.lost.records, 10);
}

#[test]
fn a_table_that_is_left_to_the_next_agent_keeps_its_flows() {
    let (listener, address) = listen();
    let mut world = World::new(&tcp(&address), Rules::live(true));
    world.meter(0..10, 0);
    world.meter(10..30, u64::MAX);
    let reading = spawn(move || all(accept(&listener)));
    world.step();
    let (_, books) = world.end();
    assert_eq!(ports(&reading.join().unwrap()), (0..10).collect::<Vec<_>>());
    assert_eq!((books.exported.packets, books.in_table.packets), (30, 60));
    let flows = world.flows();
    assert_eq!((flows.stopped, flows.left, flows.table.len()), (0, 1, 20));
}
