//! The namespaces that hold a cluster (network, mount, PID), and starting processes in them.

use crate::paths::{Cache, Layout};
use crate::process::ProcessId;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The first process of the namespaces. It reads its own id before it mounts the new `/proc`, where
/// the id would be 1, and it reaps orphans. Inside, the kernel settings of the whole machine are
/// read-only, except those of the network, which belong to the namespace. Files with the values
/// that the kubelet insists on are mounted over the settings that it checks.
const INIT: &str = r#"
set -e
read -r pid rest < /proc/self/stat
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount --bind /proc/sys/net /proc/sys/net
mount -o remount,ro,bind /proc/sys
for folder in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
mkdir -p /run/lock /run/sysctl
pretend() {
    echo "$2" > "/run/sysctl/${1##*/}"
    mount --bind "/run/sysctl/${1##*/}" "/proc/sys/$1"
}
pretend vm/overcommit_memory 1
pretend vm/panic_on_oom 0
pretend kernel/panic 10
pretend kernel/panic_on_oops 1
pretend kernel/keys/root_maxkeys 1000000
pretend kernel/keys/root_maxbytes 25000000
mount --make-rshared /
echo "$pid" > "$1.new"
mv "$1.new" "$1"
while :; do sleep 86400; done
"#;

/// Starts the first process of the namespaces.
pub(crate) fn start(layout: &Layout) -> Result<ProcessId> {
    let file = layout.join("init");
    if file.exists() {
        fs::remove_file(&file)?;
    }
    let log = File::create(layout.log("init"))?;
    let mut starter = Command::new("setsid")
        .args(["nsenter", &format!("--net=/run/netns/{}", layout.node())])
        .args([
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
            "--",
        ])
        .args(["sh", "-c", INIT, "sh"])
        .arg(&file)
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("starting the cluster's first process (packages util-linux and dash)")?;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(pid) = fs::read_to_string(&file) {
            return ProcessId::of(pid.trim().parse().context("the first process wrote no id")?);
        }
        if starter.try_wait()?.is_some() || Instant::now() > deadline {
            bail!(
                "the namespaces cannot be created: {}",
                fs::read_to_string(layout.log("init"))?.trim()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A command that runs in all of the cluster's namespaces.
pub(crate) fn command(init: &ProcessId, cache: &Cache, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command
        .args(["-t", &init.pid.to_string(), "--mount", "--net", "--pid", "--"])
        .arg(program)
        .env_clear()
        .env("HOME", "/run")
        .env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", cache.bin().display()));
    command
}

/// Starts a process that outlives this one, with its output in its log file. Returns the process
/// itself, not the `nsenter` that starts it.
pub(crate) fn spawn(
    init: &ProcessId,
    cache: &Cache,
    layout: &Layout,
    name: &str,
    arguments: &[String],
) -> Result<ProcessId> {
    let log = File::options().create(true).append(true).open(layout.log(name))?;
    let inner = command(init, cache, &arguments[0]);
    let mut outer = Command::new("setsid");
    outer.arg(inner.get_program()).args(inner.get_args()).args(&arguments[1..]);
    outer.env_clear().envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let mut starter = outer
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let entering = ProcessId::of(starter.id())?;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(process) = entering.child() {
            return Ok(process);
        }
        if starter.try_wait()?.is_some() || Instant::now() > deadline {
            bail!("{name} did not start; the end of its log:\n{}", log_tail(layout, name));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The last lines of a process's log.
pub(crate) fn log_tail(layout: &Layout, name: &str) -> String {
    let bytes = fs::read(layout.log(name)).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(4000)..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
