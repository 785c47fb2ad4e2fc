//! The stage between a retired flow and its export: columns of a record that the kernel does not know.
//!
//! - [`names`]: names that the first packets of a flow say, and those of DNS answers.

pub mod names;
