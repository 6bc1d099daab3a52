//! Why there is no runtime to read in a file: it is not Go, it is Go with another runtime, or what would tell has been
//! taken out of it.

use super::variants::OLDEST_MINOR;
use crate::error::Error;
use crate::image::{Hindrance, Image, ProgramKind};

/// The refusal of a file that has neither debug information nor the tables of Go's linker.
pub(super) fn unrecognised(image: &Image) -> Error {
    let path = image.path().display();
    let Some(build) = &image.build else {
        return without_build_info(image);
    };
    let why = match image.unknown_magic() {
        Some(magic) => format!(
            "was obfuscated (garble does this): its function table has the magic {magic:#x}, which no Go release writes"
        ),
        None => "has neither debug information nor a pclntab that can be read: it was packed or obfuscated".to_owned(),
    };
    Error::Unsupported {
        what: format!("{path} ({}) {why}", build.go_version),
        remedy: Some("run the program as `go build` made it, or give its debug information with --debug-file".into()),
    }
}

fn without_build_info(image: &Image) -> Error {
    let path = image.path().display();
    let ProgramKind { what, hindrance } = image.kind_of_program();
    let Some(hindrance) = hindrance else {
        return Error::NoTarget {
            what: format!("{path} is not a Go program but {what}"),
            remedy: None,
        };
    };
    let (why, remedy) = match hindrance {
        Hindrance::OtherRuntime => (
            "its runtime is not the one of the Go toolchain, which alone gomemscan reads",
            "build it with the Go toolchain (`go build`)".to_owned(),
        ),
        Hindrance::Packed => (
            "what runs was unpacked into memory, and the file does not show whether it is Go",
            "run it unpacked: upx -d unpacks a copy of the file".to_owned(),
        ),
        Hindrance::NoBuildInfo => (
            "it was built before Go 1.13 or with -buildmode=shared, or what it says of its build was taken out",
            format!("build it with Go 1.{OLDEST_MINOR} or later"),
        ),
    };
    Error::Unsupported {
        what: format!("{path} is {what}; {why}"),
        remedy: Some(remedy),
    }
}
