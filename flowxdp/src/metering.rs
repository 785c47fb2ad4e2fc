//! The metering process's part in user space: slots that are due retire and become flow records.
//!
//! - [`meter`]: by the rules of [`flowxdp_core::metering::retire`].
//! - [`inspection`]: first packets of flows become names.
//! - [`aging`]: idle timeouts become shorter while a table fills.

pub mod aging;
pub mod inspection;
pub mod meter;
