//! Link headers other than Ethernet's.

/// LINKTYPE_LINUX_SLL, with an ARPHRD_ value and a protocol type.
#[must_use]
pub fn cooked(hardware: u16, kind: u16) -> Vec<u8> {
    let mut header = vec![0, 4];
    header.extend(hardware.to_be_bytes());
    header.extend([0, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
    header.extend(kind.to_be_bytes());
    header
}

/// LINKTYPE_LINUX_SLL2, with an ARPHRD_ value and a protocol type.
#[must_use]
pub fn cooked2(hardware: u16, kind: u16) -> Vec<u8> {
    let mut header = kind.to_be_bytes().to_vec();
    header.extend([0, 0, 0, 0, 0, 3]);
    header.extend(hardware.to_be_bytes());
    header.extend([4, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
    header
}
