//! The commands, one file or folder each, with their options beside them.

pub mod collect;
