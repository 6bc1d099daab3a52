//! Answers some system calls of a process in the kernel's stead (a seccomp filter with a listener): they fail at will,
//! from the n-th on or once, in the process and in all of its children.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nix::unistd::Pid;

/// Which calls to answer, and how.
#[derive(Clone, Copy, Debug)]
pub enum Answers {
    /// All of them, as the kernel would: to know what the process calls.
    Count,
    /// With an error.
    Fail {
        /// The system call.
        call: i64,
        /// The first one that fails, from 0.
        nth: u64,
        /// Whether those after it fail too.
        onwards: bool,
        /// The error.
        errno: i32,
    },
}

impl Answers {
    /// The error for this call, made so often before; 0: none.
    fn error(self, number: i64, before: u64) -> i32 {
        match self {
            Answers::Fail {
                call,
                nth,
                onwards,
                errno,
            } if call == number && (before == nth || onwards && before > nth) => errno,
            _ => 0,
        }
    }
}

/// Never answered by us: needed to start and to end, and to hand over the listener.
const LEFT_ALONE: [i64; 4] = [
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigreturn,
];

/// What Rust's runtime makes two calls of before it comes to `main`: all before them is its own and the loader's.
const BEGIN: i64 = libc::SYS_sigaltstack;

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}

/// If the word loaded last is `k`, goes on with the next statement, else skips `over`.
fn unless(k: u32, over: u8) -> libc::sock_filter {
    libc::sock_filter {
        jf: over,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k)
    }
}

fn filter(answers: Answers) -> Vec<libc::sock_filter> {
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let done = |action| statement(libc::BPF_RET | libc::BPF_K, action);
    // The listener is handed over by fcntl(F_SETFD); seccomp_data has the number first and the second argument at 24.
    let mut program = vec![
        load(0),
        unless(libc::SYS_fcntl as u32, 4),
        load(24),
        unless(libc::F_SETFD as u32, 1),
        done(libc::SECCOMP_RET_ALLOW),
        load(0),
    ];
    match answers {
        Answers::Count => {
            for call in LEFT_ALONE {
                program.extend([unless(call as u32, 1), done(libc::SECCOMP_RET_ALLOW)]);
            }
            program.push(done(libc::SECCOMP_RET_USER_NOTIF));
        }
        Answers::Fail { call, .. } => program.extend([
            unless(call as u32, 1),
            done(libc::SECCOMP_RET_USER_NOTIF),
            unless(BEGIN as u32, 1),
            done(libc::SECCOMP_RET_USER_NOTIF),
            done(libc::SECCOMP_RET_ALLOW),
        ]),
    }
    program
}

/// Has the command start with the filter, its listener an open descriptor that its next program inherits.
pub fn supervise(command: &mut Command, answers: Answers) {
    let mut program = filter(answers);
    let install = move || {
        let program = libc::sock_fprog {
            len: program.len() as u16,
            filter: program.as_mut_ptr(),
        };
        // SAFETY: system calls between fork and exec; the program outlives the one that copies it.
        let refused = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || {
                let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
                let listener = libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program);
                listener < 0 || libc::fcntl(listener as i32, libc::F_SETFD, 0) != 0
            }
        };
        if refused {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    };
    // SAFETY: as above.
    unsafe { command.pre_exec(install) };
}

/// A thread that answers.
pub struct Supervisor {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Counts>,
}

/// How often each system call was made since the program began, and how many calls failed by us.
#[derive(Debug, Default)]
pub struct Counts {
    pub calls: BTreeMap<i64, u64>,
    pub failed: u64,
}

impl Supervisor {
    /// Takes the listener of a process that was started by [`supervise`].
    pub fn of(pid: Pid, answers: Answers) -> Supervisor {
        let listener = listener_of(pid);
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let thread = thread::spawn(move || answer(&listener, answers, &told));
        Supervisor { over, thread }
    }

    /// To be called when the process has ended.
    pub fn end(self) -> Counts {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn listener_of(pid: Pid) -> OwnedFd {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let is_listener = |path: &std::path::Path| {
        std::fs::read_link(path).is_ok_and(|link| link.to_string_lossy().contains("seccomp notify"))
    };
    let found = entries
        .map(|entry| entry.path())
        .find(|path| is_listener(path))
        .expect("a listener");
    let number: i32 = found.file_name().unwrap().to_str().unwrap().parse().unwrap();
    // SAFETY: no memory is passed; on success both descriptors are new and ours.
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) as i32;
        assert!(process >= 0, "{}", io::Error::last_os_error());
        let process = OwnedFd::from_raw_fd(process);
        let listener = libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) as i32;
        assert!(listener >= 0, "{}", io::Error::last_os_error());
        OwnedFd::from_raw_fd(listener)
    }
}

// From linux/seccomp.h.
nix::ioctl_readwrite!(receive, b'!', 0, libc::seccomp_notif);
nix::ioctl_readwrite!(reply, b'!', 1, libc::seccomp_notif_resp);

fn answer(listener: &OwnedFd, answers: Answers, over: &AtomicBool) -> Counts {
    let mut counts = Counts::default();
    let mut begins = 0;
    let fd = listener.as_raw_fd();
    while !over.load(Ordering::Relaxed) {
        let mut ready = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live structure.
        if unsafe { libc::poll(&mut ready, 1, 20) } <= 0 || ready.revents & libc::POLLIN == 0 {
            if ready.revents & libc::POLLHUP != 0 {
                break;
            }
            continue;
        }
        // SAFETY: plain integers, for which zero is valid; the kernel wants the request zeroed.
        let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: a live structure of the type that the request expects. It fails when the caller was killed meanwhile.
        if unsafe { receive(fd, &mut call) }.is_err() {
            continue;
        }
        let number = i64::from(call.data.nr);
        let mut error = 0;
        if begins >= 2 {
            let count = counts.calls.entry(number).or_default();
            error = answers.error(number, *count);
            *count += 1;
        } else {
            begins += u32::from(number == BEGIN);
        }
        counts.failed += u64::from(error != 0);
        let mut response = libc::seccomp_notif_resp {
            id: call.id,
            val: 0,
            error: -error,
            flags: if error == 0 {
                libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32
            } else {
                0
            },
        };
        // SAFETY: as above.
        let _ = unsafe { reply(fd, &mut response) };
    }
    counts
}
