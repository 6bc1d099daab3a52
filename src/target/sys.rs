//! The kernel calls that `nix` does not wrap, or wraps in a way that loses what we need (real-time signals, event
//! stops). Each function is a thin, safe face over one call; together with `capture/region.rs` and one line of
//! `capture/child.rs` this is all the unsafe code of the room.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::unistd::{ForkResult, Pid};

use crate::memory::Addr;

/// `PTRACE_EVENT_STOP`: the stop made by `PTRACE_INTERRUPT`, or a group-stop of a seized thread.
const EVENT_STOP: i32 = 128;

/// A descriptor that stands for the process, whatever becomes of its number.
pub(crate) fn pidfd_open(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: no memory is passed; on success the kernel returns a descriptor nobody else owns.
    unsafe {
        let fd = Errno::result(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// The first page of a file, mapped and never touched.
pub(crate) struct MappedPage(NonNull<c_void>);

/// A page of any size in use; the kernel rounds up.
const PAGE: NonZeroUsize = NonZeroUsize::MIN;

impl MappedPage {
    pub(crate) fn new(file: &File) -> io::Result<MappedPage> {
        // SAFETY: a new private mapping at an address of the kernel's choice; nobody reads or writes it.
        let page = unsafe { mmap(None, PAGE, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE, file, 0) };
        page.map(MappedPage).map_err(io_error)
    }

    /// Where it is.
    pub(crate) fn addr(&self) -> Addr {
        Addr(self.0.as_ptr() as u64)
    }
}

impl Drop for MappedPage {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nothing refers to it.
        let _ = unsafe { munmap(self.0, PAGE.get()) };
    }
}

/// Attaches to a thread without stopping it.
pub(crate) fn ptrace_seize(tid: i32) -> Result<(), Errno> {
    ptrace(libc::PTRACE_SEIZE as i64, tid, 0)
}

/// Asks a seized thread to stop; returns at once.
pub(crate) fn ptrace_interrupt(tid: i32) -> Result<(), Errno> {
    ptrace(libc::PTRACE_INTERRUPT as i64, tid, 0)
}

/// Lets a stopped thread run on, delivering `signal` (0: none).
pub(crate) fn ptrace_cont(tid: i32, signal: i32) -> Result<(), Errno> {
    ptrace(libc::PTRACE_CONT as i64, tid, signal)
}

/// Lets a stopped thread go, delivering nothing. Only for threads in an event stop: out of a signal-delivery stop it
/// would swallow the signal.
pub(crate) fn ptrace_detach(tid: i32) -> Result<(), Errno> {
    ptrace(libc::PTRACE_DETACH as i64, tid, 0)
}

fn ptrace(request: i64, tid: i32, data: i32) -> Result<(), Errno> {
    // SAFETY: the four requests used here take no memory; `data` is a signal number or zero.
    let result = unsafe { libc::ptrace(request as _, tid, 0usize, data as usize) };
    Errno::result(result).map(drop)
}

/// What a seized thread is doing, as its tracer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peek {
    /// Running, or blocked in the kernel.
    Running,
    /// Stopped by our interrupt, or in a group-stop.
    EventStop,
    /// About to receive this signal; it must be passed on.
    Signal(i32),
    /// Exited, or not ours.
    Gone,
}

/// Looks at a seized thread without consuming anything: a stop that was never consumed keeps its pending signal when
/// the tracer dies.
pub(crate) fn peek_stop(tid: i32) -> Peek {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT | libc::WNOHANG | libc::__WALL;
    // SAFETY: `info` is a valid, zeroed siginfo_t for the kernel to fill; all-zero is a valid value of it.
    let (result, info) = unsafe {
        (
            libc::waitid(libc::P_PID, tid as libc::id_t, info.as_mut_ptr(), flags),
            info.assume_init(),
        )
    };
    if result != 0 {
        return if Errno::last() == Errno::EINTR {
            Peek::Running
        } else {
            Peek::Gone
        };
    }
    // SAFETY: waitid fills the SIGCHLD members of the union, and zeroes si_pid when there is nothing to report.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Peek::Running;
    }
    match info.si_code {
        libc::CLD_TRAPPED | libc::CLD_STOPPED if status >> 8 == EVENT_STOP => Peek::EventStop,
        // No other event is asked for at SEIZE, so a trap with an event number would be a kernel surprise; the plain
        // number below 256 is the signal about to be delivered.
        libc::CLD_TRAPPED | libc::CLD_STOPPED => Peek::Signal(status & 0xff),
        _ => Peek::Gone,
    }
}

/// Sleeps until a SIGCHLD (blocked by the caller) is pending, and takes it, or until `timeout`.
pub(crate) fn wait_sigchld(timeout: Duration) {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs() as _,
        tv_nsec: timeout.subsec_nanos() as _,
    };
    // SAFETY: both pointers are to live values of the right type; no siginfo is asked for.
    unsafe { libc::sigtimedwait(set.as_ref(), std::ptr::null_mut(), &timeout) };
}

/// `fork(2)`. The child must touch no lock another thread may hold, and leave by [`exit_now`].
pub(crate) fn fork() -> nix::Result<ForkResult> {
    // SAFETY: the command's second thread sleeps when it stops a target. Where others are at work (it reads a running one
    // while it prepares, or decodes; a test harness) the child allocates, which glibc and musl make safe after fork, and takes
    // no other shared lock: what is looked up once for all has been by then.
    unsafe { nix::unistd::fork() }
}

/// Ends this process without running destructors or exit handlers, which belong to the parent.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// What the handler of SIGALRM says; a leaked string, or null.
static LAST_WORDS: AtomicPtr<String> = AtomicPtr::new(std::ptr::null_mut());
/// The exit code that goes with it.
static LAST_CODE: AtomicI32 = AtomicI32::new(1);

/// Ends this process when its time is over. Dropped, it lets the process run on.
#[derive(Debug)]
pub struct Alarm {
    _one: (),
}

impl Alarm {
    /// From now on `limit`, in whole seconds, is left; then the process ends with exit code `code`.
    pub fn set(limit: Duration, code: u8) -> Alarm {
        LAST_CODE.store(code.into(), Ordering::Relaxed);
        let action = SigAction::new(SigHandler::Handler(out_of_time), SaFlags::SA_RESTART, SigSet::empty());
        let alarm_only = SigSet::from(Signal::SIGALRM);
        // SAFETY: the handler only reads two atomics, writes and exits, each of which a handler may do at any time.
        let handled = unsafe { nix::sys::signal::sigaction(Signal::SIGALRM, &action) };
        // Whoever started the tool may have blocked it.
        if handled.and_then(|_| alarm_only.thread_unblock()).is_ok() {
            let seconds = u32::try_from(limit.as_secs()).unwrap_or(u32::MAX);
            nix::unistd::alarm::set(seconds.max(1));
        }
        Alarm { _one: () }
    }

    /// What is then written to standard error. The few that are said stay in memory.
    pub fn say(&self, words: String) {
        LAST_WORDS.store(Box::into_raw(Box::new(words)), Ordering::Release);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        nix::unistd::alarm::cancel();
    }
}

extern "C" fn out_of_time(_: libc::c_int) {
    // SAFETY: the pointer is null or leads to a string that nobody changes or frees; `write` and `_exit` may be called
    // in a handler.
    unsafe {
        if let Some(words) = LAST_WORDS.load(Ordering::Acquire).as_ref() {
            libc::write(libc::STDERR_FILENO, words.as_ptr().cast(), words.len());
        }
        libc::_exit(LAST_CODE.load(Ordering::Relaxed))
    }
}

/// Gives a signal its default action again.
pub(crate) fn reset_signal(signal: Signal) {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code of ours.
    let _ = unsafe { nix::sys::signal::sigaction(signal, &default) };
}

/// Has this process end with an exit code where the standard library would abort (no memory is left), and be told of a
/// file that may not grow by an error instead of a signal.
pub fn no_deadly_signals<const CODE: i32>() {
    extern "C" fn end<const CODE: i32>(_: i32) {
        exit_now(CODE)
    }
    let set = |signal, handler| {
        let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
        // SAFETY: the only handler makes one system call, which handlers may, and does not return.
        let _ = unsafe { nix::sys::signal::sigaction(signal, &action) };
    };
    set(Signal::SIGABRT, SigHandler::Handler(end::<CODE>));
    set(Signal::SIGXFSZ, SigHandler::SigIgn);
}

/// Whether a process is there: `kill(pid, 0)`.
pub(crate) fn process_exists(pid: i32) -> bool {
    matches!(
        nix::sys::signal::kill(Pid::from_raw(pid), None),
        Ok(()) | Err(Errno::EPERM)
    )
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub(crate) fn monotonic_ns() -> u64 {
    match nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC) {
        Ok(now) => (now.tv_sec() as u64)
            .saturating_mul(1_000_000_000)
            .saturating_add(now.tv_nsec() as u64),
        Err(_) => 0,
    }
}

/// Nanoseconds of CPU that this process has used.
pub(crate) fn own_cpu_ns() -> u64 {
    match nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID) {
        Ok(used) => (used.tv_sec() as u64)
            .saturating_mul(1_000_000_000)
            .saturating_add(used.tv_nsec() as u64),
        Err(_) => 0,
    }
}

/// One run of pages with equal properties, as `PAGEMAP_SCAN` returns it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PageRegion {
    /// First address.
    pub start: u64,
    /// First address behind.
    pub end: u64,
    /// `PAGE_IS_*` bits.
    pub categories: u64,
}

/// The page is backed by a file (or shared memory).
pub(crate) const PAGE_IS_FILE: u64 = 1 << 2;
/// The page is in memory.
pub(crate) const PAGE_IS_PRESENT: u64 = 1 << 3;
/// The page is swapped out.
pub(crate) const PAGE_IS_SWAPPED: u64 = 1 << 4;
/// The page is the shared zero page, which RSS does not count.
pub(crate) const PAGE_IS_PFNZERO: u64 = 1 << 5;
/// The page is part of a huge page.
pub(crate) const PAGE_IS_HUGE: u64 = 1 << 6;

#[repr(C)]
#[derive(Default)]
struct ScanArgs {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// One `PAGEMAP_SCAN` call for pages present or swapped in `start..end`: fills `found` with these and the categories
/// `asked`, returns how many entries it filled and where to resume (`end` when done).
pub(crate) fn pagemap_scan(
    pagemap: &File,
    (start, end): (u64, u64),
    asked: u64,
    found: &mut [PageRegion],
) -> Result<(usize, u64), Errno> {
    nix::ioctl_readwrite!(ioctl, b'f', 16, ScanArgs);
    let wanted = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
    let mut args = ScanArgs {
        size: size_of::<ScanArgs>() as u64,
        start,
        end,
        vec: found.as_mut_ptr() as u64,
        vec_len: found.len() as u64,
        category_anyof_mask: wanted,
        return_mask: wanted | asked,
        ..ScanArgs::default()
    };
    // SAFETY: `args` is the structure the call expects, with its own size in it; `vec` and `vec_len` describe `found`,
    // which outlives the call and may hold any bit pattern.
    let count = unsafe { ioctl(pagemap.as_raw_fd(), &mut args) }? as usize;
    let count = count.min(found.len());
    // With many regions, `walk_end` can lie behind the end of the last region returned.
    let last = found[..count].last().map_or(start, |region| region.end);
    Ok((count, args.walk_end.max(last)))
}

/// What an error says when it is the tool that has no more descriptors or memory, whatever it was about.
pub(crate) fn shortage(error: &io::Error) -> Option<Errno> {
    // The standard library's own answer where it could not have the memory to read a file into.
    if error.raw_os_error().is_none() && error.kind() == io::ErrorKind::OutOfMemory {
        return Some(Errno::ENOMEM);
    }
    let errno = Errno::from_raw(error.raw_os_error()?);
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM).then_some(errno)
}

/// Turns an errno into the standard error.
pub(crate) fn io_error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno as i32)
}

/// Signals that wait for this thread or process.
pub(crate) fn pending_signals() -> SigSet {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: sigpending fills the set it is given; all-zero is the empty set, should it fail.
    unsafe {
        libc::sigpending(set.as_mut_ptr());
        SigSet::from_sigset_t_unchecked(set.assume_init())
    }
}

/// Has the allocator keep what is freed, so that a second run of the same work finds its memory mapped and present.
pub(crate) fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: two settings of the allocator; no memory is passed.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}

/// Sends this process SIGALRM after a time. Unlike `timer_create` it takes nothing from the user's quota of signals.
pub(crate) fn alarm_after(time: Duration) -> Result<(), Errno> {
    let value = libc::timeval {
        tv_sec: time.as_secs() as _,
        tv_usec: time.subsec_micros().max(1) as _,
    };
    let once = libc::itimerval {
        it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
        it_value: value,
    };
    // SAFETY: the new value is a live structure of the right type; the old one is not asked for.
    let result = unsafe { libc::setitimer(libc::ITIMER_REAL, &once, std::ptr::null_mut()) };
    Errno::result(result).map(drop)
}
