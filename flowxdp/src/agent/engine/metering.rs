//! The metering process as the engine drives it: live interfaces, a capture's packets, or a test's flows.

use flowxdp_core::{
    books::{Books, Bracket},
    clock::{MeterTime, Reading, WallClock},
    exporting::options::Interface,
    record::{EndReason, FlowRecord, Total},
};

use crate::exporting::dispatch::Dispatch;

/// One sweep over the flow tables.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// The time that flows are due by.
    pub now: MeterTime,
    /// For the times in records.
    pub wall: WallClock,
    /// Every flow is due, for this reason.
    pub forced: Option<EndReason>,
    /// Flows that may retire, about.
    pub room: usize,
}

/// A configuration that holds from now on.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The effective configuration, as a file.
    pub file: String,
    /// The end leaves the tables to the next agent.
    pub leave: bool,
    /// Observation domain id of the flow records.
    pub observation_domain: u32,
    /// The changes, in words.
    pub changed: Vec<String>,
}

/// Flow tables and the packets that fill them.
pub trait Metering {
    /// Takes a turn's share of the packets that found no slot; true where more of them wait.
    ///
    /// # Errors
    ///
    /// A partition cannot change its CPU.
    fn drain(&mut self, now: MeterTime) -> anyhow::Result<bool>;

    /// Takes all packets that found no slot until now.
    fn drain_all(&mut self);

    /// Inspects a turn's share of first packets, where they are copied: true where more wait.
    fn inspect(&mut self, _at: &Reading) -> Option<bool> {
        None
    }

    /// Exports slots that an earlier agent had retired and not delivered. `known` are the bits of the collectors.
    ///
    /// # Errors
    ///
    /// The kernel offers no grace period.
    fn recover(
        &mut self,
        at: &Reading,
        known: u32,
        sink: impl FnMut(FlowRecord, &[u8]),
    ) -> anyhow::Result<()>;

    /// Retires the flows that are due, and hands their records to `sink`.
    ///
    /// # Errors
    ///
    /// The kernel offers no grace period: no slot was read.
    fn sweep(&mut self, sweep: &Sweep, sink: impl FnMut(FlowRecord, &[u8])) -> anyhow::Result<()>;

    /// Upkeep that follows a sweep.
    ///
    /// # Errors
    ///
    /// A pin cannot be removed.
    fn after_sweep(&mut self) -> anyhow::Result<()>;

    /// Whether the last sweep retired every flow that was due.
    fn is_swept(&self) -> bool;

    /// When the next sweep is due, if the last one was at `last`.
    fn next_sweep(&self, last: MeterTime) -> MeterTime;

    /// When the interfaces are to be listed again.
    fn check_at(&self) -> MeterTime;

    /// Lists the interfaces: meters new ones, follows changed ones, releases gone ones.
    ///
    /// # Errors
    ///
    /// The kernel's.
    fn check_interfaces(&mut self, now: MeterTime) -> anyhow::Result<()>;

    /// Interfaces of which flow records may come.
    fn interfaces(&mut self, now: MeterTime) -> Vec<Interface>;

    /// Packets that were not metered so far.
    fn ignored(&self) -> Total;

    /// Ends the metering of packets; the tables stay for a last sweep.
    ///
    /// # Errors
    ///
    /// A program stays attached, or the kernel offers no grace period.
    fn stop(&mut self) -> anyhow::Result<()>;

    /// Leaves tables and attached programs to the next agent.
    fn leave(&mut self);

    /// Whether there is a file of a configuration that can be read again.
    fn can_reload(&self) -> bool {
        false
    }

    /// Begins to read the configuration again.
    ///
    /// # Errors
    ///
    /// There is no file, or no process with the privileges that this takes.
    fn reload(&mut self) -> anyhow::Result<()> {
        anyhow::bail!("the configuration of a capture does not change")
    }

    /// Progress of a reload: nothing while it is prepared, then its result, with the collectors of the new
    /// configuration in `dispatch`. After a refusal, the inner error, nothing changed.
    ///
    /// # Errors
    ///
    /// The kernel fails underneath.
    fn reloaded(
        &mut self,
        _at: &Reading,
        _dispatch: &mut Dispatch,
    ) -> anyhow::Result<Option<anyhow::Result<Applied>>> {
        Ok(None)
    }

    /// The metering part of the books, between two readings of the kernel's counters.
    ///
    /// # Errors
    ///
    /// The kernel offers no grace period.
    fn books(&mut self) -> anyhow::Result<(Books, Bracket)>;
}
