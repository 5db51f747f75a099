//! What the cluster needs from the machine. It is checked before anything is changed.

use crate::progress::Say;
use crate::run::{capture, run};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A program of the machine, its Debian package, and its purpose.
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

/// Checks everything, and installs missing Debian packages.
///
/// # Errors
/// Something is missing that cannot be installed. The error lists everything, with the reasons.
pub(crate) fn ensure(say: Say<'_>) -> Result<()> {
    let mut problems = Vec::new();
    if !is_root() {
        problems
            .push("root: namespaces, mounts and cgroups need it (run it with sudo -E)".to_owned());
    } else {
        let missing: Vec<&Need> =
            NEEDS.iter().filter(|need| program_of(need.program).is_none()).collect();
        if missing.iter().any(|need| need.program == "apt-get") {
            problems.extend(missing.iter().map(|need| format!("{}: {}", need.program, need.why)));
        } else if !missing.is_empty() {
            let wanted: Vec<(&str, &str)> =
                missing.iter().map(|need| (need.package, need.why)).collect();
            install_packages(&wanted, say)?;
        }
        problems.extend(kernel());
    }
    if program_of("go").is_none() {
        problems.push(
            "go 1.26 or newer: builds Kubernetes, etcd, containerd and CoreDNS (https://go.dev/dl)"
                .to_owned(),
        );
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!(
        "the local cluster cannot run on this machine, which lacks:\n  - {}\n\
         Use an existing cluster instead: pass --kubeconfig.",
        problems.join("\n  - ")
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
    let mut problems = Vec::new();
    if !fs::read_to_string("/proc/filesystems").unwrap_or_default().contains("\toverlay\n") {
        problems.push(
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
            "iptables -w -t nat -A OUTPUT -m comment --comment x -m mark --mark 1 -m statistic \
             --mode random --probability 0.5 -j MARK --or-mark 1",
        ),
    ];
    for (what, script) in tries {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--pid", "--fork", "sh", "-c", script]);
        if let Err(error) = capture(&mut command) {
            let line = error.to_string().lines().last().unwrap_or_default().to_owned();
            problems.push(format!("{what}: {line}"));
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
            problems.push(format!(
                "the cgroup controller {controller}: the kubelet keeps pods apart with it"
            ));
        }
    }
    problems
}

/// The path of a program. An absolute path is only checked.
#[must_use]
pub fn program_of(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    // A user's PATH may lack the folders for administration programs.
    let folders = path.split(':').chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"]);
    folders.map(|folder| PathBuf::from(folder).join(name)).find(|path| path.is_file())
}

/// Installs Debian packages, given with the reason for each.
///
/// # Errors
/// This is not Debian, or apt fails.
pub fn install_packages(packages: &[(&str, &str)], say: Say<'_>) -> Result<()> {
    let reasons: Vec<String> =
        packages.iter().map(|(package, why)| format!("{package} ({why})")).collect();
    say(&format!("installing Debian packages: {}", reasons.join(", ")));
    let names: Vec<&str> = packages.iter().map(|(package, _)| *package).collect();
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let install = [&["install", "-y", "--no-install-recommends"], names.as_slice()].concat();
    if apt(&install).is_err() {
        apt(&["update"])?;
        apt(&install)
            .with_context(|| format!("install them with: apt-get install {}", names.join(" ")))?;
    }
    Ok(())
}
