//! Paths as the runtimes make them.

use super::*;

const ID: &str = "4f2a8d0b1c3e5f60718293a4b5c6d7e8f9000102030405060708090a0b0c0d0e";
const UID: &str = "3f1c2b4a-9d8e-4c7b-a6f5-0123456789ab";

fn of(path: &str) -> ContainerFacts {
    let path = path
        .replace("<id>", ID)
        .replace("<uid_>", &UID.replace('-', "_"))
        .replace("<uid>", UID);
    ContainerFacts::of_cgroup(&format!("12:pids:/\n0::{path}\n"))
}

#[test]
fn containers_are_told_from_their_cgroups() {
    for (path, runtime) in [
        ("/docker/<id>", Some(Runtime::Docker)),
        ("/system.slice/docker-<id>.scope", Some(Runtime::Docker)),
        ("/../../system.slice/docker-<id>.scope/inner", Some(Runtime::Docker)),
        ("/machine.slice/libpod-<id>.scope/container", Some(Runtime::Podman)),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-<id>.scope",
            Some(Runtime::Podman),
        ),
        ("/default/<id>", Some(Runtime::Containerd)),
        ("/system.slice/nerdctl-<id>.scope", Some(Runtime::Containerd)),
        ("/something/<id>", None),
    ] {
        let facts = of(path);
        assert_eq!((facts.runtime, facts.id.as_deref()), (runtime, Some(ID)), "{path}");
        assert_eq!((facts.pod, facts.unit), (None, None), "{path}");
    }
}

#[test]
fn pods_are_told_from_their_cgroups() {
    for (path, runtime) in [
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid_>.slice/cri-containerd-<id>.scope",
            Some(Runtime::Containerd),
        ),
        (
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod<uid_>.slice/cri-containerd-<id>.scope",
            Some(Runtime::Containerd),
        ),
        (
            "/kubepods.slice/kubepods-pod<uid_>.slice/crio-<id>.scope",
            Some(Runtime::CriO),
        ),
        ("/kubepods/besteffort/pod<uid>/<id>", None),
        (
            "/system.slice/containerd.service/kubepods-besteffort-pod<uid_>.slice:cri-containerd:<id>",
            Some(Runtime::Containerd),
        ),
    ] {
        let facts = of(path);
        assert_eq!((facts.runtime, facts.id.as_deref()), (runtime, Some(ID)), "{path}");
        assert_eq!(facts.pod.unwrap().uid.as_deref(), Some(UID), "{path}");
    }
    let mirror = of("/kubepods/burstable/pod0123456789abcdef0123456789abcdef/<id>");
    assert_eq!(
        mirror.pod.unwrap().uid.as_deref(),
        Some("0123456789abcdef0123456789abcdef")
    );
}

#[test]
fn services_and_other_containers_have_names() {
    let unit = |path| of(path).unit;
    assert_eq!(unit("/system.slice/hub.service").as_deref(), Some("hub.service"));
    assert_eq!(
        unit("/user.slice/user-1000.slice/user@1000.service/app.slice/hub.service").as_deref(),
        Some("hub.service")
    );
    assert_eq!(
        (
            of("/lxc.payload.web1/system.slice").runtime,
            of("/lxc/web1").id.as_deref()
        ),
        (Some(Runtime::Lxc), Some("web1"))
    );
    assert_eq!(
        of("/machine.slice/systemd-nspawn@box.service/payload").id.as_deref(),
        Some("box")
    );
    assert_eq!(of("/"), ContainerFacts::default());
    assert_eq!(of("/user.slice/podium/tripod"), ContainerFacts::default());
}

#[test]
fn what_could_do_harm_in_a_command_is_not_taken_for_a_name() {
    assert_eq!(of("/system.slice/$(reboot).service"), ContainerFacts::default());
    assert_eq!(of("/lxc/;reboot"), ContainerFacts::default());
    assert_eq!(of("/lxc/-v"), ContainerFacts::default());
    for name in ["", "-a", "a-", "a b", "a;b", "$(a)", "A", "ä", "a\n"] {
        assert!(!is_kubernetes_name(name), "{name:?}");
    }
    assert!(is_kubernetes_name("hub-7d9f.5-abc"));
    let environment = b"POD_NAME=`reboot`\0HOSTNAME=hub-1\0KUBERNETES_SERVICE_HOST=fd00::1\0".as_slice();
    assert_eq!(variable(environment, "POD_NAME"), None);
    assert_eq!(variable(environment, "HOSTNAME").as_deref(), Some("hub-1"));
    assert_eq!(
        variable(environment, "KUBERNETES_SERVICE_HOST").as_deref(),
        Some("fd00::1")
    );
    assert_eq!(variable(environment, "HOST"), None);
}

#[test]
fn kubelets_mounts_name_pod_and_container() {
    let mounts = format!(
        "812 790 8:1 /var/lib/kubelet/pods/{UID}/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw\n\
         813 790 8:1 /var/lib/kubelet/pods/{UID}/containers/hub/5a6b7c8d /dev/termination-log rw - ext4 /dev/sda1 rw\n"
    );
    assert_eq!(from_mounts(&mounts), (Some(UID.to_owned()), Some("hub".to_owned())));
    assert_eq!(from_mounts("1 2 8:1 /srv/pods/x /y rw - ext4 z rw\n"), (None, None));
}

#[test]
fn commands_for_pods_are_ready_or_say_how_to_get_ready() {
    let mut facts = of("/kubepods/burstable/pod<uid>/<id>");
    let commands = |facts: &ContainerFacts| {
        let commands = facts.commands(1);
        commands
            .into_iter()
            .filter_map(|remedy| remedy.command)
            .collect::<Vec<_>>()
    };
    let unnamed = commands(&facts);
    assert!(
        unnamed[0].contains("-n NAMESPACE POD --target=CONTAINER"),
        "{unnamed:?}"
    );
    assert_eq!(
        unnamed[1],
        format!("sudo crictl inspect {} | grep io.kubernetes", &ID[..12])
    );
    assert!(
        unnamed[2].starts_with("kubectl get pods -A") && unnamed[2].ends_with(UID),
        "{unnamed:?}"
    );
    let pod = facts.pod.as_mut().unwrap();
    pod.name = Some("hub-7d9f".into());
    pod.namespace = Some("shop".into());
    pod.container = Some("server".into());
    assert_eq!(
        commands(&facts),
        ["kubectl debug -it -n shop hub-7d9f --target=server --profile=sysadmin --image=IMAGE -- gomemscan attach 1"]
    );
}

#[test]
fn commands_for_containers_name_them() {
    let command = |path| of(path).commands(7).remove(0).command.unwrap();
    let beside = "run --rm -it --pid=container:4f2a8d0b1c3e --cap-add=SYS_PTRACE IMAGE gomemscan attach 7";
    assert_eq!(command("/docker/<id>"), format!("docker {beside}"));
    assert_eq!(command("/machine.slice/libpod-<id>.scope"), format!("podman {beside}"));
    assert_eq!(command("/default/<id>"), format!("nerdctl {beside}"));
    assert_eq!(of("/system.slice/hub.service").commands(7), []);
}

/// A made-up `/proc/PID` of a pod's process, as kubelet and the runtime leave it.
#[test]
fn a_pod_is_named_by_its_mounts_its_files_and_its_environment() {
    let proc = tempfile::tempdir().unwrap();
    let process = proc.path().join("77");
    let write = |name: &str, text: &str| {
        let path = process.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "cgroup",
        &format!(
            "0::/kubepods.slice/kubepods-pod{}.slice/cri-containerd-{ID}.scope\n",
            UID.replace('-', "_")
        ),
    );
    write(
        "mountinfo",
        &format!(
            "1 2 8:1 /var/lib/kubelet/pods/{UID}/containers/server/5a6b7c8d /dev/termination-log rw - ext4 a rw\n"
        ),
    );
    write(
        "environ",
        "PASSWORD=x\0HOSTNAME=hub-7d9f\0KUBERNETES_SERVICE_HOST=10.0.0.1\0",
    );
    write("root/var/run/secrets/kubernetes.io/serviceaccount/namespace", "shop");
    let facts = ContainerFacts::of(&ProcDir::open_below(proc.path(), 77).unwrap()).unwrap();
    assert_eq!(
        (facts.runtime, facts.id.as_deref()),
        (Some(Runtime::Containerd), Some(ID))
    );
    let expected = Pod {
        uid: Some(UID.into()),
        name: Some("hub-7d9f".into()),
        namespace: Some("shop".into()),
        container: Some("server".into()),
    };
    assert_eq!(facts.pod, Some(expected));
}
