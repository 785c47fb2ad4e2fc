//! The exporting process: from a flow record to a collector's message.
//!
//! - [`dispatch`]: which collector a record goes to; [`deliveries`]: the ledger of who still needs it.
//! - [`exporter`]: one collector's session turns records into messages and paces them.
//! - [`spool`]: messages that a connection could not take wait on disk.

pub mod deliveries;
pub mod dispatch;
pub mod exporter;
pub mod spool;
