//! BPF_MAP_LOOKUP_AND_DELETE_BATCH: how others empty a kernel's hash map.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result, ensure};
use flowxdp_core::record::Total;

/// bpf(2)'s number of it, from the kernel's `uapi/linux/bpf.h`.
const LOOKUP_AND_DELETE_BATCH: libc::c_long = 25;
/// Entries that one call gives at most.
const BATCH: usize = 1 << 16;

/// The attribute of that command.
#[repr(C)]
#[derive(Default)]
struct Attr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

const _: () = assert!(size_of::<Attr>() == 56);

/// Octets of one entry.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) key: usize,
    /// All CPUs' values together; each begins with packets and octets, eight octets each.
    pub(super) value: usize,
    /// One CPU's.
    pub(super) single: usize,
}

/// Takes all entries out of a map; gives their number and the sums of their counters.
pub(super) fn empty(map: impl AsFd, sizes: Sizes) -> Result<(u64, Total)> {
    let mut keys = vec![0_u8; BATCH * sizes.key];
    let mut values = vec![0_u8; BATCH * sizes.value];
    let (mut entries, mut total) = (0, Total::default());
    let (mut place, mut next) = (0_u32, 0_u32);
    let mut first = true;
    loop {
        let mut attr = Attr {
            in_batch: if first { 0 } else { (&raw mut place).addr() as u64 },
            out_batch: (&raw mut next).addr() as u64,
            keys: keys.as_mut_ptr().addr() as u64,
            values: values.as_mut_ptr().addr() as u64,
            count: u32::try_from(BATCH)?,
            map_fd: map.as_fd().as_raw_fd().cast_unsigned(),
            ..Attr::default()
        };
        // SAFETY: the attribute of that command and the buffers, which hold `BATCH` entries, outlive the
        // call.
        let done = unsafe {
            libc::syscall(libc::SYS_bpf, LOOKUP_AND_DELETE_BATCH, &raw mut attr, size_of::<Attr>())
        };
        let error = io::Error::last_os_error();
        let is_last = done < 0 && error.raw_os_error() == Some(libc::ENOENT);
        ensure!(done == 0 || is_last, "BPF_MAP_LOOKUP_AND_DELETE_BATCH: {error}");
        let count = attr.count as usize;
        entries += u64::from(attr.count);
        for value in values.chunks(sizes.value).take(count).flat_map(|all| all.chunks(sizes.single)) {
            let word = |at: usize| value.get(at..).and_then(|rest| rest.first_chunk());
            let (packets, octets) = word(0).zip(word(8)).context("a short value")?;
            total += Total { packets: u64::from_ne_bytes(*packets), octets: u64::from_ne_bytes(*octets) };
        }
        if is_last {
            return Ok((entries, total));
        }
        (place, first) = (next, false);
    }
}
