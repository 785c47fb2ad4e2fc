//! Calls refused with "operation not permitted": calls without a use here, and arguments of allowed ones.

use libc::{c_int, c_long};
use seccompiler::{
    SeccompCmpArgLen::{Dword, Qword},
    SeccompCmpOp::{self, MaskedEq, Ne},
    SeccompCondition as Condition, SeccompRule as Rule,
};

use super::Rules;

/// Other programs, other processes, other users, other namespaces, the kernel itself.
#[rustfmt::skip]
const CALLS: &[c_long] = &[
    libc::SYS_execve, libc::SYS_execveat,
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_kcmp,
    libc::SYS_pidfd_open, libc::SYS_pidfd_getfd, libc::SYS_pidfd_send_signal, libc::SYS_tkill,
    libc::SYS_setuid, libc::SYS_setgid, libc::SYS_setreuid, libc::SYS_setregid, libc::SYS_setresuid,
    libc::SYS_setresgid, libc::SYS_setfsuid, libc::SYS_setfsgid, libc::SYS_setgroups, libc::SYS_capset,
    libc::SYS_unshare, libc::SYS_setns, libc::SYS_chroot, libc::SYS_pivot_root,
    libc::SYS_mount, libc::SYS_umount2, libc::SYS_fsopen, libc::SYS_fsmount, libc::SYS_open_tree,
    libc::SYS_move_mount, libc::SYS_mount_setattr, libc::SYS_open_by_handle_at, libc::SYS_name_to_handle_at,
    libc::SYS_fchown, libc::SYS_fchownat, libc::SYS_mknodat, libc::SYS_linkat, libc::SYS_symlinkat,
    libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module, libc::SYS_kexec_load,
    libc::SYS_reboot, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_acct, libc::SYS_syslog, libc::SYS_quotactl,
    libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_adjtimex, libc::SYS_clock_adjtime,
    libc::SYS_sethostname, libc::SYS_setdomainname, libc::SYS_personality,
    libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key,
    libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_io_uring_setup, libc::SYS_fanotify_init,
    // A pair of datagram sockets could send to any Unix socket.
    libc::SYS_listen, libc::SYS_socketpair, libc::SYS_seccomp,
];

/// Older forms of some calls, and calls of this architecture alone.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OLDER: &[c_long] = &[
    libc::SYS_fork, libc::SYS_vfork, libc::SYS_chown, libc::SYS_lchown, libc::SYS_mknod, libc::SYS_link,
    libc::SYS_symlink, libc::SYS_ioperm, libc::SYS_iopl, libc::SYS_modify_ldt, libc::SYS_kexec_file_load,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// New namespaces; their users' one gives every capability within.
const NAMESPACES: [c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// Families of sockets: collectors, and the kernel's answers about links. No Unix socket: connect(2) has its
/// address in memory, which no filter reads, and behind such sockets are container engines and service
/// managers. The status socket listens already, and the resolver does without its caching daemons.
const FAMILIES: [c_int; 3] = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Requests of ioctl(2): sockets that do not block, octets that wait (the resolver's too), whether a file is a
/// terminal, an interface's index and name, and a NIC's features.
const IOCTL: [libc::Ioctl; 7] = [
    libc::FIONBIO,
    libc::FIONREAD,
    libc::TIOCOUTQ,
    libc::TCGETS,
    libc::SIOCGIFINDEX,
    libc::SIOCGIFNAME,
    libc::SIOCETHTOOL,
];

/// A thread's name, names of memory areas, and questions.
const PRCTL: [c_int; 6] = [
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_SET_VMA,
    libc::PR_GET_DUMPABLE,
    libc::PR_CAPBSET_READ,
    libc::PR_GET_NO_NEW_PRIVS,
];

/// Commands of bpf(2), from the kernel's `uapi/linux/bpf.h`, on objects that exist: elements of a map (look
/// up, update, delete, next), pin and get, lists and descriptors by number, information, links (create,
/// update, detach). No program and no map is made any more.
const BPF: [c_int; 17] = [1, 2, 3, 4, 6, 7, 11, 12, 13, 14, 15, 21, 28, 29, 30, 31, 34];

/// All refused calls.
pub(super) fn rules() -> anyhow::Result<Rules> {
    let mut rules: Rules = CALLS.iter().chain(OLDER).map(|&call| (call, Vec::new())).collect();
    let own = std::process::id().cast_signed();
    for (call, argument, allowed) in [
        (libc::SYS_socket, 0, FAMILIES.as_slice()),
        (libc::SYS_ioctl, 1, IOCTL.map(request).as_slice()),
        (libc::SYS_bpf, 0, BPF.as_slice()),
        (libc::SYS_prctl, 0, PRCTL.as_slice()),
        // An abort signals its own process.
        (libc::SYS_kill, 0, &[own]),
        (libc::SYS_tgkill, 0, &[own]),
    ] {
        rules.insert(call, vec![none_of(argument, allowed)?]);
    }
    rules.insert(libc::SYS_prlimit64, limits(own)?);
    rules.insert(libc::SYS_clone, clones()?);
    Ok(rules)
}

/// Limits can be read, the agent's own alone: another process's, or new ones.
fn limits(own: c_int) -> anyhow::Result<Vec<Rule>> {
    let new = Condition::new(2, Qword, Ne, 0)?;
    Ok(vec![none_of(0, &[0, own])?, rule(vec![new])?])
}

/// A thread can be started, a process or a namespace cannot.
fn clones() -> anyhow::Result<Vec<Rule>> {
    let no_thread = rule(vec![condition(0, MaskedEq(bits(libc::CLONE_THREAD)), 0)?]);
    let flags = NAMESPACES.map(|flag| rule(vec![condition(0, MaskedEq(bits(flag)), flag)?]));
    flags.into_iter().chain([no_thread]).collect()
}

/// A request as ioctl(2) reads it.
#[expect(clippy::cast_possible_truncation, reason = "the kernel takes 32 bits of the register")]
const fn request(request: libc::Ioctl) -> c_int {
    (request as u32).cast_signed()
}

/// An argument that is none of these.
pub(super) fn none_of(argument: u8, allowed: &[c_int]) -> anyhow::Result<Rule> {
    rule(allowed.iter().map(|&value| condition(argument, Ne, value)).collect::<anyhow::Result<_>>()?)
}

fn rule(conditions: Vec<Condition>) -> anyhow::Result<Rule> {
    Ok(Rule::new(conditions)?)
}

fn condition(argument: u8, operator: SeccompCmpOp, value: c_int) -> anyhow::Result<Condition> {
    Ok(Condition::new(argument, Dword, operator, bits(value))?)
}

/// An int as the kernel's register holds it.
const fn bits(value: c_int) -> u64 {
    value.cast_unsigned() as u64
}
