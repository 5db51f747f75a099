//! The namespaces that hold a cluster: network, mounts, process ids; and starting processes in
//! them.

use crate::paths::{Cache, Layout};
use crate::process::ProcessId;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Folders that are empty and private inside: what the cluster's programs leave in fixed places
/// stays in it.
pub(crate) const PRIVATE_FOLDERS: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// The first process. It reads its own id before the new `/proc` is mounted (afterwards it would be
/// 1), and it collects the processes that lose their parent. Kernel settings of the whole machine
/// are read-only inside, but those of the network, which are the namespace's own; those that the
/// kubelet insists on look to it as if they were set.
const FIRST_PROCESS: &str = r#"
set -e
read -r pid rest < /proc/self/stat
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount --bind /proc/sys/net /proc/sys/net
mount -o remount,ro,bind /proc/sys
for folder in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
mkdir -p /run/lock /run/seen
see() { echo "$2" > "/run/seen/${1##*/}"; mount --bind "/run/seen/${1##*/}" "/proc/sys/$1"; }
see vm/overcommit_memory 1
see vm/panic_on_oom 0
see kernel/panic 10
see kernel/panic_on_oops 1
see kernel/keys/root_maxkeys 1000000
see kernel/keys/root_maxbytes 25000000
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
                "the namespaces could not be made: {}",
                fs::read_to_string(layout.log("holder"))?.trim()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A command that will run in all of the cluster's namespaces.
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

/// Starts a process that outlives this one, output to its log file, and returns the process itself,
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
    let entering = ProcessId::of(starter.id())?;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(process) = entering.child() {
            return Ok(process);
        }
        if starter.try_wait()?.is_some() || Instant::now() > deadline {
            bail!("{name} did not start; its last words:\n{}", tail(layout, name));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The last lines of a process's log.
pub(crate) fn tail(layout: &Layout, name: &str) -> String {
    let bytes = fs::read(layout.log(name)).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(4000)..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
