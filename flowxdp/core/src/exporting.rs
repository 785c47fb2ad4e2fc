//! The exporting process: from a flow record to a message.
//!
//! - [`protocol`]: IPFIX and the versions of NetFlow, as an operator names them.
//! - [`template`]: which elements the records of a kind have, as a list of copies from a record's row.
//! - [`options`]: options data about the exporter itself.
//! - [`wire`]: the octets of IPFIX and NetFlow v9; [`message`]: a message, as sessions give it.
//! - [`session`]: one collector's queue, templates, sequence and export time; [`pace`]: how fast;
//!   [`backoff`]: when a connection is tried again.
//! - [`legacy`]: the same for NetFlow v5, v7 and v1, which have no templates.
//! - [`spool`]: messages that wait in a file, read back.

pub mod backoff;
pub mod legacy;
pub mod message;
pub mod options;
pub mod pace;
pub mod protocol;
pub mod session;
pub mod spool;
pub mod template;
pub mod wire;
