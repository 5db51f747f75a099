//! The cgroup that holds the kubelet's pods, in versions 1 and 2. In a shared cgroup, two kubelets
//! on one machine would delete each other's pods.

#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// The mount points of cgroup hierarchies of one version, `cgroup` or `cgroup2`.
fn mounted(mounts: &str, version: &str) -> Vec<PathBuf> {
    let found = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        (kind == version && path.starts_with("/sys/fs/cgroup")).then(|| PathBuf::from(path))
    });
    found.collect()
}

/// The hierarchies that the kubelet uses: those of version 1 if there are any, otherwise the one of
/// version 2.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    let first = mounted(&mounts, "cgroup");
    let used = if first.is_empty() { mounted(&mounts, "cgroup2") } else { first };
    if used.is_empty() {
        bail!(
            "no cgroup hierarchy is mounted at /sys/fs/cgroup: the kubelet cannot run without it"
        );
    }
    Ok(used)
}

/// Creates the cgroup in every hierarchy.
pub(crate) fn create(name: &str) -> Result<()> {
    for root in hierarchies()? {
        let folder = root.join(name);
        fs::create_dir_all(&folder)
            .with_context(|| format!("creating the cgroup {}", folder.display()))?;
        // Version 1: a new cpuset is empty, and accepts no process until it has cores and memory
        // nodes.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if root.join("cgroup.controllers").exists() || !root.join(file).exists() {
                continue;
            }
            fs::write(folder.join(file), fs::read(root.join(file))?)?;
        }
        if root.join("cgroup.controllers").exists() {
            delegate(&root)?;
            delegate(&folder)?;
        }
    }
    Ok(())
}

/// Version 2: enables the controllers that the kubelet needs for the groups below.
fn delegate(folder: &Path) -> Result<()> {
    let file = folder.join("cgroup.subtree_control");
    let present = fs::read_to_string(&file)?;
    for controller in ["cpu", "cpuset", "memory", "pids"] {
        if !present.split_whitespace().any(|name| name == controller) {
            fs::write(&file, format!("+{controller}")).with_context(|| {
                format!(
                    "the kubelet needs the cgroup controller {controller}, which cannot be enabled \
                     in {}",
                    folder.display()
                )
            })?;
        }
    }
    Ok(())
}

/// Removes the cgroup, whose processes have ended.
pub(crate) fn delete(name: &str) -> Result<()> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    // Where both versions are mounted, runc creates the cgroup in the unused one too.
    let roots = [mounted(&mounts, "cgroup"), mounted(&mounts, "cgroup2")].concat();
    roots.iter().try_for_each(|root| remove(&root.join(name)))
}

fn remove(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    // A killed process leaves its cgroup only after a moment.
    let mut tries = 0;
    while let Err(error) = fs::remove_dir(folder) {
        tries += 1;
        if tries > 100 {
            return Err(error).with_context(|| format!("removing the cgroup {}", folder.display()));
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Ok(())
}
