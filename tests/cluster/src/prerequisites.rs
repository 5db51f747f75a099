//! What the cluster needs from the machine. Everything is checked before anything is changed.

use crate::progress::OnStep;
use crate::run::{capture, run};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A program, the Debian package that holds it, and what it is needed for.
struct Need {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const NEEDS: [Need; 7] = [
    Need { program: "ip", package: "iproute2", why: "makes the network namespace" },
    Need { program: "iptables", package: "iptables", why: "kube-proxy routes Services with it" },
    Need {
        program: "conntrack",
        package: "conntrack",
        why: "kube-proxy forgets old connections with it",
    },
    Need { program: "runc", package: "runc", why: "starts the containers" },
    Need {
        program: "/usr/lib/cni/bridge",
        package: "containernetworking-plugins",
        why: "connects the pods",
    },
    Need { program: "nsenter", package: "util-linux", why: "enters the namespaces" },
    Need { program: "apt-get", package: "apt", why: "installs the rest" },
];

/// Checks everything, and announces and installs missing Debian packages.
///
/// # Errors
/// Something is missing that cannot be installed. The error lists all of it, with reasons.
pub(crate) fn ensure(on_step: OnStep<'_>) -> Result<()> {
    let mut lacks = Vec::new();
    if !is_root() {
        lacks.push("root, for namespaces, mounts and cgroups (run it with sudo -E)".to_owned());
    } else {
        let missing: Vec<&Need> =
            NEEDS.iter().filter(|need| find_program(need.program).is_none()).collect();
        if missing.iter().any(|need| need.program == "apt-get") {
            lacks.extend(missing.iter().map(|need| format!("{}: {}", need.program, need.why)));
        } else if !missing.is_empty() {
            let wanted: Vec<(&str, &str)> =
                missing.iter().map(|need| (need.package, need.why)).collect();
            install_packages(&wanted, on_step)?;
        }
        lacks.extend(kernel());
    }
    if find_program("go").is_none() {
        lacks.push(
            "go 1.26 or newer: builds Kubernetes, etcd, containerd and CoreDNS (https://go.dev/dl)"
                .to_owned(),
        );
    }
    if lacks.is_empty() {
        return Ok(());
    }
    bail!(
        "the local cluster cannot run on this machine, which lacks:\n  - {}\nYou can use \
         any existing \
         cluster instead: pass --kubeconfig.",
        lacks.join("\n  - ")
    )
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}

/// Tries each kernel feature in temporary namespaces.
fn kernel() -> Vec<String> {
    let _ = Command::new("modprobe").args(["-a", "overlay", "bridge", "veth"]).output();
    let mut lacks = Vec::new();
    if !fs::read_to_string("/proc/filesystems").unwrap_or_default().contains("\toverlay\n") {
        lacks.push(
            "the overlay file system (kernel option CONFIG_OVERLAY_FS): holds the images"
                .to_owned(),
        );
    }
    let tries = [
        (
            "namespaces for network, mounts and process ids (not in an unprivileged container)",
            "true",
        ),
        (
            "veth devices (CONFIG_VETH): connect pods and host",
            "ip link add name veth0 type veth peer name veth1",
        ),
        ("bridges (CONFIG_BRIDGE): connect the pods", "ip link add name bridge0 type bridge"),
        (
            "iptables with NAT (CONFIG_NF_NAT, CONFIG_NF_TABLES): route Services",
            "iptables -w -t nat -S",
        ),
        (
            "the iptables matches comment, mark and statistic (CONFIG_NETFILTER_XT_MATCH_*): route \
             Services",
            "iptables -w -t nat -A OUTPUT -m comment --comment x -m mark --mark 1 \
             -m statistic --mode random --probability 0.5 -j MARK --or-mark 1",
        ),
    ];
    for (what, script) in tries {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--pid", "--fork", "sh", "-c", script]);
        if let Err(error) = capture(&mut command) {
            let line = error.to_string().lines().last().unwrap_or_default().to_owned();
            lacks.push(format!("{what}: {line}"));
            if script == "true" {
                break;
            }
        }
    }
    let controllers = fs::read_to_string("/proc/cgroups").unwrap_or_default();
    for controller in ["cpu", "cpuset", "memory", "pids"] {
        let enabled = |line: &str| {
            line.split_whitespace().next() == Some(controller) && line.ends_with("\t1")
        };
        let unified = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        if !controllers.lines().any(enabled)
            && !unified.split_whitespace().any(|name| name == controller)
        {
            lacks.push(format!(
                "the cgroup controller {controller}: the kubelet keeps pods apart with it"
            ));
        }
    }
    lacks
}

/// The path of a program. An absolute path is taken as it is.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    // A user's PATH may lack the folders of system administration programs.
    let folders = path.split(':').chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"]);
    folders.map(|folder| PathBuf::from(folder).join(name)).find(|path| path.is_file())
}

/// Announces and installs Debian packages, given with the reason for each.
///
/// # Errors
/// The machine has no apt, or apt fails.
pub fn install_packages(packages: &[(&str, &str)], on_step: OnStep<'_>) -> Result<()> {
    let reasons: Vec<String> =
        packages.iter().map(|(package, why)| format!("{package} ({why})")).collect();
    on_step(&format!("installing Debian packages: {}", reasons.join(", ")));
    let names: Vec<&str> = packages.iter().map(|(package, _)| *package).collect();
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let install = [&["install", "-y", "--no-install-recommends"], names.as_slice()].concat();
    if apt(&install).is_err() {
        apt(&["update"])?;
        apt(&install).with_context(|| {
            format!("install them yourself: apt-get install {}", names.join(" "))
        })?;
    }
    Ok(())
}
