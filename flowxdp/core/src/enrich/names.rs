//! Names that the first packets of a flow say, and names of addresses from DNS answers.
//!
//! - [`inspector`]: payloads of a flow, held while a message is incomplete, become a [`verdict`].
//! - `stream`: TCP segments in their order; `records`: TLS records; `hello`: a ClientHello; `quic`: Initial
//!   packets; `http`: a request's head; `dns`: a question and its answers.
//! - [`cache`]: the name that a client had resolved to an address; [`flows`]: the names of a record's flow;
//!   `generations`: a map of bounded size.
//!
//! Every octet here comes from the network. Memory is bounded by [`inspector::FLOWS`] and [`inspector::OCTETS`], work by
//! the length of the payload, and a message that breaks its rules is a reason, never a panic.

pub mod cache;
mod dns;
pub mod flows;
mod generations;
mod hello;
mod http;
pub mod inspector;
mod quic;
mod records;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
mod stream;
#[cfg(test)]
mod tests;
pub mod verdict;
