//! The pure core of the agent, in the order of the data path.
//!
//! Architecture invariant: the core reads no clock and knows no socket, no async runtime and no
//! kernel. Time and bytes come in, actions go out.
#![forbid(unsafe_code)]

pub mod clock;
pub mod pace;
pub mod record;
pub mod session;
pub mod wire;
