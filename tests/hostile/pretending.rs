//! Programs that look like Go and are not, or whose symbols and debug information lie.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use gomemscan::goruntime::globals::Globals;
use gomemscan::goruntime::layout::Layout;
use gomemscan::image::types::TypeSource;
use gomemscan::image::{Elf, ExeFile, Image};
use memchr::memmem;
use tempfile::TempDir;

use crate::scans::{Endings, at_large};
use crate::support::fixtures::{Build, GoVersion, fixture};
use crate::support::process::{Running, copy_program};

/// A process of such a program.
struct Pretender {
    child: Child,
    _folder: TempDir,
}

impl Drop for Pretender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pretender {
    /// Starts `program`, and waits until its own code runs: until it is no longer this one.
    fn start(program: &Path, folder: TempDir) -> Pretender {
        let child = Command::new(program)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Pretender { child, _folder: folder }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it sleeps in `pause`, its work done.
    fn paused(self) -> Pretender {
        let call = format!("/proc/{}/syscall", self.pid());
        while !fs::read_to_string(&call).unwrap().starts_with("34 ") {
            assert!(Path::new(&format!("/proc/{}/exe", self.pid())).exists(), "it died");
            std::thread::yield_now();
        }
        self
    }
}

/// Machine code that goes to sleep for good: `mov eax, SYS_pause; syscall; jmp`.
const SLEEP: [u8; 9] = [0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];

/// Machine code that fills `len` bytes at `at` with `byte`: `mov rdi; mov rcx; mov al; rep stosb`.
fn fill(at: u64, len: u64, byte: u8) -> Vec<u8> {
    let mut code = vec![0x48, 0xbf];
    code.extend(at.to_le_bytes());
    code.extend([0x48, 0xb9]);
    code.extend(len.to_le_bytes());
    code.extend([0xb0, byte, 0xf3, 0xaa]);
    code
}

/// A copy of a fixture, changed by `change`, that is not yet running.
fn forged(program: &Path, change: impl FnOnce(&Image, &mut Vec<u8>)) -> (PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::open(fs::File::open(program).unwrap(), program.to_owned()).unwrap();
    let mut bytes = fs::read(program).unwrap();
    change(&image, &mut bytes);
    let (written, path) = (folder.path().join("written"), folder.path().join("forged"));
    fs::write(&written, bytes).unwrap();
    fs::set_permissions(&written, fs::Permissions::from_mode(0o755)).unwrap();
    copy_program(&written, &path);
    (path, folder)
}

/// Puts `code` where the program begins.
fn replace_entry(image: &Image, bytes: &mut [u8], code: &[u8]) {
    let entry = u64::from_le_bytes(bytes[24..32].try_into().unwrap());
    let at = image.elf.vaddr_to_offset(entry).unwrap().0 as usize;
    bytes[at..at + code.len()].copy_from_slice(code);
}

/// What every scan of one pretender ended with.
fn endings_of(pid: u32) -> (Vec<i32>, Endings) {
    let mut endings = Endings::default();
    let ways: [&[&str]; 4] = [
        &["--json"],
        &["-v"],
        &["--json", "--no-pause"],
        &["--json", "--max-pause", "1s"],
    ];
    let codes = ways.map(|way| {
        let code = endings.scan(pid, way);
        assert!(at_large(pid), "left stopped: {way:?}");
        code
    });
    (codes.to_vec(), endings)
}

/// All scans end so, and say `words` where they refuse.
fn assert_ends(pid: u32, code: i32, words: &str) {
    let (codes, endings) = endings_of(pid);
    assert_eq!(codes, [code; 4], "{}", endings.said);
    assert!(endings.said.contains(words), "{}", endings.said);
}

#[test]
fn a_go_binary_in_which_something_else_runs_has_no_runtime_to_read() {
    for (version, build) in [
        (GoVersion::V1_27, Build::Exe),
        (GoVersion::V1_21, Build::Exe),
        (GoVersion::V1_26, Build::Stripped),
    ] {
        let (path, folder) = forged(&fixture("shapes", version, build), |image, bytes| {
            replace_entry(image, bytes, &SLEEP);
        });
        let pretender = Pretender::start(&path, folder).paused();
        let (code, words) = match build {
            Build::Stripped => (5, "does not fit"),
            _ => (3, "has not started"),
        };
        assert_ends(pretender.pid(), code, words);
    }
}

#[test]
fn variables_filled_with_lies_are_not_believed() {
    for byte in [0xff, 0x7f, 0x01, 0x40] {
        let program = fixture("shapes", GoVersion::V1_27, Build::Exe);
        let (path, folder) = forged(&program, |image, bytes| {
            let types = image.debug.as_ref().unwrap();
            let layout = Layout::resolve(types).unwrap();
            let globals = Globals::resolve(types, 0).unwrap();
            let mut code = Vec::new();
            for (at, len) in [
                (globals.mheap, layout.mheap.size),
                (globals.allgs, 24),
                (globals.allp, 24),
                (globals.sched, layout.sched.size),
                (globals.memstats, layout.mstats.size),
                (globals.gc_controller, layout.gc_controller.size),
                (globals.work, layout.work.size),
            ] {
                code.extend(fill(at.0, len, byte));
            }
            code.extend(SLEEP);
            replace_entry(image, bytes, &code);
        });
        let pretender = Pretender::start(&path, folder).paused();
        let (codes, endings) = endings_of(pretender.pid());
        println!("{byte:#x}: {codes:?} {endings:?}");
        assert!(
            codes.iter().all(|code| matches!(code, 5 | 6)),
            "{byte:#x}: {codes:?} {}",
            endings.said
        );
    }
}

#[test]
fn symbols_that_lead_nowhere_are_told() {
    let program = fixture("shapes", GoVersion::V1_24, Build::WithoutDwarf);
    for lie in [0x1000, 0x7fff_dead_b000, u64::MAX - 7, 0xffff_8000_0000_0000] {
        let (path, _folder) = forged(&program, |image, bytes| {
            let names = Globals::names().collect();
            let found = gomemscan::image::symtab::addresses(&image.elf, &image.file, &names).unwrap();
            replace_in_section(image, bytes, ".symtab", found["runtime.mheap_"], lie);
        });
        let liar = Running::start(&path, &[]);
        assert_ends(liar.pid(), 5, "mheap_");
    }
}

#[test]
fn debug_information_that_leads_nowhere_is_told() {
    // Go 1.24 has the addresses in .debug_info, 1.27 in .debug_addr.
    for version in [GoVersion::V1_24, GoVersion::V1_27] {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        let unpacked = Command::new("objcopy")
            .arg("--decompress-debug-sections")
            .arg(fixture("shapes", version, Build::Exe))
            .arg(&plain)
            .status();
        assert!(unpacked.unwrap().success());
        for lie in [0x1000, 0x7fff_dead_b000, u64::MAX - 7] {
            let (path, _folder) = forged(&plain, |image, bytes| {
                let mheap = image.debug.as_ref().unwrap().global("runtime.mheap_").unwrap();
                let replaced = [".debug_info", ".debug_addr"].map(|section| {
                    image.elf.section(section).is_some() && replace_in_section(image, bytes, section, mheap, lie)
                });
                assert!(replaced.contains(&true), "Go {version}");
            });
            let liar = Running::start(&path, &[]);
            let (codes, endings) = endings_of(liar.pid());
            assert!(
                codes.iter().all(|code| matches!(code, 5 | 6)),
                "{lie:#x}: {codes:?} {}",
                endings.said
            );
        }
    }
}

/// Replaces the words of a section that are `from`; whether there were any.
fn replace_in_section(image: &Image, bytes: &mut [u8], section: &str, from: u64, to: u64) -> bool {
    let section = image.elf.section(section).unwrap();
    let range = section.offset as usize..(section.offset + section.size) as usize;
    let found: Vec<usize> = memmem::find_iter(&bytes[range.clone()], &from.to_le_bytes()).collect();
    for at in &found {
        bytes[range.start + at..range.start + at + 8].copy_from_slice(&to.to_le_bytes());
    }
    !found.is_empty()
}

/// A C program with Go's marks: build information, a note, sections and symbols of these names.
const LIAR: &str = r#"
#include <stdio.h>
#include <unistd.h>
__attribute__((section(".go.buildinfo,\"aw\",@progbits#"), used, aligned(16)))
static const char info[] = "\xff Go buildinf:\x08\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "\x08" "go1.26.6" "\x10" "path\tlooks/like\n";
__attribute__((section(".note.go.buildid,\"a\",@note#"), used, aligned(4)))
static const struct { int name, desc, kind; char text[12]; } note = {4, 8, 4, "Go\0\0liarliar"};
__attribute__((section(".gopclntab,\"a\",@progbits#"), used, aligned(16)))
static const unsigned char table[4096] = TABLE;
char mheap_[1 << 16] __asm__("runtime.mheap_") = {1};
void *firstmoduledata[80] __asm__("runtime.firstmoduledata") = {(void *)table, (void *)(table + 64)};
long allgs[3] __asm__("runtime.allgs") = {(long)0x7fffffff0000, 1L << 40, 1L << 40};
int main(void)
{
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}
"#;

#[test]
fn a_c_program_with_the_marks_of_go_is_called_what_it_is() {
    let tables = [
        "{0}",
        // A header that is right, with tables that are not.
        "{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}",
        "{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, \
          72, 0, 0, 0, 0, 0, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 90, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 120}",
    ];
    for table in tables {
        for debug in [&["-s"][..], &["-g"], &[]] {
            let folder = tempfile::tempdir().unwrap();
            let (source, path) = (folder.path().join("liar.c"), folder.path().join("liar"));
            fs::write(&source, LIAR.replace("TABLE", table)).unwrap();
            let compiled = Command::new("cc")
                .args(debug)
                .arg("-o")
                .arg(&path)
                .arg(&source)
                .status();
            assert!(compiled.unwrap().success());
            let mut child = Command::new(&path).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.as_mut().unwrap())
                .read_line(&mut line)
                .unwrap();
            let pretender = Pretender { child, _folder: folder };
            assert_eq!(line, "ready\n");
            assert_ends(pretender.pid(), 5, "gomemscan: ");
        }
    }
}

#[test]
fn the_forged_programs_are_forged_where_they_should_be() {
    let program = fixture("shapes", GoVersion::V1_27, Build::Exe);
    let (path, _folder) = forged(&program, |image, bytes| replace_entry(image, bytes, &SLEEP));
    let exe = ExeFile::new(fs::File::open(&path).unwrap(), path).unwrap();
    let elf = Elf::parse(&exe).unwrap();
    let entry = u64::from_le_bytes(exe.read(24, 8).unwrap().try_into().unwrap());
    assert_eq!(elf.read_vaddr(&exe, entry, 9).unwrap(), SLEEP);
}

/// Bytes of debug information that is all hole: many minutes of reading.
const HOLE: u64 = 1 << 42;

#[test]
fn a_scan_that_would_take_an_hour_ends_at_its_deadline() {
    let program = fixture("shapes", GoVersion::V1_27, Build::Exe);
    let mut size = 0;
    let (path, _folder) = forged(&program, |image, bytes| {
        let offset = bytes.len() as u64;
        let section = image.elf.section(".debug_info").unwrap();
        let header = [section.addr, section.offset, section.size]
            .map(u64::to_le_bytes)
            .concat();
        let at = memmem::find(bytes, &header).unwrap();
        // Plain, behind everything: one unit as long as the hole.
        bytes[at - 8..at].fill(0);
        bytes[at + 8..at + 16].copy_from_slice(&offset.to_le_bytes());
        bytes[at + 16..at + 24].copy_from_slice(&HOLE.to_le_bytes());
        bytes.extend([0xff; 4]);
        bytes.extend((HOLE - 12).to_le_bytes());
        size = offset + HOLE;
    });
    let length = Command::new("truncate")
        .arg("-s")
        .arg(size.to_string())
        .arg(&path)
        .status();
    assert!(length.unwrap().success());
    let target = Running::start(&path, &[]);
    for command in ["attach", "doctor"] {
        let scan = Command::new(env!("CARGO_BIN_EXE_gomemscan"))
            .args([command, &target.pid().to_string(), "--deadline", "1s"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&scan.stderr);
        assert_eq!(scan.status.code(), Some(7), "{said}");
        assert!(said.contains("did not end within 1s (--deadline)"), "{said}");
        assert!(scan.stdout.is_empty());
        assert!(at_large(target.pid()));
    }
}
