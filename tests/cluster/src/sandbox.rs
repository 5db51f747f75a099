//! The namespaces of a cluster (network, mounts, process ids), and the processes in them.

use crate::paths::{Cache, Layout};
use crate::process::ProcessId;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The first process. It reads its id before it mounts the new `/proc`, where it would be 1, and it
/// reaps orphans. Inside, the kernel settings are read-only, except for those of the network
/// namespace. Settings that the kubelet insists on are replaced by files with the right values.
const FIRST_PROCESS: &str = r#"
set -e
read -r pid rest < /proc/self/stat
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount --bind /proc/sys/net /proc/sys/net
mount -o remount,ro,bind /proc/sys
for folder in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
mkdir -p /run/lock /run/fake
fake() { echo "$2" > "/run/fake/${1##*/}"; mount --bind "/run/fake/${1##*/}" "/proc/sys/$1"; }
fake vm/overcommit_memory 1
fake vm/panic_on_oom 0
fake kernel/panic 10
fake kernel/panic_on_oops 1
fake kernel/keys/root_maxkeys 1000000
fake kernel/keys/root_maxbytes 25000000
mount --make-rshared /
echo "$pid" > "$1.new"
mv "$1.new" "$1"
while :; do sleep 86400; done
"#;

/// Starts the first process of the namespaces.
pub(crate) fn start(layout: &Layout) -> Result<ProcessId> {
    let file = layout.join("holder");
    if file.exists() {
        fs::remove_file(&file)?;
    }
    let log = File::create(layout.log("holder"))?;
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
        .args(["sh", "-c", FIRST_PROCESS, "sh"])
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
                "the namespaces could not be created: {}",
                fs::read_to_string(layout.log("holder"))?.trim()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A command that runs in all namespaces of the cluster.
pub(crate) fn command(holder: &ProcessId, cache: &Cache, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command
        .args(["-t", &holder.pid.to_string(), "--mount", "--net", "--pid", "--"])
        .arg(program)
        .env_clear()
        .env("HOME", "/run")
        .env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", cache.bin().display()));
    command
}

/// Starts a process that outlives this one and writes to its log file. Returns the process itself,
/// not `nsenter`.
pub(crate) fn spawn(
    holder: &ProcessId,
    cache: &Cache,
    layout: &Layout,
    name: &str,
    arguments: &[String],
) -> Result<ProcessId> {
    let log = File::options().create(true).append(true).open(layout.log(name))?;
    let inner = command(holder, cache, &arguments[0]);
    let mut outer = Command::new("setsid");
    outer.arg(inner.get_program()).args(inner.get_args()).args(&arguments[1..]);
    outer.env_clear().envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let mut starter = outer
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let nsenter = ProcessId::of(starter.id())?;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(process) = nsenter.child() {
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
