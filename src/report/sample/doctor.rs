//! What `doctor` says.

use crate::model::*;

/// What `doctor` says of a process that can be scanned.
pub fn doctor_works() -> DoctorReport {
    let mut report = doctor(
        0,
        "a scan will work; expect about 1.2 ms of pause",
        &[
            (
                "process",
                CheckStatus::Ok,
                "812 (1 in its PID namespace) runs /usr/local/bin/hello",
            ),
            (
                "program",
                CheckStatus::Ok,
                "go1.26.6 on amd64; the runtime's structures are found",
            ),
            (
                "yama",
                CheckStatus::Ok,
                "kernel.yama.ptrace_scope is 1; CAP_SYS_PTRACE overrides it",
            ),
            ("swap", CheckStatus::Warn, "12.0 MiB of it are swapped out"),
            ("container", CheckStatus::Unknown, "its container does not show"),
        ],
    );
    report.checks[3].consequence =
        Some("what the runtime keeps there is named and not read; the result may be partial".into());
    report
}

/// What `doctor` says of a pod's process that belongs to somebody else and cannot be told from an attack.
pub fn doctor_refused() -> DoctorReport {
    let mut report = doctor(
        4,
        "a scan will not work: process 812 (a\u{1b}[31m) belongs to user 33, gomemscan runs as user 1000",
        &[
            (
                "process",
                CheckStatus::Unknown,
                "process 812 may not be looked at; the checks below say why",
            ),
            (
                "user",
                CheckStatus::Fail,
                "process 812 (a\u{1b}[31m) belongs to user 33, gomemscan runs as user 1000",
            ),
            (
                "access",
                CheckStatus::Unknown,
                "the kernel refuses access: Operation not permitted",
            ),
        ],
    );
    report.checks[1].exit_code = Some(4);
    report.checks[1].remedies = vec![
        Remedy::command("sudo gomemscan attach 812"),
        Remedy::noted(
            "or, for every user of this host",
            "sudo sysctl kernel.yama.ptrace_scope=0",
        ),
        Remedy::note("or ask an administrator"),
    ];
    report.container = Some(Container {
        runtime: Some("containerd".into()),
        commands: vec![Remedy::noted(
            "with the rights of kubectl alone; IMAGE is any that holds gomemscan",
            "kubectl debug -it -n shop hub-7d9f --target=server --profile=sysadmin --image=IMAGE -- gomemscan attach 1",
        )],
        ..Container::default()
    });
    report
}

fn doctor(exit_code: u8, text: &str, checks: &[(&str, CheckStatus, &str)]) -> DoctorReport {
    let mut report = DoctorReport::new();
    report.process.pid = 812;
    report.verdict = Forecast {
        works: exit_code == 0,
        exit_code,
        text: text.into(),
    };
    let check = |&(id, status, fact): &(&str, CheckStatus, &str)| DoctorCheck {
        id: id.into(),
        status,
        fact: fact.into(),
        ..DoctorCheck::default()
    };
    report.checks = checks.iter().map(check).collect();
    report
}
