//! What the target's executable is, and how its runtime's structures will be found: settled by the functions that a
//! scan settles it with.

use crate::error::{Error, Result};
use crate::goruntime::locate::Runtime;
use crate::image::{BuildInfo, Image};
use crate::model::{CheckStatus, DoctorCheck, Process};
use crate::target::LiveProcess;

/// The program a process runs.
pub struct Program {
    build: Option<BuildInfo>,
    build_id: Option<String>,
    goarch: Option<String>,
    /// Its runtime, or why it cannot be read.
    pub located: Result<Runtime>,
}

impl Program {
    /// Reads the executable and locates the runtime.
    pub fn of(process: &LiveProcess) -> Program {
        let nothing = |error| Program {
            build: None,
            build_id: None,
            goarch: None,
            located: Err(error),
        };
        match open(process) {
            Ok(image) => Program {
                located: locate(process, &image),
                build_id: image.elf.go_build_id.clone(),
                goarch: Some(image.elf.arch.goarch().to_owned()),
                build: image.build,
            },
            Err(error) => nothing(error),
        }
    }

    /// Fills in what the executable says.
    pub fn describe(&self, to: &mut Process) {
        to.build_id.clone_from(&self.build_id);
        to.goarch.clone_from(&self.goarch);
        if let Some(build) = &self.build {
            to.go_version = Some(build.go_version.clone());
            to.main_module = build.main_module.clone().or_else(|| build.main_package.clone());
            to.experiments.clone_from(&build.experiments);
        }
    }

    /// The check on a program whose runtime was located.
    pub fn check(&self) -> DoctorCheck {
        let version = self
            .build
            .as_ref()
            .map_or("a Go program", |build| build.go_version.as_str());
        let warnings = self.located.as_ref().map_or(&[][..], |runtime| &runtime.warnings);
        DoctorCheck {
            id: "program".to_owned(),
            status: match warnings {
                [] => CheckStatus::Ok,
                _ => CheckStatus::Warn,
            },
            fact: format!(
                "{version} on {}; the runtime's structures are found",
                self.goarch.as_deref().unwrap_or("an unknown processor")
            ),
            consequence: (!warnings.is_empty()).then(|| warnings.join("; ")),
            ..DoctorCheck::default()
        }
    }
}

fn open(process: &LiveProcess) -> Result<Image> {
    let path = process.info().exe_path.clone();
    let exe = process
        .exe()
        .try_clone()
        .map_err(|error| Error::io(format!("{}", path.display()), error))?;
    Image::open(exe, path)
}

fn locate(process: &LiveProcess, image: &Image) -> Result<Runtime> {
    let maps = process.maps()?;
    let anchor = process.exe_anchor(&maps).ok_or_else(|| Error::Unsupported {
        what: format!("{} is not mapped in process {}", image.path().display(), process.pid()),
        remedy: None,
    })?;
    Runtime::locate(image, anchor)
}
