//! The metering program with a wait of some microseconds between finding a live slot and adding to it: an agent
//! that reads a retired slot without a grace period misses the packet.

/// The object, with the maps and programs of the one that is shipped.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/meter"));
