//! Tunnels that the parser opens: their kinds and segments, which are part of the flow key.
//!
//! The kind stands in the key tail above the 12 bits of the VLAN identifier, the segment in the cold slot. Both are 0
//! where no tunnel was opened.

/// The packet was in no tunnel, or in none that was opened.
pub const NONE: u16 = 0;
/// IPv4 or IPv6 in IP (RFC 2003, RFC 2473, RFC 4213); no segment.
pub const IP: u16 = 1;
/// GRE (RFC 2784); the segment is the key (RFC 2890), 0 without one.
pub const GRE: u16 = 2;
/// GRE with a key and an Ethernet frame inside, as NVGRE has it (RFC 7637); the segment is the key.
pub const NVGRE: u16 = 3;
/// VXLAN (RFC 7348); the segment is the VNI, 24 bits.
pub const VXLAN: u16 = 4;
/// Geneve (RFC 8926); the segment is the VNI, 24 bits.
pub const GENEVE: u16 = 5;
/// GTP-U (3GPP TS 29.281); the segment is the TEID.
pub const GTP: u16 = 6;

/// Bits of the VLAN identifier in the key's word.
pub const VLAN_BITS: u32 = 12;

/// The key's word of a VLAN identifier and a kind of tunnel.
pub const fn word(vlan: u16, kind: u16) -> u16 {
    vlan | kind << VLAN_BITS
}

/// The VLAN identifier in the key's word.
pub const fn vlan(word: u16) -> u16 {
    word & ((1 << VLAN_BITS) - 1)
}

/// The kind of tunnel in the key's word.
pub const fn kind(word: u16) -> u16 {
    word >> VLAN_BITS & 7
}

/// layer2SegmentId (IANA 351): the encapsulation in the highest octet, 1 for VXLAN and 2 for NVGRE, and a segment of
/// 24 bits; 0 for any other tunnel.
pub const fn layer2_segment_id(kind: u16, segment: u32) -> u64 {
    match kind {
        VXLAN => 1 << 56 | segment as u64,
        // The low octet of the key is the flow's (RFC 7637 section 3.2).
        NVGRE => 2 << 56 | (segment >> 8) as u64,
        _ => 0,
    }
}

/// gtpuTEid (IANA 507); 0 without GTP-U.
pub const fn gtpu_teid(kind: u16, segment: u32) -> u32 {
    if kind == GTP { segment } else { 0 }
}

/// greKey (IANA 296); 0 without GRE.
pub const fn gre_key(kind: u16, segment: u32) -> u32 {
    if matches!(kind, GRE | NVGRE) { segment } else { 0 }
}

/// UDP port of VXLAN (IANA).
pub const VXLAN_PORT: u16 = 4789;
/// UDP port of Geneve.
pub const GENEVE_PORT: u16 = 6081;
/// UDP port of GTP-U.
pub const GTP_PORT: u16 = 2152;

/// Further UDP ports of VXLAN that a configuration can name.
pub const MORE_PORTS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_holds_identifier_and_kind() {
        for vlan in [0, 1, 4095] {
            for kind in [NONE, IP, GRE, NVGRE, VXLAN, GENEVE, GTP] {
                let word = word(vlan, kind);
                assert_eq!((super::vlan(word), super::kind(word)), (vlan, kind));
            }
        }
    }

    #[test]
    fn a_segment_is_that_of_its_tunnel_alone() {
        let segment = 0x1234_5678;
        assert_eq!(layer2_segment_id(VXLAN, 0xabcdef), 0x0100_0000_00ab_cdef);
        assert_eq!(layer2_segment_id(NVGRE, segment), 0x0200_0000_0012_3456);
        assert_eq!((layer2_segment_id(GENEVE, 5), layer2_segment_id(GTP, 5)), (0, 0));
        assert_eq!((gtpu_teid(GTP, segment), gtpu_teid(GRE, segment)), (segment, 0));
        assert_eq!(
            (gre_key(GRE, segment), gre_key(NVGRE, segment), gre_key(VXLAN, segment)),
            (segment, segment, 0)
        );
    }
}
