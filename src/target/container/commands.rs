//! Commands that start the tool where a container's process can be seen and traced. Words in capitals are the reader's
//! to fill in.

use super::{ContainerFacts, Pod, Runtime, Surroundings};
use crate::model::Remedy;

/// Characters of an id that are enough for every runtime.
const SHORT_ID: usize = 12;
/// What `IMAGE` stands for.
const IMAGE_NOTE: &str = "IMAGE is any that holds gomemscan";

impl ContainerFacts {
    /// How to scan its process, whose number inside is `ns_pid`, from a container of its own beside it.
    pub fn commands(&self, ns_pid: i32) -> Vec<Remedy> {
        let mut commands = Vec::new();
        let id = self.id.as_deref().map(|id| id.get(..SHORT_ID).unwrap_or(id));
        if let Some(pod) = &self.pod {
            commands.push(kubectl_debug(pod, ns_pid));
            if pod.name.is_none() || pod.namespace.is_none() || pod.container.is_none() {
                commands.extend(find_names(pod, id));
            }
            return commands;
        }
        let run = |tool: &str, id: &str| {
            Remedy::noted(
                format!("in a container beside it; {IMAGE_NOTE}"),
                format!(
                    "{tool} run --rm -it --pid=container:{id} --cap-add=SYS_PTRACE IMAGE gomemscan attach {ns_pid}"
                ),
            )
        };
        match (self.runtime, id) {
            (Some(Runtime::Docker), Some(id)) => commands.push(run("docker", id)),
            (Some(Runtime::Podman), Some(id)) => commands.push(run("podman", id)),
            (Some(Runtime::Containerd), Some(id)) => commands.push(run("nerdctl", id)),
            _ => {}
        }
        commands
    }
}

fn kubectl_debug(pod: &Pod, ns_pid: i32) -> Remedy {
    let named = |name: &Option<String>, or: &str| name.clone().unwrap_or_else(|| or.to_owned());
    Remedy::noted(
        format!("with the rights of kubectl alone; {IMAGE_NOTE}"),
        format!(
            "kubectl debug -it -n {} {} --target={} --profile=sysadmin --image=IMAGE -- gomemscan attach {ns_pid}",
            named(&pod.namespace, "NAMESPACE"),
            named(&pod.name, "POD"),
            named(&pod.container, "CONTAINER"),
        ),
    )
}

/// How to find the names that the process does not show.
fn find_names(pod: &Pod, id: Option<&str>) -> Vec<Remedy> {
    let mut commands = Vec::new();
    if let Some(id) = id {
        commands.push(Remedy::noted(
            "the names, on the node",
            format!("sudo crictl inspect {id} | grep io.kubernetes"),
        ));
    }
    if let Some(uid) = &pod.uid {
        commands.push(Remedy::noted(
            "the names, from anywhere",
            format!("kubectl get pods -A -o custom-columns=NAMESPACE:.metadata.namespace,POD:.metadata.name,UID:.metadata.uid | grep {uid}"),
        ));
    }
    commands
}

impl Surroundings {
    /// How to give the tool CAP_SYS_PTRACE where its own container withholds it.
    pub fn give_capability(self) -> Vec<Remedy> {
        let run = |tool: &str| {
            Remedy::noted(
                "start gomemscan's container with the capability",
                format!("{tool} run --cap-add=SYS_PTRACE ..."),
            )
        };
        let debug = || {
            Remedy::noted(
                "start it as a debugging container with the capability",
                "kubectl debug -it -n NAMESPACE POD --target=CONTAINER --profile=sysadmin --image=IMAGE",
            )
        };
        match self {
            Surroundings::Kubernetes => vec![
                debug(),
                Remedy::note("or let its manifest say securityContext.capabilities.add: [SYS_PTRACE]"),
            ],
            Surroundings::Docker => vec![run("docker")],
            Surroundings::Podman => vec![run("podman")],
            Surroundings::Open => vec![
                Remedy::note(
                    "its capabilities are bounded by whatever started it (a container, a systemd unit): add CAP_SYS_PTRACE there",
                ),
                run("docker"),
                debug(),
            ],
        }
    }

    /// How to get past a filter of system calls.
    pub fn lift_filter(self) -> Vec<Remedy> {
        let run = |tool: &str| {
            Remedy::noted(
                "start gomemscan's container without the filter",
                format!("{tool} run --cap-add=SYS_PTRACE --security-opt=seccomp=unconfined ..."),
            )
        };
        match self {
            Surroundings::Kubernetes => vec![
                Remedy::noted(
                    "start it as a debugging container",
                    "kubectl debug -it -n NAMESPACE POD --target=CONTAINER --profile=sysadmin --image=IMAGE",
                ),
                Remedy::note("or let its manifest say securityContext.seccompProfile.type: Unconfined"),
            ],
            Surroundings::Docker => vec![run("docker")],
            Surroundings::Podman => vec![run("podman")],
            Surroundings::Open => vec![
                Remedy::note(
                    "start it outside of whatever set the filter (a sandbox, SystemCallFilter= of a systemd unit)",
                ),
                run("docker"),
            ],
        }
    }
}
