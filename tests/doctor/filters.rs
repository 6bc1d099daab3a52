//! Sandboxes around the tool: filters of system calls, and Landlock.

use std::io;

/// A filter that answers one system call with `action` and lets all others pass.
fn filter(call: i64, action: u32) -> io::Result<()> {
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let mut program = [
        // The number of the call is at offset 0 of seccomp_data.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter {
            jf: 1,
            ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32)
        },
        statement(libc::BPF_RET | libc::BPF_K, action),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program outlives the call, which copies it.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0
    };
    if refused {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

const fn with_errno(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

pub fn no_ptrace() -> io::Result<()> {
    filter(libc::SYS_ptrace, with_errno(libc::EPERM))
}

pub fn deadly_ptrace() -> io::Result<()> {
    filter(libc::SYS_ptrace, libc::SECCOMP_RET_KILL_PROCESS)
}

pub fn no_readv() -> io::Result<()> {
    filter(libc::SYS_process_vm_readv, with_errno(libc::ENOSYS))
}

pub fn deadly_readv() -> io::Result<()> {
    filter(libc::SYS_process_vm_readv, libc::SECCOMP_RET_KILL_PROCESS)
}

pub fn harmless() -> io::Result<()> {
    filter(libc::SYS_swapon, with_errno(libc::EPERM))
}

/// Whether this kernel has Landlock and it is on.
pub fn has_landlock() -> bool {
    // SAFETY: asks for the version; no memory is passed.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) > 0 }
}

/// A domain of Landlock that only forbids making block devices, and with that, as every domain does, to trace
/// processes outside of it.
pub fn landlock() -> io::Result<()> {
    let make_block: u64 = 1 << 11;
    // SAFETY: the attribute is a live value of the size passed; the descriptor is used for the next call only.
    let refused = unsafe {
        let rules = libc::syscall(libc::SYS_landlock_create_ruleset, &raw const make_block, 8, 0);
        rules < 0
            || libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::syscall(libc::SYS_landlock_restrict_self, rules, 0) != 0
    };
    if refused {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
