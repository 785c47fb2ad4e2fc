//! The agent, in the order of the data path.
//!
//! packet → key → slot → retire → flow record → template and encoder → message → transport → collector
//!
//! - [`kernel`]: the XDP program meters packets into slots of a flow table that is mapped here.
//! - [`metering`]: slots that are due retire and become flow records.
//! - [`exporting`]: records become each collector's messages, or wait on disk.
//! - [`transport`]: messages leave.
//! - [`capture`]: packets of a file, for the same way; [`names`]: names that their payloads say.
//! - [`agent`]: the engine that drives metering and exporting, the control socket, and the privileges that it gives up.
//! - [`config`]: all settings as one value, from flags. [`command`]: one file a command; [`report`] shows
//!   books to people; [`text`] makes foreign text safe for a terminal.
//! - [`folder`]: folders that are the agent's own; [`file`](mod@file): files that are read whole.
//! - [`system`]: system calls as safe functions; unsafe code is here, in two files of [`kernel`] and in the loader's fork.
//! - [`limits`], [`guard`], [`output`]: a limit, a panic or a full stderr ends in one line and the books.
//!
//! Architecture invariant: the event loops in [`command`] decide nothing: they feed clock, sockets and signals
//! to [`agent::engine`]. `cargo xtask tidy` holds the others: aya is in [`kernel`] alone, unsafe code in listed files,
//! and no modules form a circle by the paths that they name.

pub mod agent;
pub mod capture;
pub mod clock;
pub mod collector_url;
pub mod command;
#[cfg(test)]
#[path = "../../tests/src/committed.rs"]
pub mod committed;
pub mod config;
pub mod exporting;
pub mod file;
pub mod folder;
pub mod guard;
pub mod kernel;
pub mod limits;
pub mod metering;
pub mod names;
pub mod output;
pub mod report;
pub mod system;
pub mod text;
pub mod transport;
pub mod units;
