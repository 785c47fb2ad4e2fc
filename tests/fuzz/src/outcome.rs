//! The parser's answer as names and numbers instead of words of a slot.

use flowxdp_common::{
    field::{ColdRow, Groups},
    key::{KeyTail, KeyV4, KeyV6},
    reason::Ignored,
};
use flowxdp_core::{
    metering::slots::{key_v4, key_v6},
    record::FlowKey,
};
use flowxdp_ebpf::{
    candidate, detail,
    frame::Slice,
    verdict::{Facts, Verdict},
    walk,
};

/// A metered packet's key and its share of the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metered {
    /// Its flow.
    pub key: FlowKey,
    /// IP octets.
    pub octets: u32,
    /// TCP flags, 12 bits.
    pub tcp_flags: u16,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The cold fields of [`GROUPS`].
    pub cold: ColdRow,
}

/// Every group that has cold fields.
pub const GROUPS: Groups = Groups::from_bits(u32::MAX).with_cold_fields();

/// The verdict on a frame.
pub type Outcome = Result<Metered, Ignored>;

/// The parser's verdict on a frame of which `octets` were captured, `wire` octets long on the wire.
pub fn outcome(octets: &[u8], wire: u32, ingress: u32) -> Outcome {
    let frame = Slice::new(octets, wire);
    metered(walk::verdict(&frame), ingress, || detail::facts(&frame, GROUPS))
}

/// The same with tunnels opened, VXLAN on these ports too.
pub fn outcome_inside(octets: &[u8], wire: u32, ingress: u32, ports: &[u16]) -> Outcome {
    let frame = Slice::new(octets, wire);
    let (verdict, candidate) = candidate::verdict_inside(&frame, ports);
    metered(verdict, ingress, || detail::facts_inside(&frame, &candidate, GROUPS))
}

fn metered(verdict: Verdict, ingress: u32, cold: impl FnOnce() -> ColdRow) -> Outcome {
    let (key, facts) = match verdict {
        Verdict::V4(words, facts) => {
            let addresses = words.addresses.to_ne_bytes();
            (key_v4(&KeyV4 { addresses, rest: rest(words.rest, ingress) }), facts)
        }
        Verdict::V6(words, facts) => {
            let addresses = bytemuck::cast(words.addresses);
            (key_v6(&KeyV6 { addresses, rest: rest(words.rest, ingress) }), facts)
        }
        Verdict::Ignored(why) => return Err(why),
    };
    let Facts { octets, tcp_flags, ttl, .. } = facts;
    Ok(Metered { key, octets, tcp_flags, ttl, cold: cold() })
}

/// The words of a slot behind its addresses.
fn rest(word: u64, ingress: u32) -> KeyTail {
    let [low, high]: [u32; 2] = bytemuck::cast(word);
    bytemuck::cast([low, high, ingress])
}
