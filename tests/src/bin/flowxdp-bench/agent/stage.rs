//! The namespace in which the agent is measured, and the states that its table goes through there.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use flowxdp_tests::agent::{Live, last_exported};
use flowxdp_tests::books::{Books, Count};
use flowxdp_tests::delivery::Records;
use flowxdp_tests::generator::cpus::{self, Way};
use flowxdp_tests::netns::Netns;
use flowxdp_tests::traffic::{TCP, Traffic, UDP};

use super::{State, Turn};
use crate::export::receiver::Receiver;
use crate::process::{self, Memory};

const SENDER: &str = "gen0";
const METERED: &str = "met0";
const LENGTH: u16 = 100;
/// A flow is at most so many seconds in a churning table, and its key comes again after twice as many.
const STAY: u32 = 4;
/// After this time no work from before the window is left: neither a sweep nor messages that were not full.
const BEFORE: Duration = Duration::from_millis(1500);
/// How long the last records may take.
const LIMIT: Duration = Duration::from_secs(30);

/// See the [module](self).
pub(super) struct Stage {
    netns: Netns,
    cpus: Vec<usize>,
    window: Duration,
}

impl Stage {
    pub(super) fn new(seconds: u32) -> Result<Self> {
        let (netns, cpus) = (Netns::new("bench")?, cpus::online()?);
        netns.veth_with_queues(SENDER, METERED, cpus.len())?;
        Ok(Self { netns, cpus, window: Duration::from_secs(seconds.into()) })
    }

    fn agent(&self, flows: u32, url: &str, idle: &str) -> Result<Live> {
        let flows = flows.to_string();
        let mut arguments = vec!["--interface", METERED, "--collector", url, "--active-timeout", "1h"];
        arguments.extend(["--idle-timeout", idle, "--flows", &flows, "--flows6", "1000"]);
        Live::start(&self.netns, &arguments)
    }

    /// Sends flows of a packet each, from every CPU; their keys come again after `flows`.
    fn send(&self, flows: u32, packets: u64, protocol: u8, way: Way) -> Result<Count> {
        let traffic = Traffic { flows, packets, ipv6: false, protocol, length: LENGTH };
        let sent = cpus::spread(&self.netns, SENDER, &traffic, &self.cpus, way)?;
        Ok(Count { packets: sent.packets, octets: sent.octets() })
    }

    /// An empty table, then the same half full, at last with some flows that end.
    pub(super) fn rest(&self, flows: u32) -> Result<[Turn; State::REST.len()]> {
        let receiver = Receiver::start_in(&self.netns)?;
        let url = format!("udp://127.0.0.1:{}", receiver.port());
        let mut live = self.agent(flows, &url, "1h")?;
        let empty = self.measure(&live, &receiver)?;
        let stay = self.send(flows / 2, (flows / 2).into(), UDP, Way::default())?;
        ensure!(seen(&live, stay)?.in_table == stay, "not all flows stayed");
        let half = self.measure(&live, &receiver)?;
        let seconds = self.window.as_secs() + u64::from(STAY);
        let packets = seconds * self.cpus.len() as u64;
        let way = Way { rate: Some(u32::try_from(self.cpus.len())?), ending: true };
        let (ending, ended) =
            self.meanwhile(&live, &receiver, || self.send(u32::try_from(packets)?, packets, TCP, way))?;
        live.until(LIMIT, "the ended flows exported", |books| books.in_table == stay)?;
        end(live, receiver, &url, stay + ended)?;
        Ok([empty, half, ending])
    }

    /// New flows, after so many seconds as many leave as come.
    pub(super) fn churn(&self, flows: u32, rate: u32) -> Result<Turn> {
        let receiver = Receiver::start_in(&self.netns)?;
        let url = format!("udp://127.0.0.1:{}", receiver.port());
        let mut live = self.agent(flows, &url, "1s")?;
        let packets = u64::from(rate) * (self.window.as_secs() + u64::from(STAY));
        let way = Way { rate: Some(rate), ending: false };
        let (turn, sent) =
            self.meanwhile(&live, &receiver, || self.send(rate.saturating_mul(2 * STAY), packets, UDP, way))?;
        live.until(LIMIT, "all exported", |books| {
            books.in_table == Count::default() && books.queued == Count::default()
        })?;
        seen(&live, sent)?.all_exported()?;
        end(live, receiver, &url, sent)?;
        Ok(turn)
    }

    /// A window in the middle of traffic that lasts as long as the window and [`STAY`].
    fn meanwhile(
        &self,
        live: &Live,
        receiver: &Receiver,
        send: impl FnOnce() -> Result<Count> + Send,
    ) -> Result<(Turn, Count)> {
        thread::scope(|scope| {
            let sending = scope.spawn(send);
            thread::sleep(BEFORE);
            let turn = self.measure(live, receiver);
            let sent = sending.join().map_err(|_| anyhow!("the generator panicked"))??;
            Ok((turn?, sent))
        })
    }

    fn measure(&self, live: &Live, receiver: &Receiver) -> Result<Turn> {
        thread::sleep(BEFORE);
        let (begun, records, cpu) = (Instant::now(), receiver.records(), process::cpu_time(live.pid())?);
        thread::sleep(self.window);
        let cpu = process::cpu_time(live.pid())?.saturating_sub(cpu);
        let (wall, records) = (begun.elapsed(), receiver.records() - records);
        Ok(Turn { cpu, wall, memory: Memory::of(live.pid())?, records })
    }
}

/// All sent packets were seen, and the books balance.
fn seen(live: &Live, sent: Count) -> Result<Books> {
    let books = live.status()?;
    books.balance()?;
    ensure!(books.seen == sent, "seen {:?} of {sent:?}", books.seen);
    Ok(books)
}

/// All sent packets were exported and received, each in a record of its own.
fn end(live: Live, receiver: Receiver, url: &str, sent: Count) -> Result<()> {
    let ended = live.stop()?;
    ensure!(ended.code == Some(0), "the agent failed: {}", ended.stderr);
    let (came, exported) = (receiver.finish()?.total, last_exported(&ended, url)?);
    ensure!(came == exported, "the agent says it exported {exported:?}, and {came:?} came");
    let Count { packets, octets } = sent;
    ensure!(came == Records { records: packets, packets, octets }, "{came:?} came of {sent:?}");
    Ok(())
}
