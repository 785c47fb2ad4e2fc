//! Turns of a running engine: arms under a flood, and deadlines.

use std::net::UdpSocket;

use super::*;

/// A collector over UDP that takes everything.
fn udp() -> (UdpSocket, Vec<String>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    (socket, vec![url])
}

#[test]
fn a_flood_in_the_ring_buffer_starves_no_other_arm() {
    let (socket, urls) = udp();
    let mut world = World::new(&urls, Rules::live(false));
    world.meter(0..100, 2 * SECOND);
    let begun = world.time;
    let flows = world.engine.metering_mut();
    (flows.flood, flows.check_at) = (true, MeterTime::new(begun + 3 * SECOND));
    let (question, mut answer) = controlled::question("books");
    let mut question = Some(question);
    while world.time < begun + 5 * SECOND {
        if let Some(question) = question.take_if(|_| world.time >= begun + SECOND) {
            world.take(Event::Asked(question));
        }
        assert_eq!(world.step(), Wake::Again);
        assert!(question.is_some() || answer.try_recv().is_ok() || answer.is_terminated());
        world.time += 10 * MILLISECOND;
    }
    let flows = world.flows();
    assert_eq!((flows.drained, flows.sweeps.len()), (500, 5));
    assert_eq!(flows.checks, [MeterTime::new(begun + 3 * SECOND)]);
    assert_eq!(world.engine.dispatch().all()[0].exported_records(), 100);
    assert!(socket.recv(&mut [0; 2_000]).is_ok());
    world.take(Event::Stop);
    assert!(!world.engine.is_running());
}

#[test]
fn no_deadline_is_behind_its_step() {
    let (_socket, mut urls) = udp();
    // One that is away sets deadlines by its retries.
    urls.push("tcp://127.0.0.1:9".to_owned());
    let mut world = World::new(&urls, Rules::live(false));
    let begun = world.time;
    let mut still = 0;
    for number in 0..60_u16 {
        world.meter(100 * number..100 * number + 100, u64::from(number % 7) * 300 * MILLISECOND);
        for _ in 0..20 {
            let Wake::At(instant) = world.step() else { panic!("nothing is in the ring buffer") };
            let instant = instant.nanoseconds();
            still = if instant > world.time { 0 } else { still + 1 };
            assert!(still < 3, "{}", world.engine.deadlines_shown(AgentTime::new(world.time)));
            world.time = world.time.max(instant.min(world.time + STEP));
        }
    }
    // A sweep at each second, neither early nor late by more than a step of the time.
    let sweeps = &world.flows().sweeps;
    assert_eq!(sweeps[0], begun);
    let apart = |pair: &[u64]| (SECOND..=SECOND + STEP).contains(&(pair[1] - pair[0]));
    assert!(sweeps.len() > 10 && sweeps.windows(2).all(apart), "{sweeps:?}");
}

#[test]
fn a_sweep_that_found_no_room_is_resumed_before_the_next_second() {
    let mut world = World::new(&["tcp://127.0.0.1:9".to_owned()], Rules::live(false));
    for _ in 0..30 {
        world.meter(0..10_000, 0);
    }
    world.step();
    // As many as a collector's queue holds, and no more while it is away.
    assert_eq!(world.flows().table.len(), 300_000 - crate::exporting::exporter::QUEUE);
    world.time += 10 * MILLISECOND;
    world.step();
    assert_eq!(world.flows().sweeps.len(), 2);
}

#[test]
fn a_capture_sends_by_the_ends_of_flows_and_its_clock_stands_still_meanwhile() {
    let (socket, urls) = udp();
    let mut world = World::new(&urls, Rules::capture());
    let reversed = (0..10_u16).rev().map(|port| record(port).with(|flow| flow.end_ms += u64::from(port)));
    world.engine.metering_mut().meter(0, reversed.collect::<Vec<_>>().into_iter());
    assert_eq!(world.step(), Wake::Idle);
    let (_, books) = world.end();
    assert_eq!(books.exported.packets, 30);
    let (mut octets, mut message) = (Vec::new(), [0; 2_000]);
    socket.set_nonblocking(true).unwrap();
    while let Ok(length) = socket.recv(&mut message) {
        octets.extend_from_slice(&message[..length]);
    }
    // Source and destination port of each record: behind those of the record before it.
    let places: Vec<_> = (0..10_u8)
        .map(|port| octets.windows(4).rposition(|four| four == [0, port, 0, 53]).unwrap())
        .collect();
    assert!(places.is_sorted(), "{places:?}");
}
