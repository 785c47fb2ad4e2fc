//! System calls that no library wraps, as safe functions.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use tokio::io::{Interest, unix::AsyncFd};

/// Registers a descriptor with the runtime, which wakes a task when it can be read.
///
/// # Errors
///
/// The system's: too many descriptors are open.
pub fn readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an open descriptor, which `AsyncFd` owns from now on.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    registered.map_err(io::Error::other)
}

/// Ignores a signal for which this process installs no handler.
pub fn ignore(signal: libc::c_int) {
    // SAFETY: SIG_IGN runs no code of this process.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// faccessat2(2) with AT_EACCESS: whether the thread's effective user may use a file in this mode.
///
/// # Errors
///
/// The system's; permission denied where the modes refuse.
pub fn access(path: &CStr, mode: libc::c_int) -> io::Result<()> {
    // SAFETY: the path is a string with its zero, and outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_faccessat2, libc::AT_FDCWD, path.as_ptr(), mode, libc::AT_EACCESS) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Octets in a socket's send buffer that the other side's kernel has not acknowledged, a FIN included; none when the
/// kernel does not say.
///
/// Source: tcp(7), SIOCOUTQ, which is TIOCOUTQ by another name.
pub fn unacknowledged(socket: BorrowedFd<'_>) -> Option<usize> {
    let mut octets: libc::c_int = 0;
    // SAFETY: the pointer is to a live value of the type that this request writes.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut octets) };
    if result == 0 { usize::try_from(octets).ok() } else { None }
}

/// Sets a socket option whose value is a number.
///
/// # Errors
///
/// The system's.
pub fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or_default();
    // SAFETY: the pointer is to a live value of that length; the kernel refuses an option of another one.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The value of a socket option that is a number.
pub fn option(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of::<libc::c_int>()).ok()?;
    // SAFETY: both pointers are to live values, and the kernel writes no more than `length` octets.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut length)
    };
    (result == 0).then_some(value)
}
