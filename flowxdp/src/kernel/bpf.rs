//! bpf(2) where aya has no call for it.

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
};

/// The system call; the result is a descriptor, or 0. Pointers in `attr` are valid until it returns.
///
/// # Errors
///
/// The kernel's.
pub(super) fn call<T>(command: libc::c_long, attr: &T) -> io::Result<libc::c_int> {
    // SAFETY: `attr` is the attribute of that command and outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(result).map_err(io::Error::other) }
}

/// The same for a command that makes a descriptor.
///
/// # Errors
///
/// The kernel's.
pub(super) fn open<T>(command: libc::c_long, attr: &T) -> io::Result<OwnedFd> {
    let descriptor = call(command, attr)?;
    // SAFETY: the kernel made this descriptor just now, and no other value owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
