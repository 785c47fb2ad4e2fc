//! The pure core of the agent, in the order of the data path.
//!
//! Architecture invariant: the core reads no clock and knows no socket, no async runtime and no
//! kernel. Time and bytes come in, actions go out.
//!
//! From a slot to a flow record:
//!
//! - [`slots`]: from the octets of a slot to counters of a flow; [`retire`]: which are due, and why.
//! - [`aging`]: how long an idle flow may stay in a table that fills; [`other_layout`]: slots of another layout.
//! - [`partitions`]: which CPU has which part of the table.
//! - [`spill`]: flows that found no slot; [`aggregate`]: flows that even the spill table has no room for;
//!   [`merge`]: parts that retire together become one record.
//! - [`deliveries`]: slots that stay until every collector has their record.
//! - [`books`]: where every packet is.
//!
//! The exporting process, from a flow record to a message:
//!
//! - [`record`]: a flow record as a row in network byte order, and [`clock`]: the time that the caller gives.
//! - [`elements`]: the table of information elements that everything here follows from, tested against
//!   IANA's [`registry`]; [`manual`] writes its page.
//! - [`template`]: which elements the records of a kind have, as a list of copies from a record's row.
//! - [`options`]: options data about the exporter itself.
//! - [`wire`]: the octets of IPFIX and NetFlow v9; [`message`]: a message, as sessions give it.
//! - [`session`]: one collector's queue, templates, sequence and export time; [`pace`]: how fast.
//! - [`legacy`]: the same for NetFlow v5, v7 and v1, which have no templates.
//! - [`spool`]: messages that wait in a file, read back.
//!
//! Beside the data path, [`names`]: names that the first packets of a flow say, and those of DNS answers.
//!
//! ```text
//! push(record, now) ──► Session ──► poll_message(now, flush) ──► octets of one datagram
//!                          └──────► poll_timeout() ────────────► when to call again
//! ```
#![forbid(unsafe_code)]

pub mod aggregate;
pub mod aging;
pub mod backoff;
pub mod books;
pub mod clock;
pub mod data_type;
pub mod deliveries;
pub mod elements;
pub mod legacy;
pub mod manual;
pub mod merge;
pub mod message;
pub mod names;
pub mod options;
pub mod other_layout;
pub mod pace;
pub mod partitions;
pub mod protocol;
pub mod record;
pub mod registry;
pub mod retire;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
pub mod session;
pub mod slots;
pub mod spill;
pub mod spool;
pub mod template;
pub mod wire;
