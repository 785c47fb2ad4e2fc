//! The metering process, as far as it is the agent's: from a slot of the table to a flow record.
//!
//! - [`slots`]: from the octets of a slot to counters of a flow; [`retire`]: which are due, and why.
//! - [`aging`]: how long an idle flow may stay in a table that fills; [`other_layout`]: slots of another layout.
//! - [`partitions`]: which CPU has which part of the table.
//! - [`spill`]: flows that found no slot; [`aggregate`]: flows that even the spill table has no room for;
//!   [`merge`]: parts that retire together become one record.
//! - [`deliveries`]: slots that stay until every collector has their record.

pub mod aggregate;
pub mod aging;
pub mod deliveries;
pub mod merge;
pub mod other_layout;
pub mod partitions;
pub mod retire;
pub mod slots;
pub mod spill;
