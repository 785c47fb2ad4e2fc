//! Every test of the harness, the strict reader and the captures that needs no root: a module for each subject.

mod core_captures;
mod core_corpus;
mod core_encoder;
mod core_first;
mod core_parser;
mod core_truth;
mod core_wire;
mod core_wire_options;
