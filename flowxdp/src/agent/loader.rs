//! The loader: a second process that keeps the capabilities to load BPF programs, for requests of the agent.
//!
//! The agent gives its capabilities up once it meters. A table of another size needs maps and programs of its own,
//! and a changed configuration may name files that only privileges or other rules open. The loader is forked
//! before the agent opens collectors, keys or tables. It keeps CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and
//! CAP_NET_RAW as far as the agent held them, reads nothing from the network, and takes one typed request at a
//! time over a socket pair.
//!
//! - [`protocol`]: requests and answers.
//! - [`process`]: the fork, and the process's life.
//! - [`requests`]: each request is checked against the configuration that the loader itself has read.
//! - [`client`]: the agent's end.

pub mod client;
pub mod process;
pub mod protocol;
pub mod requests;

pub use self::{
    client::Loader,
    process::{Folder, start},
    protocol::{Answer, Request, Table},
    requests::{Allowed, Configuration},
};
