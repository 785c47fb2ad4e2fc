//! For any records at any time: exported records read back equal, and no rule of a message is broken.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use flowxdp_core::clock::Now;
use flowxdp_core::elements::Choice;
use flowxdp_core::exporting::session::{Message, Protocol, Session, SessionConfig};
use flowxdp_core::exporting::template::{Kind, RecordFormat, Template};
use flowxdp_core::exporting::wire;
use flowxdp_core::record::{Addresses, EndReason, Flow, FlowKey, FlowRecord, RecordTotal};
use proptest::prelude::*;
use proptest::sample::select;

use crate::collector::Collector;
use crate::samples::{BOTH, SYSTEM_START, T0, as_exported, flow};

/// Any record that ended at most ten minutes before [`T0`].
pub(crate) fn record() -> impl Strategy<Value = FlowRecord> {
    let addresses = prop_oneof![
        any::<(Ipv4Addr, Ipv4Addr)>()
            .prop_map(|(a, b)| Addresses::V4 { source: a.octets(), destination: b.octets() }),
        any::<(Ipv6Addr, Ipv6Addr)>()
            .prop_map(|(a, b)| Addresses::V6 { source: a.octets(), destination: b.octets() }),
    ];
    let protocol = prop_oneof![Just(6), Just(17), Just(1), Just(58), any::<u8>()];
    let key = (addresses, any::<(u16, u16)>(), protocol, any::<(u8, u16, u32)>()).prop_map(
        |(addresses, (source_port, destination_port), protocol, (tos, vlan, ingress))| FlowKey {
            addresses,
            source_port: if matches!(protocol, 1 | 58) { 0 } else { source_port },
            destination_port,
            protocol,
            tos,
            vlan,
            ingress,
        },
    );
    let reason = select(vec![
        EndReason::IdleTimeout,
        EndReason::ActiveTimeout,
        EndReason::EndOfFlow,
        EndReason::Forced,
        EndReason::LackOfResources,
    ]);
    // Counters whose sums fit, as those of real packets do.
    // One octet holds the flags of nearly all.
    let flags = prop_oneof![8 => 0..0x100u16, 1 => 0..0x1000u16];
    let counters = (1..1u64 << 48, 1..1u64 << 48, 0..600_000u64, 0..600_000u64);
    (key, counters, flags, any::<(u8, u8, u16, u16)>(), reason).prop_map(
        |(
            key,
            (packets, octets, ago, lasted),
            tcp_flags,
            (ttl_min, ttl_max, length_min, length_max),
            reason,
        )| {
            Flow {
                key,
                packets,
                octets,
                start_ms: T0 - ago - lasted,
                end_ms: T0 - ago,
                tcp_flags,
                ttl_min,
                ttl_max,
                length_min,
                length_max,
                end_reason: reason,
            }
            .into()
        },
    )
}

fn config() -> impl Strategy<Value = SessionConfig> {
    let size = prop_oneof![380usize..600, Just(1232), Just(1472), 600usize..9000];
    (select(BOTH.to_vec()), any::<u32>(), size, 0..700u64, 0..30u32, 0..3000u64).prop_map(
        |(protocol, observation_domain, max_message, seconds, template_messages, linger_ms)| SessionConfig {
            observation_domain,
            max_message,
            template_interval: seconds * 1_000_000_000,
            template_messages,
            linger: linger_ms * 1_000_000,
            ..SessionConfig::new(protocol, SYSTEM_START)
        },
    )
}

/// The next event of a session.
#[derive(Clone, Debug)]
enum Step {
    Push(Vec<FlowRecord>),
    /// Milliseconds of the monotonic clock, and how far the wall clock steps away from it.
    Wait(u64, i64),
    Flush,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(record(), 1..40).prop_map(Step::Push),
        4 => (0..4000u64, Just(0)).prop_map(|(ms, step)| Step::Wait(ms, step)),
        1 => (0..2_000_000u64, -900..900i64).prop_map(|(ms, step)| Step::Wait(ms, step)),
        2 => Just(Step::Flush),
        1 => Just(Step::Restart),
    ]
}

/// A session with its collector, and the records that each has seen.
struct Pair {
    config: SessionConfig,
    session: Session,
    collector: Collector,
    now: Now,
    pushed: Vec<FlowRecord>,
    received: Vec<FlowRecord>,
    total: RecordTotal,
    /// By the first of four templates that go together: messages since they came. None after a start.
    without_templates: BTreeMap<u16, u32>,
    started: bool,
}

impl Pair {
    fn new(config: SessionConfig) -> Self {
        Self {
            session: Session::new(config.clone()).unwrap(),
            config,
            collector: Collector::default(),
            now: Now::new(1 << 40, T0),
            pushed: Vec::new(),
            received: Vec::new(),
            total: RecordTotal::default(),
            without_templates: BTreeMap::new(),
            started: true,
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Push(records) => {
                for record in records {
                    self.session.push(&record, self.now).unwrap();
                    self.pushed.push(record);
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
            Step::Restart => {
                self.session.restart();
                self.without_templates.clear();
                self.started = true;
            }
        }
    }

    fn poll(&mut self, flush: bool) {
        while let Some(message) = self.session.poll_message(self.now, flush) {
            self.receive(&message);
            self.session.recycle(message);
        }
        assert!(self.session.poll_timeout().is_none_or(|deadline| deadline > self.now.monotonic));
        let mut all = self.total;
        all += self.session.queued();
        let mut pushed = RecordTotal::default();
        self.pushed.iter().for_each(|record| pushed.count(record));
        assert_eq!(all, pushed);
    }

    fn receive(&mut self, message: &Message) {
        assert!(message.bytes.len() <= self.config.max_message);
        let read = self.collector.read(&message.bytes);
        assert_eq!(read.domain, u64::from(self.config.observation_domain));
        assert_eq!(message.templates_only, read.records.is_empty());
        self.without_templates.values_mut().for_each(|messages| *messages += 1);
        if let Some(first) = read.templates.first() {
            assert_eq!(read.templates, [0, 1, 2, 3].map(|kind| first + kind));
            self.without_templates.insert(*first, 0);
        }
        assert!(!self.started || (message.templates_only && !read.templates.is_empty()));
        self.started = false;
        let mut total = RecordTotal::default();
        for data in &read.records {
            let record = flow(&read, data);
            let ipfix = self.config.protocol == Protocol::Ipfix;
            let first = if ipfix && record.tcp_flags() < 0x100 { 292 } else { 288 };
            assert_eq!(data.set, first + Kind::of(&record) as u16);
            let messages = self.without_templates.get(&first);
            assert!(messages.is_some_and(|messages| *messages <= self.config.template_messages.max(1)));
            total.count(&record);
            if self.config.protocol == Protocol::V9 {
                assert!(record.end_ms() <= read.export_secs * 1000, "a record ends after its header");
            }
            self.received.push(record);
        }
        assert_eq!(message.total, total);
        self.total += total;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_exported_reads_back_equal(config in config(), steps in prop::collection::vec(step(), 1..30)) {
        let mut pair = Pair::new(config);
        for step in steps {
            pair.run(step);
        }
        pair.run(Step::Flush);
        // Records of one kind and form keep their order.
        let is_wide = |record: &FlowRecord| record.tcp_flags() > 0xff;
        for (kind, wide) in Kind::ALL.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
            let of = |records: &[FlowRecord]| -> Vec<FlowRecord> {
                let is_of = |record: &&FlowRecord| Kind::of(record) == kind && is_wide(record) == wide;
                records.iter().filter(is_of).copied().collect()
            };
            let pushed = pair.pushed.iter().map(|record| as_exported(pair.config.protocol, record));
            prop_assert_eq!(of(&pushed.collect::<Vec<_>>()), of(&pair.received));
        }
    }

    /// No message leaves for being full while the largest record, in a set of its own, would still fit.
    #[test]
    fn messages_leave_filled(
        protocol in select(BOTH.to_vec()), records in prop::collection::vec(record(), 150..200),
    ) {
        let mut session = Session::new(SessionConfig::new(protocol, SYSTEM_START)).unwrap();
        let now = Now::new(0, T0);
        let mut sizes = Vec::new();
        for record in &records {
            session.push(record, now).unwrap();
            while let Some(message) = session.poll_message(now, false) {
                if !message.templates_only {
                    sizes.push(message.bytes.len());
                }
            }
        }
        prop_assert!(sizes.len() >= 5);
        let wire = if protocol == Protocol::V9 { wire::Protocol::V9 } else { wire::Protocol::Ipfix };
        let template = |kind| Template::new(wire, RecordFormat::USUAL, kind, &Choice::default());
        let largest = Kind::ALL.map(|kind| template(kind).record_length()).into_iter().max();
        let room = 4 + largest.unwrap() + 3;
        prop_assert!(sizes.iter().all(|size| *size + room > 1472), "{:?}", sizes);
    }
}
