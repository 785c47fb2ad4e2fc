//! The commands, one file or folder each, with their options beside them.

pub mod collect;
pub mod detach;
pub mod options;
pub mod replay;
pub mod run;
pub mod status;
