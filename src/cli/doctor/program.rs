//! What the target's executable is, and how its runtime's structures will be found: settled by the functions that a
//! scan settles it with.

use std::rc::Rc;

use crate::cli::attach::find::Found;
use crate::error::Result;
use crate::goruntime::locate::Runtime;
use crate::goruntime::provenance::LayoutFrom;
use crate::image::BuildInfo;
use crate::model::{CheckStatus, DoctorCheck, Process};
use crate::target::LiveProcess;

/// The program a process runs.
pub struct Program {
    build: Option<BuildInfo>,
    build_id: Option<String>,
    goarch: Option<String>,
    /// Its runtime, or why it cannot be read.
    pub located: Result<Rc<Runtime>>,
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
        match Found::of(process, None, None) {
            Ok(found) => Program {
                located: found.runtime,
                build_id: found.image.elf.go_build_id.clone(),
                goarch: Some(found.image.elf.arch.goarch().to_owned()),
                build: found.image.build,
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

    /// What describes the runtime's structures.
    fn through(&self) -> String {
        let Ok(provenance) = self.located.as_ref().map(|runtime| &runtime.provenance) else {
            return "nothing".to_owned();
        };
        match provenance.layout {
            LayoutFrom::Dwarf => "its DWARF".to_owned(),
            LayoutFrom::DebugFile => "its debug file".to_owned(),
            LayoutFrom::Table => format!("the built-in tables ({provenance})"),
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
                "{version} on {}; the runtime's structures are found through {}",
                self.goarch.as_deref().unwrap_or("an unknown processor"),
                self.through()
            ),
            consequence: (!warnings.is_empty()).then(|| warnings.join("; ")),
            ..DoctorCheck::default()
        }
    }
}
