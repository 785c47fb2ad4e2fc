//! The catalogue: for every header and fault that the parser knows, frames and their verdicts.

mod cut;
mod ethernet;
mod formats;
mod fragments;
mod ipv4;
mod ipv6;
mod jumbo;
mod links;
mod mpls;
mod pppoe;
mod times;
mod transports;
mod tunnels;

use super::CaptureFile;

/// All crafted capture files.
#[must_use]
pub fn catalogue() -> Vec<CaptureFile> {
    let mut files = vec![
        ethernet::file(),
        pppoe::file(),
        mpls::file(),
        ipv4::file(),
        ipv6::file(),
        fragments::file(),
        transports::file(),
        tunnels::file(),
        cut::file(),
        jumbo::file(),
        jumbo::chains(),
        links::file(),
        times::file(),
    ];
    files.extend(formats::files());
    files
}
