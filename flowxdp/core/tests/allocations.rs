//! Once the buffers are there, no record takes memory from the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use flowxdp_core::clock::{MILLISECOND, Now};
use flowxdp_core::exporting::session::{Protocol, Session, SessionConfig};
use flowxdp_core::record::{Addresses, Flow, FlowKey, FlowRecord};
use flowxdp_core::samples;

/// Counts this thread's allocations.
struct Counting;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator, which keeps to the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.set(TAKEN.get() + 1);
        // SAFETY: the caller keeps to the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract, and the memory is the system's.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const START: u64 = 1_700_000_000_000;

fn record(nth: u16) -> FlowRecord {
    let [high, low] = nth.to_be_bytes();
    let addresses = if nth.is_multiple_of(5) {
        Addresses::V6 { source: [high; 16], destination: [low; 16] }
    } else {
        Addresses::V4 { source: [10, 0, high, low], destination: [192, 0, 2, 1] }
    };
    let protocol = match nth % 7 {
        0 => 1,
        1 => 58,
        2 => 17,
        _ => 6,
    };
    let key =
        FlowKey { addresses, source_port: nth, destination_port: 443, protocol, tos: 0, vlan: 0, ingress: 2 };
    Flow {
        key,
        packets: 3,
        octets: 180,
        start_ms: START,
        end_ms: START + 5,
        tcp_flags: 2,
        ttl_min: 63,
        ..samples::FLOW
    }
    .into()
}

/// Pushes records and polls all messages that are ready, as an agent does at each of its seconds.
fn seconds(session: &mut Session, seconds: std::ops::Range<u64>) -> u64 {
    let mut records = 0;
    for second in seconds {
        let wall_ms = START + 1000 * second;
        let now = Now::new(wall_ms * MILLISECOND, wall_ms);
        for nth in 0..1000 {
            // Protocols without templates refuse IPv6.
            let _ = session.push(&record(nth), now);
        }
        while let Some(message) = session.poll_message(now, false) {
            records += message.total.records;
            session.recycle(message);
        }
    }
    records
}

#[test]
fn no_record_allocates() {
    let udp = |protocol| SessionConfig {
        // Templates are told again now and then, in memory of their own.
        template_messages: u32::MAX,
        template_interval: u64::MAX,
        ..SessionConfig::new(protocol, START - 1000)
    };
    for config in [
        udp(Protocol::Ipfix),
        udp(Protocol::V9),
        udp(Protocol::V5),
        udp(Protocol::V7),
        udp(Protocol::V1),
        SessionConfig::reliable(START - 1000),
    ] {
        let protocol = config.protocol;
        let mut session = Session::new(config).unwrap();
        seconds(&mut session, 0..20);
        let before = TAKEN.get();
        let records = seconds(&mut session, 20..120);
        assert_eq!(TAKEN.get() - before, 0, "{protocol}: {records} records");
        assert!(records > 70_000, "{protocol}: {records} records");
    }
}
