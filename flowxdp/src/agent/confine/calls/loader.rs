//! The calls of the loader: files that are read, its socket pair, and bpf(2). No socket is made, no process and no
//! thread, and no file is written but memory with the configuration's text.

use libc::{c_int, c_long};

use super::{
    Rules,
    allowed::calls,
    refused::{self, none_of},
};

/// Calls that are allowed, whatever their arguments; [`rules`] has the exceptions.
#[rustfmt::skip]
pub(super) const CALLS: &[c_long] = calls![
    // Octets in and out.
    SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_lseek SYS_close SYS_fcntl
    // Files.
    SYS_openat SYS_openat2 SYS_fstat SYS_newfstatat SYS_statx SYS_statfs SYS_fstatfs SYS_faccessat SYS_faccessat2
    SYS_readlinkat SYS_getdents64 SYS_getcwd SYS_memfd_create
    // The socket pair.
    SYS_sendmsg SYS_recvmsg SYS_ppoll SYS_restart_syscall
    // Time and chance.
    SYS_clock_gettime SYS_clock_getres SYS_gettimeofday SYS_getrandom SYS_sched_yield SYS_nanosleep
    SYS_clock_nanosleep
    // Memory.
    SYS_brk SYS_mmap SYS_munmap SYS_mremap SYS_mprotect SYS_madvise
    // This process.
    SYS_exit SYS_exit_group SYS_futex SYS_rseq SYS_gettid SYS_getpid SYS_getppid SYS_getuid SYS_geteuid SYS_getgid
    SYS_getegid SYS_sched_getaffinity SYS_prctl SYS_capget SYS_prlimit64 SYS_sysinfo SYS_uname
    // Signals: an abort's.
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_sigaltstack SYS_tgkill
    // Programs and maps, and the last call of this confinement.
    SYS_bpf SYS_seccomp
    // Older forms that newer architectures never had.
    #[cfg(target_arch = "x86_64")] SYS_open
    #[cfg(target_arch = "x86_64")] SYS_stat
    #[cfg(target_arch = "x86_64")] SYS_lstat
    #[cfg(target_arch = "x86_64")] SYS_access
    #[cfg(target_arch = "x86_64")] SYS_readlink
    #[cfg(target_arch = "x86_64")] SYS_poll
    #[cfg(target_arch = "x86_64")] SYS_arch_prctl
];

/// Commands of bpf(2), from the kernel's `uapi/linux/bpf.h`: make a map, its elements, load a program, pin and
/// get, information by descriptor, load types, freeze a map. No attachment, no test run and no object by its number.
const BPF: [c_int; 11] = [0, 1, 2, 3, 4, 5, 6, 7, 15, 18, 22];

/// Calls that the agent may make and the loader may not, beside calls that neither may.
const REFUSED: [c_long; 7] = [
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_accept4,
    libc::SYS_clone,
    libc::SYS_kill,
    libc::SYS_ioctl,
];

/// All refused calls.
pub(super) fn rules() -> anyhow::Result<Rules> {
    let mut rules = refused::rules()?;
    rules.extend(REFUSED.map(|call| (call, Vec::new())));
    rules.insert(libc::SYS_bpf, vec![none_of(0, &BPF)?]);
    Ok(rules)
}
