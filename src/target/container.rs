//! The container, pod or service that a process runs in, told from its cgroup's path, its mounts and, as far as they may
//! be read, its environment and files. Everything but the cgroup's path is the process's own word: names are taken only
//! in the form that Kubernetes gives them, so that a command made of them means what it says.

mod commands;

use std::fs;
use std::io::Read;
use std::path::Path;

use super::procdir::ProcDir;

/// The longest file of a container that is read for a name.
const NAME_FILE_LIMIT: u64 = 4096;
/// Where kubelet mounts the name of the pod's namespace.
const NAMESPACE_FILE: &str = "var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Where a process runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerFacts {
    /// What runs it.
    pub runtime: Option<Runtime>,
    /// Id (hexadecimal) or name of the container.
    pub id: Option<String>,
    /// The systemd unit that holds it.
    pub unit: Option<String>,
    /// The pod it belongs to.
    pub pod: Option<Pod>,
}

/// A pod, as far as a process of it shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its UID.
    pub uid: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// The name of the container.
    pub container: Option<String>,
}

/// What runs containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Docker.
    Docker,
    /// Podman, and whatever else uses libpod.
    Podman,
    /// containerd, for Kubernetes or nerdctl.
    Containerd,
    /// CRI-O.
    CriO,
    /// LXC, LXD and Incus.
    Lxc,
    /// systemd-nspawn.
    Nspawn,
}

/// What the tool itself runs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Surroundings {
    /// No container that shows.
    #[default]
    Open,
    /// A pod.
    Kubernetes,
    /// A container of Docker or the like.
    Docker,
    /// A container of Podman.
    Podman,
}

impl Runtime {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Runtime::Docker => "docker",
            Runtime::Podman => "podman",
            Runtime::Containerd => "containerd",
            Runtime::CriO => "cri-o",
            Runtime::Lxc => "lxc",
            Runtime::Nspawn => "systemd-nspawn",
        }
    }
}

impl Surroundings {
    /// Of the tool, whose `/proc/self/cgroup` this is. In a cgroup namespace of its own that says nothing; what the
    /// runtimes leave in a container's root and environment does.
    pub(crate) fn read(cgroup: &str) -> Surroundings {
        let facts = ContainerFacts::of_cgroup(cgroup);
        if facts.pod.is_some() || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            Surroundings::Kubernetes
        } else if facts.runtime == Some(Runtime::Podman) || Path::new("/run/.containerenv").exists() {
            Surroundings::Podman
        } else if facts.runtime.is_some() || Path::new("/.dockerenv").exists() {
            Surroundings::Docker
        } else {
            Surroundings::Open
        }
    }
}

impl ContainerFacts {
    /// Of the process behind an open `/proc/PID`; `None` when nothing shows that it runs in anything.
    pub(crate) fn of(proc: &ProcDir) -> Option<ContainerFacts> {
        let mut facts = ContainerFacts::of_cgroup(&proc.text("cgroup").unwrap_or_default());
        let environment = proc.read("environ").unwrap_or_default();
        let variable = |name: &str| variable(&environment, name);
        if facts.pod.is_none() && variable("KUBERNETES_SERVICE_HOST").is_some() {
            facts.pod = Some(Pod::default());
        }
        if let Some(pod) = &mut facts.pod {
            let (uid, container) = from_mounts(&proc.text("mountinfo").unwrap_or_default());
            pod.uid = pod.uid.take().or(uid);
            pod.container = container;
            pod.namespace = variable("POD_NAMESPACE").or_else(|| file(proc, NAMESPACE_FILE));
            // In a pod with the node's network the host name is the node's.
            let node = nix::sys::utsname::uname()
                .ok()
                .map(|uname| uname.nodename().to_string_lossy().into_owned());
            let host = || {
                variable("HOSTNAME")
                    .or_else(|| file(proc, "etc/hostname"))
                    .filter(|name| Some(name) != node.as_ref())
            };
            pod.name = variable("POD_NAME").or_else(host);
        }
        (facts != ContainerFacts::default()).then_some(facts)
    }

    /// From the lines of `/proc/PID/cgroup`. In several hierarchies the one that says most counts.
    fn of_cgroup(cgroup: &str) -> ContainerFacts {
        let paths = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        let weight = |facts: &ContainerFacts| {
            let container = usize::from(facts.pod.is_some()) + usize::from(facts.id.is_some());
            2 * container + usize::from(facts.unit.is_some())
        };
        paths
            .map(ContainerFacts::of_path)
            .max_by_key(weight)
            .unwrap_or_default()
    }

    fn of_path(path: &str) -> ContainerFacts {
        let mut facts = ContainerFacts::default();
        let mut above = "";
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if let Some(uid) = pod_uid(name) {
                facts.pod = Some(Pod {
                    uid: Some(uid),
                    ..Pod::default()
                });
            }
            if let Some((runtime, id)) = container(name, above) {
                facts.runtime = runtime;
                facts.id = Some(id);
            } else if (name.ends_with(".service") || name.ends_with(".scope")) && is_unit(name) && facts.id.is_none() {
                facts.unit = Some(name.to_owned());
            }
            above = name;
        }
        if facts.id.is_some() {
            facts.unit = None;
        }
        facts
    }
}

/// The UID in names like `pod<uid>`, `kubepods-burstable-pod<uid>.slice`, its dashes perhaps written as underscores.
fn pod_uid(name: &str) -> Option<String> {
    let name = name.split(':').next()?;
    let name = name.strip_suffix(".slice").unwrap_or(name);
    let (before, uid) = name.rsplit_once("pod")?;
    if !(before.is_empty() || before.ends_with('-')) {
        return None;
    }
    let uid = uid.replace('_', "-");
    // Static pods have a hash in the place of a UID.
    let digits = uid.bytes().filter(|byte| *byte != b'-').count();
    let plain = uid.bytes().all(|byte| byte == b'-' || is_hex(byte));
    (plain && digits == 32).then_some(uid)
}

/// Runtime and id in names like `docker-<id>.scope`, `<slice>:cri-containerd:<id>`, `<id>`, `lxc.payload.<name>`.
fn container(name: &str, above: &str) -> Option<(Option<Runtime>, String)> {
    let known = |prefix: &str| match prefix {
        "docker" => Some(Runtime::Docker),
        "libpod" | "libpod_parent" => Some(Runtime::Podman),
        "cri-containerd" | "nerdctl" | "k8s.io" | "default" | "moby" => Some(Runtime::Containerd),
        "crio" => Some(Runtime::CriO),
        _ => None,
    };
    if let Some(name) = name.strip_prefix("lxc.payload.").or((above == "lxc").then_some(name)) {
        return is_unit(name).then(|| (Some(Runtime::Lxc), name.to_owned()));
    }
    let nspawn = name
        .strip_prefix("systemd-nspawn@")
        .and_then(|name| name.strip_suffix(".service"))
        .or_else(|| name.strip_prefix("machine-")?.strip_suffix(".scope"));
    if let Some(name) = nspawn.filter(|name| is_unit(name)) {
        return Some((Some(Runtime::Nspawn), name.to_owned()));
    }
    let bare = name.strip_suffix(".scope").unwrap_or(name);
    let is_id = |id: &str| id.len() == 64 && id.bytes().all(is_hex);
    if is_id(bare) {
        return Some((known(above), bare.to_owned()));
    }
    let (prefix, id) = bare.rsplit_once([':', '-'])?;
    let prefix = prefix.rsplit(':').next().unwrap_or(prefix);
    is_id(id).then(|| (known(prefix), id.to_owned()))
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

/// Whether it can stand in a command as it is.
fn is_unit(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@:._-".contains(&byte);
    name.len() <= 255 && !name.starts_with('-') && name.bytes().all(plain)
}

/// Whether it is a name as Kubernetes demands (RFC 1123).
fn is_kubernetes_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    name.len() <= 253 && name.bytes().all(plain) && ends(name.bytes().next()) && ends(name.bytes().next_back())
}

/// UID of the pod and name of the container, from the mounts that kubelet makes below its directory of the pod.
fn from_mounts(mountinfo: &str) -> (Option<String>, Option<String>) {
    let roots = mountinfo.lines().filter_map(|line| line.split(' ').nth(3));
    let (mut uid, mut name) = (None, None);
    for root in roots {
        let Some((_, inside)) = root.split_once("/pods/") else {
            continue;
        };
        let mut parts = inside.split('/');
        uid = uid.or_else(|| parts.next().and_then(|part| pod_uid(&format!("pod{part}"))));
        let container = inside
            .split_once("/containers/")
            .and_then(|(_, rest)| rest.split('/').next());
        name = name.or_else(|| container.filter(|name| is_kubernetes_name(name)).map(str::to_owned));
    }
    (uid, name)
}

/// The value of an environment variable that holds a Kubernetes name or address.
fn variable(environment: &[u8], name: &str) -> Option<String> {
    let value = environment
        .split(|&byte| byte == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    let value = std::str::from_utf8(value).ok()?;
    // An address of IPv6 is one, too.
    let known = is_kubernetes_name(value) || value.parse::<std::net::IpAddr>().is_ok();
    known.then(|| value.to_owned())
}

/// The name in a small file below the root of the process.
fn file(proc: &ProcDir, path: &str) -> Option<String> {
    let root = proc.directory("root").ok()?;
    let file = super::roots::open_below(&root, Path::new(path)).ok()?;
    let mut text = String::new();
    fs::File::take(file, NAME_FILE_LIMIT).read_to_string(&mut text).ok()?;
    let name = text.trim();
    is_kubernetes_name(name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests;
