//! The commands, one file or folder each, with the flags that are theirs alone.

pub mod check;
pub mod collect;
pub mod detach;
pub mod explain;
pub mod flush;
pub mod reload;
pub mod replay;
pub mod run;
pub mod status;
mod verb;
