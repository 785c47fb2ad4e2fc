//! For any records at any time: exported records read back equal, and no rule of a message is broken.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use flowxdp_core::clock::Now;
use flowxdp_core::exporting::legacy::{Legacy, LegacyConfig, Version};
use flowxdp_core::exporting::session::Message;
use flowxdp_core::record::{Addresses, EndReason, Flow, FlowKey, FlowRecord, RecordTotal};
use flowxdp_core::samples;
use proptest::prelude::*;
use proptest::sample::select;

use crate::collector::read;
use crate::{SYSTEM_START, T0};

/// The longest time that can be told, milliseconds.
const SPAN: u64 = u32::MAX as u64;

/// Any IPv4 record; its times are milliseconds before the instant of its push, for now.
fn record() -> impl Strategy<Value = Flow> {
    let key = (any::<(Ipv4Addr, Ipv4Addr)>(), any::<(u16, u16, u8, u8, u16)>(), any::<u32>(), 0..20u32);
    let key = key.prop_map(|((source, destination), (from, to, protocol, tos, vlan), ingress, shift)| {
        let addresses = Addresses::V4 { source: source.octets(), destination: destination.octets() };
        let ingress = ingress >> shift;
        FlowKey { addresses, source_port: from, destination_port: to, protocol, tos, vlan, ingress }
    });
    let counter = || prop_oneof![9 => 1..1u64 << 20, 1 => 1..1u64 << 36];
    let ago = || prop_oneof![8 => 0..600_000u64, 1 => 0..1u64 << 33];
    (key, counter(), counter(), ago(), 0..600_000u64, 0..0x1000u16).prop_map(
        |(key, packets, octets, ago, lasted, tcp_flags)| Flow {
            key,
            packets,
            octets,
            start_ms: ago + lasted,
            end_ms: ago,
            tcp_flags,
            end_reason: EndReason::Forced,
            ..samples::LEGACY
        },
    )
}

/// The next event of a session.
#[derive(Clone, Debug)]
enum Step {
    Push(Vec<Flow>),
    /// Milliseconds of the monotonic clock, and how far the wall clock steps away from it.
    Wait(u64, i64),
    Flush,
    /// So many of the last messages were refused.
    Resume(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(record(), 1..40).prop_map(Step::Push),
        4 => (0..4000u64, Just(0)).prop_map(|(ms, step)| Step::Wait(ms, step)),
        1 => (0..2_000_000u64, -900..900i64).prop_map(|(ms, step)| Step::Wait(ms, step)),
        1 => (0..1u64 << 33, Just(0)).prop_map(|(ms, step)| Step::Wait(ms, step)),
        2 => Just(Step::Flush),
        2 => (0..5usize).prop_map(Step::Resume),
    ]
}

/// A session, and all that came out of it.
struct Pair {
    config: LegacyConfig,
    session: Legacy,
    now: Now,
    pushed: Vec<Flow>,
    messages: VecDeque<Message>,
}

impl Pair {
    fn new(version: Version, max_message: usize) -> Self {
        let config = LegacyConfig { max_message, ..LegacyConfig::new(version, SYSTEM_START) };
        Self {
            session: Legacy::new(config.clone()).unwrap(),
            config,
            now: Now::new(1 << 40, T0),
            pushed: Vec::new(),
            messages: VecDeque::new(),
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Push(records) => {
                for mut record in records {
                    record.start_ms = self.now.wall_ms.saturating_sub(record.start_ms);
                    record.end_ms = self.now.wall_ms.saturating_sub(record.end_ms);
                    match self.session.push(&FlowRecord::from(record), self.now) {
                        Ok(()) => self.pushed.push(record),
                        Err(_) => assert!(self.cannot_be_told(&record), "{record:?} was refused"),
                    }
                }
                self.poll(false);
            }
            Step::Wait(ms, wall_step) => {
                self.now.monotonic = self.now.monotonic + ms * 1_000_000;
                self.now.wall_ms = (self.now.wall_ms + ms).saturating_add_signed(wall_step);
                self.poll(false);
            }
            Step::Flush => {
                self.poll(true);
                assert_eq!(self.session.queued(), RecordTotal::default());
            }
            Step::Resume(count) => {
                let unsent = self.messages.split_off(self.messages.len().saturating_sub(count));
                let resumed = self.session.resume(unsent, self.now);
                self.messages.extend(resumed);
            }
        }
    }

    fn cannot_be_told(&self, record: &Flow) -> bool {
        let ends = self.pushed.iter().map(|record| record.end_ms);
        let exports = self.messages.iter().map(|message| read(self.config.version, &message.bytes).export_ms);
        record.start_ms < SYSTEM_START || ends.chain(exports).any(|time| time > record.start_ms + SPAN)
    }

    fn poll(&mut self, flush: bool) {
        while let Some(message) = self.session.poll_message(self.now, flush) {
            self.messages.push_back(message);
        }
        assert!(self.session.poll_timeout().is_none_or(|deadline| deadline > self.now.monotonic));
        let mut all = self.session.queued();
        self.messages.iter().for_each(|message| all += message.total);
        let mut pushed = RecordTotal::default();
        self.pushed.iter().for_each(|flow| pushed.count(&FlowRecord::from(*flow)));
        assert_eq!(all.total(), pushed.total());
        assert!(all.records >= pushed.records);
    }

    /// Reads all messages, in the order of their sending.
    fn receive(&self) -> Vec<Flow> {
        let (mut sequence, mut export_ms, mut received) = (0, SYSTEM_START, Vec::new());
        for message in &self.messages {
            assert!(message.bytes.len() <= self.config.max_message);
            let read = read(self.config.version, &message.bytes);
            assert!(read.export_ms >= export_ms, "the export time goes back");
            assert_eq!((read.export_ms - SYSTEM_START) % (1 << 32), read.uptime);
            assert!(read.sequence.is_none_or(|it| it == sequence));
            let mut total = RecordTotal::default();
            for record in &read.records {
                total.count(record);
                assert!(record.end_ms() <= read.export_ms, "a record ends after its header");
            }
            assert_eq!(message.total, total);
            (sequence, export_ms) = (sequence + total.records as u32, read.export_ms);
            received.extend(read.records.iter().map(FlowRecord::flow));
        }
        received
    }
}

/// `record` as its version can say it, apart from its counters.
fn as_exported(record: &Flow) -> Flow {
    let mut record = *record;
    record.tcp_flags &= 0xff;
    record.key.vlan = 0;
    if record.key.ingress > 0xffff {
        record.key.ingress = 0;
    }
    record
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_exported_reads_back_equal(
        version in select(Version::ALL.to_vec()),
        max_message in prop_oneof![76usize..1600, Just(1472)],
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let mut pair = Pair::new(version, max_message);
        for step in steps {
            pair.run(step);
        }
        pair.run(Step::Flush);
        let mut received = pair.receive().into_iter();
        for pushed in &pair.pushed {
            // A record is as few as its counters need, one after the other.
            let (mut packets, mut octets) = (0, 0);
            let parts = pushed.packets.max(pushed.octets).div_ceil(SPAN);
            for _ in 0..parts {
                let part = received.next().unwrap();
                prop_assert!(part.packets > 0 || pushed.packets < parts);
                (packets, octets) = (packets + part.packets, octets + part.octets);
                let counters = Flow { packets: part.packets, octets: part.octets, ..*pushed };
                prop_assert_eq!(part, as_exported(&counters));
            }
            prop_assert_eq!((packets, octets), (pushed.packets, pushed.octets));
        }
        prop_assert!(received.next().is_none());
    }
}
