//! The two collectors: nfcapd over UDP and a receiver over TCP, each at a port of its own, now there and
//! now away. Their received records are summed up over all their lives.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flowxdp_tests::books::Count;
use flowxdp_tests::delivery::Records;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::judge::sessions::Reader;
use flowxdp_tests::netns::Netns;
use flowxdp_tests::peer::Peer;
use flowxdp_tests::process::patient;
use flowxdp_tests::udp::free_port;
use rustix::process::{Pid, setpriority_process};

const LIMIT: Duration = Duration::from_secs(30);

/// nfcapd must get the processor when datagrams wait: its socket holds few.
const URGENT: i32 = -15;

/// See the [module](self).
pub(crate) struct Collectors {
    udp_port: u16,
    tcp_port: u16,
    nfcapd: Option<Nfcapd>,
    peer: Option<Peer>,
    udp: Records,
    reader: Reader,
    /// Gaps in the sequence are no fault: kills leave them.
    gaps: bool,
}

impl Collectors {
    /// Both are there. `gaps`: numbers may be left out in the sequence.
    pub(crate) fn start(netns: &Netns, gaps: bool) -> Result<Self> {
        let mut collectors = Self {
            udp_port: free_port()?,
            tcp_port: free_port()?,
            nfcapd: None,
            peer: None,
            udp: Records::default(),
            reader: Reader::default(),
            gaps,
        };
        collectors.udp_back(netns)?;
        collectors.tcp_back(netns)?;
        Ok(collectors)
    }

    /// The ports: over UDP and over TCP.
    pub(crate) const fn ports(&self) -> [u16; 2] {
        [self.udp_port, self.tcp_port]
    }

    /// nfcapd ends once it has read everything. Nothing may be sent meanwhile.
    pub(crate) fn udp_away(&mut self) -> Result<()> {
        let Some(nfcapd) = self.nfcapd.take() else { return Ok(()) };
        let stored = nfcapd.store()?;
        let (records, total) =
            (stored.count, if stored.count > 0 { stored.total()? } else { Count::default() });
        let mut findings = stored.findings;
        if self.gaps {
            findings.retain(|line| !(line.contains("Sequence Errors: ") && line.contains("Bad Packets: 0")));
        }
        ensure!(findings.is_empty(), "{}", findings.join("\n"));
        self.udp = self.udp + Records { records, packets: total.packets, octets: total.octets };
        Ok(())
    }

    /// nfcapd begins, if it was away.
    pub(crate) fn udp_back(&mut self, netns: &Netns) -> Result<()> {
        if self.nfcapd.is_none() {
            let nfcapd = Nfcapd::start_at(self.udp_port, Some(netns))?;
            let pid = i32::try_from(nfcapd.pid()).ok().and_then(Pid::from_raw);
            setpriority_process(pid, URGENT).context("the priority of nfcapd")?;
            self.nfcapd = Some(nfcapd);
        }
        Ok(())
    }

    /// Every connection is closed, with its unread octets, and none is accepted any more.
    pub(crate) fn tcp_away(&mut self) -> Result<()> {
        let Some(mut peer) = self.peer.take() else { return Ok(()) };
        peer.kill();
        self.reader.read(peer.take())?;
        self.reader.end_all();
        Ok(())
    }

    /// The receiver over TCP begins, if it was away.
    pub(crate) fn tcp_back(&mut self, netns: &Netns) -> Result<()> {
        if self.peer.is_none() {
            self.peer = Some(Peer::start(netns, self.tcp_port, None)?);
        }
        Ok(())
    }

    /// The receiver over TCP stops reading, or starts again.
    pub(crate) fn stall(&self, stalled: bool) {
        self.peer.iter().for_each(|peer| peer.stall(stalled));
    }

    /// Reads the octets that came over TCP so far, so that they take no memory.
    pub(crate) fn read(&mut self) -> Result<()> {
        self.peer.as_ref().map_or(Ok(()), |peer| self.reader.read(peer.take()))
    }

    /// The records that came over UDP and over TCP in all. No agent may run, so that none is on the way.
    pub(crate) fn sums(&mut self) -> Result<[Records; 2]> {
        self.udp_away()?;
        if let Some(peer) = &self.peer {
            let deadline = Instant::now() + patient(LIMIT);
            while !peer.is_idle() {
                ensure!(Instant::now() < deadline, "a connection of an agent that has ended goes on");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.read()?;
        Ok([self.udp, self.reader.sum()])
    }
}
