//! The harness of the tests starts, feeds, records and judges the agent, and shares no code with it.
//!
//! - [`process`], [`netns`], [`udp`]: children, network namespaces and ports, all gone after the test.
//! - [`captures`], [`truth`]: the replayed files, and the flows that must come of them.
//! - [`headers`]: facts of packets by the headers that tshark lists.
//! - [`failures`]: many checks in one test.
//! - [`craft`]: packets built header by header, and the captures made of them.
//! - [`recorded`]: the truth of captures that were recorded, as tshark reads it.
//! - [`flows`], [`compare`]: records as judges read them, their sums, and the differences.
//! - [`agent`], [`books`], [`replayed`]: calling the agent, and the equation that its books must keep.
//! - [`delivery`], `peer`, `authority`, `stage`: at least once over TCP and TLS, a collector that stalls and dies,
//!   and certificates, good and bad (feature `lab`).
//! - [`forged`]: a collector over UDP beside which a forger sends ICMP messages.
//! - [`nic`]: the NICs of a test VM.
//! - [`sniff`], [`pcap`]: the export as it was on the wire.
//! - [`stream`], [`pki`]: receivers of TCP and TLS, and their certificates.
//! - [`judge`]: nfcapd, tshark, nfacctd, our own collector, and the strict reader.
//! - [`committed`]: committed files that are compared, and written again by one switch.
//! - [`handmade`]: export messages to test the judges with.
//! - [`traffic`], `generator`, [`foreign`]: packets of an exactly known number, sent by tcpreplay or by the
//!   kernel itself (feature `lab`), and another's XDP program; [`stack`]: datagrams of the kernel's stack.
//! - `tun`: a tun device and its far side (feature `lab`).
//! - `tagger`: a sender with VLAN tags (feature `lab`).
//! - `bulk`: TCP through a gateway, in packets above 65,535 octets (feature `lab`).
//! - [`bpffs`], `neighbour`: a BPF file system, and another's program with verdicts of its own (feature `lab`).
//!
//! tests/core needs no root and no built agent. tests/kernel has a module for each subject: `judged_*` need a judge
//! and no kernel; `kernel_*` need root and the built agent; `vm_*` need the NICs, the CPUs and the clock of a test VM,
//! `cargo xtask vm`, and are built with the feature `vm` only. By hand:
//! `cargo test -p flowxdp-tests --features kernel --test kernel kernel_errors:: -- --test-threads=1`.
#![deny(unsafe_code)]

pub mod agent;
#[cfg(feature = "lab")]
pub mod authority;
pub mod books;
pub mod bpffs;
#[cfg(feature = "lab")]
pub mod bulk;
pub mod captures;
pub mod committed;
pub mod compare;
pub mod craft;
pub mod delivery;
pub mod facts;
pub mod failures;
pub mod flows;
pub mod foreign;
pub mod forged;
#[cfg(feature = "lab")]
pub mod generator;
pub mod handmade;
pub mod headers;
pub mod judge;
#[cfg(feature = "lab")]
pub mod neighbour;
pub mod netns;
pub mod nic;
pub mod pcap;
#[cfg(feature = "lab")]
pub mod peer;
pub mod pki;
pub mod process;
pub mod recorded;
pub mod records;
pub mod reload;
pub mod replayed;
pub mod routed;
#[cfg(feature = "lab")]
pub mod slow;
pub mod sniff;
pub mod stack;
#[cfg(feature = "lab")]
pub mod stage;
pub mod stream;
#[cfg(feature = "lab")]
pub mod tagger;
pub mod traffic;
pub mod truth;
#[cfg(feature = "lab")]
pub mod tun;
pub mod udp;
pub mod workload;
