//! The cgroup under which the kubelet keeps its pods, in version 1 and 2. Two kubelets on one machine would otherwise
//! clear away each other's pods.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// The roots of the hierarchies that the kubelet uses.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    let found: Vec<PathBuf> = parse(&mounts);
    if found.is_empty() {
        bail!("no cgroup hierarchy is mounted at /sys/fs/cgroup: the kubelet cannot run without it");
    }
    Ok(found)
}

/// Mount points of cgroup version 1 hierarchies, or of the one of version 2 where there are no others.
fn parse(mounts: &str) -> Vec<PathBuf> {
    let of_kind = |kind: &'static str| {
        mounts.lines().filter_map(move |line| {
            let mut fields = line.split(' ').skip(1);
            let (path, found) = (fields.next()?, fields.next()?);
            (found == kind && path.starts_with("/sys/fs/cgroup")).then(|| PathBuf::from(path))
        })
    };
    let first: Vec<PathBuf> = of_kind("cgroup").collect();
    if first.is_empty() { of_kind("cgroup2").collect() } else { first }
}

/// Makes the cgroup in every hierarchy.
pub(crate) fn create(name: &str) -> Result<()> {
    for root in hierarchies()? {
        let folder = root.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("making the cgroup {}", folder.display()))?;
        // Version 1: a cpuset is empty at first, and takes no process until it has cores and memory nodes.
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

/// Version 2: lets the groups below use the controllers that the kubelet needs.
fn delegate(folder: &Path) -> Result<()> {
    let file = folder.join("cgroup.subtree_control");
    let present = fs::read_to_string(&file)?;
    for controller in ["cpu", "cpuset", "memory", "pids"] {
        if !present.split_whitespace().any(|name| name == controller) {
            fs::write(&file, format!("+{controller}")).with_context(|| {
                format!(
                    "the cgroup controller {controller} cannot be enabled in {}: the kubelet needs it",
                    folder.display()
                )
            })?;
        }
    }
    Ok(())
}

/// Removes the cgroup; its processes have ended.
pub(crate) fn delete(name: &str) -> Result<()> {
    for root in hierarchies()? {
        remove(&root.join(name))?;
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    // A process that was killed leaves its cgroup a moment later.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_wins_where_both_are_mounted() {
        let both = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(parse(both), [PathBuf::from("/sys/fs/cgroup/cpu")]);
        assert_eq!(parse("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"), [PathBuf::from("/sys/fs/cgroup")]);
    }
}
