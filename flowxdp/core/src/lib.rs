//! The pure core of the agent, in the order of the data path.
//!
//! Architecture invariant: the core reads no clock and knows no socket, no async runtime and no
//! kernel. Time and bytes come in, actions go out.
#![forbid(unsafe_code)]

pub mod books;
pub mod clock;
pub mod data_type;
pub mod elements;
pub mod facts;
pub mod manual;
pub mod merge;
pub mod overflow;
pub mod pace;
pub mod record;
pub mod registry;
pub mod retire;
pub mod session;
pub mod slots;
pub mod template;
pub mod wire;
