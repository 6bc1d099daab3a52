//! What this test binary does when it is started as a target.

use std::io::BufRead;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use gomemscan::target::LiveProcess;

use crate::support::{Waves, pause, request};

static BEATS: AtomicU64 = AtomicU64::new(0);
static SIGNALS: AtomicU64 = AtomicU64::new(0);

/// Not a test: the entry of a target.
#[test]
#[ignore = "started by the other tests"]
fn play() {
    let Ok(role) = std::env::var("STOP_TEST_ROLE") else {
        return;
    };
    // Where Yama is on, a process must say that others than its parent may read it.
    // SAFETY: no memory is passed.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0, 0, 0) };
    nix::sys::signal::SigSet::all().thread_unblock().unwrap();
    let arguments = std::env::var("STOP_TEST_ARGUMENTS").unwrap();
    let arguments: Vec<u64> = arguments
        .split_ascii_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    match role.as_str() {
        "pointing" => pointing(arguments[0]),
        "pattern" => pattern(arguments[0] as usize),
        "beating" => beating(arguments[0], arguments[1]),
        "churning" => churning(),
        "counting" => counting(),
        "faulting" => faulting(),
        "leaderless" => leaderless(),
        "scanning" => scanning(arguments[0] as i32, arguments[1]),
        "vforking" => vforking(),
        "tracing" => tracing(arguments[0] as i32),
        other => panic!("no role {other}"),
    }
}

/// Byte `index` of the pattern.
pub fn pattern_byte(index: u64) -> u8 {
    (index * 7 % 251) as u8
}

fn serve(mut answer: impl FnMut(&str) -> String) {
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        match line.as_str() {
            "exec" => panic!("{}", Command::new("sleep").arg("1000").exec()),
            word => println!("{word} {}", answer(word)),
        }
    }
    std::process::exit(0);
}

/// `count` structures of six words, whose words are their numbers, and an array of pointers to them.
fn pointing(count: u64) {
    let structures: Vec<[u64; 6]> = (0..count)
        .map(|index| std::array::from_fn(|word| index * 6 + word as u64))
        .collect();
    let pointers: Vec<u64> = structures.iter().map(|structure| structure.as_ptr() as u64).collect();
    println!("ready {} {count}", pointers.as_ptr() as u64);
    serve(|_| format!("{}", structures.len() + pointers.len()));
}

/// `pages` pages of pattern followed by as many that were never touched.
fn pattern(pages: usize) {
    let len = pages * 4096;
    // SAFETY: a new private mapping, used within its bounds.
    let bytes = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let base = libc::mmap(
            std::ptr::null_mut(),
            2 * len,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            -1,
            0,
        );
        assert!(base != libc::MAP_FAILED);
        libc::madvise(base, 2 * len, libc::MADV_NOHUGEPAGE);
        std::slice::from_raw_parts_mut(base.cast::<u8>(), len)
    };
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = pattern_byte(index as u64);
    }
    println!("ready {}", bytes.as_ptr() as u64);
    serve(|_| String::new());
}

/// `threads` threads, of which `busy` count; "beat" answers with the count.
fn beating(threads: u64, busy: u64) {
    for index in 0..threads {
        let work = move || {
            loop {
                if index < busy {
                    BEATS.fetch_add(1, Ordering::Relaxed);
                } else {
                    std::thread::park();
                }
            }
        };
        std::thread::Builder::new().stack_size(64 << 10).spawn(work).unwrap();
    }
    println!("ready {}", BEATS.as_ptr() as u64);
    serve(|_| BEATS.load(Ordering::Relaxed).to_string());
}

/// Threads are born and die all the time.
fn churning() {
    for _ in 0..4 {
        std::thread::spawn(|| {
            loop {
                let young = std::thread::Builder::new()
                    .stack_size(64 << 10)
                    .spawn(|| BEATS.fetch_add(1, Ordering::Relaxed));
                let _ = young.map(std::thread::JoinHandle::join);
            }
        });
    }
    println!("ready {}", BEATS.as_ptr() as u64);
    serve(|_| BEATS.load(Ordering::Relaxed).to_string());
}

/// Counts real-time signals, which the kernel queues one by one.
fn counting() {
    extern "C" fn count(_: i32) {
        SIGNALS.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: the handler only adds to an atomic.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count as extern "C" fn(i32) as usize;
        action.sa_flags = libc::SA_RESTART;
        for signal in [libc::SIGRTMIN() + 3, libc::SIGUSR1, libc::SIGURG] {
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
    for index in 0..8 {
        std::thread::spawn(move || {
            loop {
                if index < 2 {
                    BEATS.fetch_add(1, Ordering::Relaxed);
                } else {
                    std::thread::park();
                }
            }
        });
    }
    println!("ready {}", BEATS.as_ptr() as u64);
    serve(|_| SIGNALS.load(Ordering::Relaxed).to_string());
}

/// A thread waits in vfork until "release".
fn vforking() {
    extern "C" fn child(pipe: *mut libc::c_void) -> i32 {
        let mut byte = 0u8;
        // SAFETY: the child of vfork reads one byte into its own stack and exits.
        unsafe {
            libc::read(pipe as usize as i32, (&raw mut byte).cast(), 1);
            libc::_exit(0)
        }
    }
    let (read, write) = nix::unistd::pipe().unwrap();
    std::thread::spawn(move || {
        let mut stack = vec![0u8; 64 << 10];
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let pipe = std::os::fd::AsRawFd::as_raw_fd(&read) as usize as *mut libc::c_void;
        // SAFETY: the stack is large enough and outlives the child, for which this thread waits.
        unsafe { libc::clone(child, stack.as_mut_ptr_range().end.cast(), flags, pipe) };
        loop {
            std::thread::park();
        }
    });
    println!("ready {}", BEATS.as_ptr() as u64);
    serve(|word| {
        if word == "release" {
            nix::unistd::write(&write, b"x").unwrap();
        }
        String::new()
    });
}

/// One page under userfaultfd with nobody to fill it; "drop" gives it back. Says whether the kernel permits that.
fn faulting() {
    const UFFDIO_API: libc::c_ulong = 0xc018_aa3f;
    const UFFDIO_REGISTER: libc::c_ulong = 0xc020_aa00;
    // SAFETY: a new mapping; the structures of the two calls are laid out as the kernel expects.
    let (page, works) = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            -1,
            0,
        );
        *page.cast::<u8>() = 1;
        let fd = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) as i32;
        let mut api = [0xaau64, 0, 0];
        let mut register = [page as u64, 4096, 1, 0];
        let works = fd >= 0
            && libc::ioctl(fd, UFFDIO_API as _, api.as_mut_ptr()) == 0
            && libc::ioctl(fd, UFFDIO_REGISTER as _, register.as_mut_ptr()) == 0;
        (page, works)
    };
    println!("ready {} {}", page as u64, u64::from(works));
    let page = page as usize;
    serve(move |word| {
        if word == "drop" {
            // SAFETY: the page is mapped, and nothing here reads it again.
            unsafe { libc::madvise(page as *mut libc::c_void, 4096, libc::MADV_DONTNEED) };
        }
        String::new()
    });
}

/// The main thread ends; the others go on, and the process with them.
fn leaderless() {
    std::thread::spawn(|| {
        println!("ready {}", BEATS.as_ptr() as u64);
        serve(|_| "1".to_owned());
    });
    // SAFETY: ends the main thread alone, by asking the kernel to make it exit when the signal arrives.
    unsafe {
        extern "C" fn end(_: i32) {
            // SAFETY: plain system call; the thread owns nothing another one waits for.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
        }
        libc::signal(libc::SIGUSR2, end as extern "C" fn(i32) as usize);
        libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::getpid(), libc::SIGUSR2);
    }
    loop {
        std::thread::park();
    }
}

/// A tool: captures `address` of `pid` again and again.
fn scanning(pid: i32, address: u64) {
    let process = LiveProcess::open(pid).unwrap();
    let waves = Waves(vec![vec![request(address, 8)]; 8]);
    println!("ready");
    loop {
        process.capture(&mut || Box::new(waves.clone()), &pause()).unwrap();
        BEATS.fetch_add(1, Ordering::Relaxed);
    }
}

/// Another tracer, like a debugger.
fn tracing(pid: i32) {
    nix::sys::ptrace::seize(nix::unistd::Pid::from_raw(pid), nix::sys::ptrace::Options::empty()).unwrap();
    println!("ready");
    serve(|_| String::new());
}
