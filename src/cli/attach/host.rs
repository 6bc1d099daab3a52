//! The host's side of a scan: which pages are resident and what the mappings are, read right after the release; the
//! memory cgroup and the machine, while the binary is read.

use super::mappings::{largest_mapped_file, mapping_rows};
use crate::analysis::{MappingRow, Near, RssFacts};
use crate::goruntime::snapshot::Snapshot;
use crate::memory::Range;
use crate::model::{AttachReport, Cgroup, Grade, Graded, Host, Thp, Unavailable};
use crate::target::{CgroupFacts, CgroupVersion, HostFacts, LiveProcess, Maps, Residency, ResidencyGrade};

/// What the kernel says about the target and the machine.
pub struct HostSide {
    /// Which pages are resident; `None` when that could not be read.
    pub residency: Option<Residency>,
    /// Why not.
    residency_missing: Option<String>,
    maps: Option<Maps>,
    /// Mappings outside the Go heap, once they are sorted.
    pub mappings: Vec<MappingRow>,
    /// The mapped data file with the most resident bytes, and these.
    pub largest_file: Option<(String, u64)>,
    /// Resident set sizes.
    pub rss: RssFacts,
    around: Surroundings,
}

/// What is around a target: its memory cgroup, and the machine.
#[derive(Clone, Debug)]
pub struct Surroundings {
    host: HostFacts,
    cgroup: Option<CgroupFacts>,
}

impl Surroundings {
    /// As they are now.
    pub fn of(process: &LiveProcess) -> Surroundings {
        Surroundings {
            host: HostFacts::collect(),
            cgroup: CgroupFacts::of(process),
        }
    }

    /// Only the machine.
    pub fn machine() -> Surroundings {
        Surroundings {
            host: HostFacts::collect(),
            cgroup: None,
        }
    }
}

impl HostSide {
    /// Reads everything about the target; what cannot be read is left out with its reason.
    pub fn read(process: &LiveProcess, around: &Surroundings) -> HostSide {
        let maps = process.maps();
        let pages = maps
            .as_ref()
            .map_err(|error| error.to_string())
            .and_then(|maps| Residency::of_process(process, maps).map_err(|error| error.to_string()));
        let rss = pages.as_ref().map_or_else(
            |_| RssFacts::default(),
            |residency| RssFacts {
                page_level: Some(residency.total_resident_bytes()),
                statm: process.statm_bytes(),
                swap: Some(residency.total_swapped_bytes()),
            },
        );
        HostSide::of(maps.ok(), pages, rss, around)
    }

    /// The same from mappings and residency, or the reason why that is not known, which are already here.
    pub fn of(
        maps: Option<Maps>,
        residency: std::result::Result<Residency, String>,
        rss: RssFacts,
        around: &Surroundings,
    ) -> HostSide {
        let (residency, residency_missing) = match residency {
            Ok(residency) => (Some(residency), None),
            Err(why) => (None, Some(why)),
        };
        let largest_file = maps
            .as_ref()
            .zip(residency.as_ref())
            .and_then(|(maps, residency)| largest_mapped_file(maps, &|range| residency.resident_bytes(range)));
        HostSide {
            largest_file,
            residency,
            residency_missing,
            maps,
            mappings: Vec::new(),
            rss,
            around: around.clone(),
        }
    }

    /// Resident bytes of a range, where that is known, and where it was found.
    pub fn resident(&self) -> Option<impl Fn(Range, &mut Near) -> u64 + Sync + '_> {
        let residency = self.residency.as_ref()?;
        Some(|range, near: &mut Near| {
            let bytes = residency.resident_bytes_near(range, &mut near.at);
            (near.stretch, near.is_resident) = residency.stretch(range.start, near.at);
            bytes
        })
    }

    /// Tells the runtime's own mappings from others.
    pub fn sort_mappings(&mut self, snapshot: &Snapshot) {
        self.mappings = self.maps.iter().flat_map(|maps| mapping_rows(maps, snapshot)).collect();
    }

    /// Fills the sections about the machine and the cgroup.
    pub fn fill(&self, report: &mut AttachReport) {
        report.host = machine(&self.around.host);
        report.process.cgroup_path = self.around.cgroup.as_ref().map(|cgroup| cgroup.path.clone());
        report.cgroup = self.around.cgroup.as_ref().map(|cgroup| Cgroup {
            version: match cgroup.version {
                CgroupVersion::V1 => 1,
                CgroupVersion::V2 => 2,
            },
            path: cgroup.path.clone(),
            limit_bytes: cgroup.limit_bytes,
            current_bytes: cgroup.current_bytes,
            working_set_bytes: cgroup.working_set_bytes,
            headroom_bytes: cgroup.headroom_bytes,
        });
        if let Some(why) = &self.residency_missing {
            for pointer in [
                "/ledger/rss_bytes",
                "/idle/unreturned_resident_bytes",
                "/idle/returnable_now_bytes",
            ] {
                report.unavailable.push(Unavailable {
                    pointer: pointer.into(),
                    reason: why.clone(),
                });
            }
        }
    }

    /// Lowers the grade of residency figures where the kernel only gave sums.
    pub fn grade(&self, report: &mut AttachReport) {
        let grade = self.residency.as_ref().map_or(ResidencyGrade::Exact, Residency::grade);
        let message = match grade {
            ResidencyGrade::Exact => return,
            ResidencyGrade::WithZeroPages => {
                "pages that were mapped but never written count as resident: this kernel does not tell them apart"
            }
            ResidencyGrade::PerMapping => {
                "residency is known per mapping only (/proc/PID/pagemap is not readable); shares of a mapping are taken in proportion"
            }
        };
        for pointer in [
            "/ledger",
            "/idle/unreturned_resident_bytes",
            "/idle/returnable_now_bytes",
        ] {
            report.grades.push(Graded {
                pointer: pointer.into(),
                grade: Grade::Estimated,
            });
        }
        report.warn("ledger", message);
    }
}

/// The machine as a report shows it.
pub fn machine(host: &HostFacts) -> Host {
    let thp = &host.thp;
    Host {
        name: Some(host.hostname.clone()),
        boot_id: host.boot_id.clone(),
        kernel: Some(host.kernel.clone()),
        page_bytes: Some(host.page_bytes),
        cpus: Some(host.cpus as u64),
        thp: Some(Thp {
            enabled: thp.enabled.clone(),
            defrag: thp.defrag.clone(),
            use_zero_page: thp.use_zero_page,
            khugepaged_defrag: thp.khugepaged_defrag,
        }),
    }
}
