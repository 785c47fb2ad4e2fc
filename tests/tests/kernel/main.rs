//! Every test that needs root, the built agent or the judges: a module for each subject, linked once.
//!
//! `cargo xtask test` and `cargo xtask vm` run each module in a process of its own. Modules named `vm_*` use the
//! NICs, the CPUs and the clock of a test VM.

mod judged_captures;
mod judged_unit;
mod kernel_captures;
mod kernel_chain;
mod kernel_collectors;
mod kernel_collisions;
mod kernel_confine;
mod kernel_cpus;
mod kernel_delivery;
mod kernel_encoder;
mod kernel_errors;
mod kernel_explain;
mod kernel_export;
mod kernel_facts;
mod kernel_flood;
mod kernel_harness;
mod kernel_hooks;
mod kernel_inspect;
mod kernel_judges;
mod kernel_links;
mod kernel_live;
mod kernel_names;
mod kernel_network;
mod kernel_options;
mod kernel_package;
mod kernel_parser;
mod kernel_pins;
mod kernel_reload;
mod kernel_reload_stress;
mod kernel_replay;
mod kernel_replay_files;
mod kernel_replay_streams;
mod kernel_said;
mod kernel_slots;
mod kernel_spool;
mod kernel_status;
mod kernel_suspended;
mod kernel_tables;
mod kernel_tap;
mod kernel_tls;
#[cfg(feature = "vm")]
mod vm_clock;
#[cfg(feature = "vm")]
mod vm_hotplug;
#[cfg(feature = "vm")]
mod vm_queues;
#[cfg(feature = "vm")]
mod vm_refused;
#[cfg(feature = "vm")]
mod vm_virtio;
