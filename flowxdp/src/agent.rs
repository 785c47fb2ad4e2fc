//! The agent around the data path.
//!
//! - [`engine`]: one state machine drives metering and exporting, from the first sweep to the last book. `run`
//!   feeds it the machine's clock, sockets and signals, `replay` the capture's clock, tests a simulated time.
//! - [`control`]: the socket at which `status` and `flush` ask; [`reporter`]: options data.
//! - [`confine`]: the privileges that the agent gives up once everything is open; [`loader`]: a second process that
//!   keeps the capabilities to load programs, for requests of the agent.
//! - [`service`]: notes to a service manager.

pub mod confine;
pub mod control;
pub mod engine;
pub mod loader;
pub mod reporter;
pub mod service;
