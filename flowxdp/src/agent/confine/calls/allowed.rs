//! The calls that the agent makes: its own code, the runtime, TLS, the C library and its resolver.

use libc::c_long;

/// Calls of all architectures.
macro_rules! calls {
    ($($(#[$only:meta])? $name:ident)*) => { &[$($(#[$only])? libc::$name,)*] };
}
pub(super) use calls;

/// Calls that are allowed, whatever their arguments; [`super::refused`] has the exceptions.
#[rustfmt::skip]
pub(super) const CALLS: &[c_long] = calls![
    // Octets in and out.
    SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_pwrite64 SYS_preadv SYS_pwritev SYS_preadv2
    SYS_pwritev2 SYS_lseek SYS_close SYS_close_range SYS_dup SYS_dup3 SYS_fcntl SYS_ioctl SYS_pipe2
    // Files.
    SYS_openat SYS_openat2 SYS_fstat SYS_newfstatat SYS_statx SYS_statfs SYS_fstatfs SYS_faccessat SYS_faccessat2
    SYS_readlinkat SYS_getdents64 SYS_getcwd SYS_mkdirat SYS_unlinkat SYS_renameat2 SYS_fchmod SYS_fchmodat
    SYS_umask SYS_ftruncate SYS_fallocate SYS_fsync SYS_fdatasync SYS_flock SYS_copy_file_range
    // Sockets.
    SYS_socket SYS_connect SYS_bind SYS_accept SYS_accept4 SYS_shutdown SYS_getsockname
    SYS_getpeername SYS_getsockopt SYS_setsockopt SYS_sendto SYS_sendmsg SYS_sendmmsg SYS_recvfrom SYS_recvmsg
    SYS_recvmmsg
    // Waiting.
    SYS_ppoll SYS_pselect6 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2
    SYS_timerfd_create SYS_timerfd_settime SYS_timerfd_gettime SYS_nanosleep SYS_clock_nanosleep
    SYS_restart_syscall
    // Time and chance.
    SYS_clock_gettime SYS_clock_getres SYS_gettimeofday SYS_getrandom
    // Memory.
    SYS_brk SYS_mmap SYS_munmap SYS_mremap SYS_mprotect SYS_madvise SYS_msync SYS_mincore SYS_membarrier
    // Threads.
    SYS_clone SYS_exit SYS_exit_group SYS_futex SYS_set_robust_list SYS_get_robust_list SYS_rseq
    SYS_set_tid_address SYS_gettid SYS_sched_yield SYS_sched_getaffinity SYS_prctl
    // Signals.
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_rt_sigpending SYS_rt_sigtimedwait SYS_sigaltstack
    SYS_kill SYS_tgkill
    // Who and where we are.
    SYS_getpid SYS_getppid SYS_getuid SYS_geteuid SYS_getgid SYS_getegid SYS_getresuid SYS_getresgid
    SYS_getgroups SYS_capget SYS_prlimit64 SYS_getrusage SYS_sysinfo SYS_uname
    // Maps and links, and the last call of this confinement.
    SYS_bpf SYS_seccomp
    // Older forms that newer architectures never had.
    #[cfg(target_arch = "x86_64")] SYS_open
    #[cfg(target_arch = "x86_64")] SYS_stat
    #[cfg(target_arch = "x86_64")] SYS_lstat
    #[cfg(target_arch = "x86_64")] SYS_access
    #[cfg(target_arch = "x86_64")] SYS_readlink
    #[cfg(target_arch = "x86_64")] SYS_getdents
    #[cfg(target_arch = "x86_64")] SYS_mkdir
    #[cfg(target_arch = "x86_64")] SYS_rmdir
    #[cfg(target_arch = "x86_64")] SYS_unlink
    #[cfg(target_arch = "x86_64")] SYS_rename
    #[cfg(target_arch = "x86_64")] SYS_renameat
    #[cfg(target_arch = "x86_64")] SYS_chmod
    #[cfg(target_arch = "x86_64")] SYS_poll
    #[cfg(target_arch = "x86_64")] SYS_select
    #[cfg(target_arch = "x86_64")] SYS_epoll_wait
    #[cfg(target_arch = "x86_64")] SYS_pipe
    #[cfg(target_arch = "x86_64")] SYS_dup2
    #[cfg(target_arch = "x86_64")] SYS_time
    #[cfg(target_arch = "x86_64")] SYS_getrlimit
    #[cfg(target_arch = "x86_64")] SYS_arch_prctl
    #[cfg(target_arch = "aarch64")] SYS_renameat
];
