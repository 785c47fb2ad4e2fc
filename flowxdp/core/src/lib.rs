//! The pure core of the agent, in the order of the data path.
//!
//! Architecture invariant: the core reads no clock and knows no socket, no async runtime and no
//! kernel. Time and bytes come in, actions go out.
//!
//! - [`metering`]: from a slot of the table to a flow record.
//! - [`record`]: a flow record as a row in network byte order.
//! - [`enrich`]: columns of a record that the kernel does not know.
//! - [`elements`]: the table of information elements that records and templates follow from.
//! - [`exporting`]: from a flow record to a message.
//! - [`books`]: where every packet is; [`clock`]: the time that the caller gives.
//!
//! ```text
//! push(record, now) ──► Session ──► poll_message(now, flush) ──► octets of one datagram
//!                          └──────► poll_timeout() ────────────► when to call again
//! ```
#![forbid(unsafe_code)]

pub mod books;
pub mod clock;
pub mod elements;
pub mod enrich;
pub mod exporting;
pub mod metering;
pub mod record;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
