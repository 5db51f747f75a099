//! Paths in the project's cache, and in a cluster's folder in it.

#[cfg(test)]
mod tests;

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

/// Folders that the cluster's processes see empty: what they leave in fixed places goes away with
/// the cluster.
const PRIVATE_FOLDERS: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// The project's cache folder: `$PERSONAGUARD_CACHE`, else `$XDG_CACHE_HOME/personaguard`, else
/// `~/.cache/personaguard`.
#[derive(Clone, Debug)]
pub struct Cache(PathBuf);

impl Cache {
    /// Finds the cache folder, and creates it if it is missing.
    ///
    /// # Errors
    /// None of the variables is set, or the folder cannot be created.
    pub fn open() -> Result<Self> {
        let set =
            |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = set("PERSONAGUARD_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("personaguard")))
            .or_else(|| set("HOME").map(|folder| folder.join(".cache/personaguard")))
            .context("there is no place for the cache: set PERSONAGUARD_CACHE or HOME")?;
        let folder = std::path::absolute(folder)?;
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("creating the cache folder {}", folder.display()))?;
        Ok(Self(folder.canonicalize()?))
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path in the cache.
    #[must_use]
    pub fn join(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// The folder of built programs.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.join("bin")
    }

    /// The folder of the cluster with this name.
    ///
    /// # Errors
    /// The name is not 1 to 8 of `a-z0-9-`, the folder's path is too long for the sockets in it, or
    /// the cluster's processes could not see the folder.
    pub fn cluster(&self, name: &str) -> Result<Layout> {
        let letters =
            name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        ensure!(
            letters && (1..=8).contains(&name.len()),
            "cluster name {name:?}: use 1 to 8 of a-z, 0-9 and -"
        );
        let folder = self.join("clusters").join(name);
        // A Unix socket's path has at most 107 bytes; ours add about 50 to the folder's.
        let length = folder.as_os_str().len();
        ensure!(
            length <= 56,
            "{} is too long a path for sockets in it: set PERSONAGUARD_CACHE to a shorter one",
            folder.display()
        );
        for hidden in PRIVATE_FOLDERS {
            ensure!(
                !folder.starts_with(hidden),
                "the cluster hides {hidden} from its processes: set PERSONAGUARD_CACHE to a folder \
                 outside it"
            );
        }
        Ok(Layout { name: name.to_owned(), folder })
    }
}

/// The folder of one cluster.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Short name: `demo`.
    pub name: String,
    /// The folder, which holds everything that the cluster has on disk.
    pub folder: PathBuf,
}

impl Layout {
    /// The name of the network namespace, the node and the cgroup.
    #[must_use]
    pub fn node(&self) -> String {
        format!("pg-{}", self.name)
    }

    /// A path in the folder.
    #[must_use]
    pub fn join(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// A path in the folder, as a string.
    #[must_use]
    pub fn join_str(&self, path: &str) -> String {
        self.join(path).to_string_lossy().into_owned()
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.join("kubeconfig")
    }

    /// The API server's audit log: every write, one JSON event a line, at level `Metadata`.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.join("audit.log")
    }

    /// containerd's socket.
    #[must_use]
    pub fn containerd_socket(&self) -> PathBuf {
        self.join("containerd.sock")
    }

    /// The log of a process.
    #[must_use]
    pub fn log(&self, process: &str) -> PathBuf {
        self.join("logs").join(format!("{process}.log"))
    }
}
