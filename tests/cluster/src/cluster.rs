//! The cluster: bringing it up, using it, taking it down.

use crate::components::{self, Component};
use crate::image::{self, Image, ImageFile};
use crate::network::{self, Addresses};
use crate::paths::{Cache, Layout};
use crate::process::ProcessId;
use crate::progress::OnStep;
use crate::run::{capture, run};
use crate::state::State;
use crate::{certificates, cgroup, config, prerequisites, programs, sandbox};
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a process may take to become ready: the machine may be busy building.
const READY_TIMEOUT: Duration = Duration::from_secs(300);

/// A local cluster that is up.
#[derive(Debug)]
pub struct Cluster {
    cache: Cache,
    layout: Layout,
    state: State,
}

/// The state of a cluster, as found without changing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// There is no cluster of that name.
    Absent,
    /// What a killed command left; the next `up` or `down` clears it.
    Leftovers,
    /// It is running, perhaps without some of its processes.
    Running {
        /// Names of processes that have ended; `up` starts them again.
        ended: Vec<String>,
    },
}

impl Cluster {
    /// Brings the cluster up, or restarts those of its processes that have ended. Idempotent.
    ///
    /// # Errors
    /// The machine lacks something (the error lists everything it lacks), or a process does not
    /// become ready (the error shows the end of its log).
    pub fn up(cache: &Cache, name: &str, on_step: OnStep<'_>) -> Result<Self> {
        let layout = cache.cluster(name)?;
        prerequisites::ensure(on_step)?;
        programs::ensure_programs(cache, on_step)?;
        let pause = programs::ensure_pause(cache)?;
        let _lock = lock(cache, name)?;
        let state = match State::read(&layout) {
            Some(state) if state.complete && state.init.as_ref().is_some_and(ProcessId::alive) => {
                state
            }
            found => {
                if found.is_some() || layout.folder.exists() {
                    on_step("removing what an earlier run left");
                    clear(&layout)?;
                }
                prepare(&layout, cache, name)?
            }
        };
        let mut cluster = Self { cache: cache.clone(), layout, state };
        cluster.start(&pause, on_step)?;
        Ok(cluster)
    }

    /// A cluster that is already up.
    ///
    /// # Errors
    /// The cluster is not up.
    pub fn open(cache: &Cache, name: &str) -> Result<Self> {
        let layout = cache.cluster(name)?;
        match State::read(&layout) {
            Some(state) if state.complete && state.init.as_ref().is_some_and(ProcessId::alive) => {
                Ok(Self { cache: cache.clone(), layout, state })
            }
            _ => bail!(
                "cluster {name} is not up: start it with `cargo xtask cluster up --name {name}`"
            ),
        }
    }

    /// Takes the cluster down and removes every trace of it. Does nothing if there is no cluster.
    ///
    /// # Errors
    /// Part of it cannot be removed.
    pub fn down(cache: &Cache, name: &str) -> Result<()> {
        let layout = cache.cluster(name)?;
        let lock = lock(cache, name)?;
        clear(&layout)?;
        drop(lock);
        let _ = fs::remove_file(cache.join("clusters").join(format!("{name}.lock")));
        // Fails, as it should, while there are other clusters.
        let _ = fs::remove_dir(cache.join("clusters"));
        Ok(())
    }

    /// The state of a cluster. Changes nothing.
    ///
    /// # Errors
    /// The name is not valid.
    pub fn status(cache: &Cache, name: &str) -> Result<Status> {
        let layout = cache.cluster(name)?;
        Ok(match State::read(&layout) {
            Some(state) if state.complete && state.init.as_ref().is_some_and(ProcessId::alive) => {
                let ended = state.processes.iter().filter(|(_, process)| !process.alive());
                Status::Running { ended: ended.map(|(name, _)| name.clone()).collect() }
            }
            None if !layout.folder.exists() => Status::Absent,
            _ => Status::Leftovers,
        })
    }

    /// The paths of its files.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.layout.kubeconfig()
    }

    /// The address of the node, the API server and the cluster's DNS, reachable from the host.
    #[must_use]
    pub fn node_address(&self) -> Ipv4Addr {
        self.state.addresses.node
    }

    /// `kubectl` with the administrator's kubeconfig.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(self.cache.bin().join("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig());
        command
    }

    /// A command that runs in the cluster's network namespace and otherwise on the host, for
    /// clients that connect to pods and Services by IP address.
    #[must_use]
    pub fn nsenter_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.layout.node())).arg("--").arg(program);
        command
    }

    /// A command that runs in all of the cluster's namespaces, as its own processes do. There,
    /// process ids are those that containerd reports, and `kill` reaches containers.
    #[must_use]
    pub fn node_command(&self, program: impl AsRef<OsStr>) -> Command {
        match &self.state.init {
            Some(init) => sandbox::command(init, &self.cache, program),
            // Cannot happen: `up` and `open` both ensure that there is one.
            None => Command::new("false"),
        }
    }

    /// `ctr` for the node's containerd, in the containerd namespace that the kubelet uses.
    #[must_use]
    pub fn ctr(&self) -> Command {
        let mut command = self.node_command(self.cache.bin().join("ctr"));
        command.arg("-a").arg(self.layout.containerd_socket()).args(["-n", "k8s.io"]);
        command
    }

    /// Builds an image and imports it into the node unless the node already has it. Returns whether
    /// it was imported.
    ///
    /// # Errors
    /// One of its files cannot be read, or containerd refuses it.
    pub fn import(&mut self, image: &Image) -> Result<bool> {
        let archive = self.layout.join("import.tar");
        let digest = image.write(&archive)?;
        let known = self.state.images.get(&image.reference) == Some(&digest);
        if !known {
            run(self.ctr().args(["images", "import"]).arg(&archive))
                .with_context(|| format!("importing {}", image.reference))?;
            self.state.images.insert(image.reference.clone(), digest);
            self.state.write(&self.layout)?;
        }
        fs::remove_file(archive)?;
        Ok(!known)
    }

    /// Builds an image that holds only these files, and imports it.
    ///
    /// # Errors
    /// containerd refuses the image.
    pub fn import_files(&mut self, reference: &str, files: &[(&str, &[u8])]) -> Result<()> {
        let mut image = Image::new(reference);
        for (path, bytes) in files {
            image.add(path, ImageFile::Bytes(bytes.to_vec()));
        }
        self.import(&image).map(drop)
    }

    /// The SHA-256 of an imported image's archive.
    #[must_use]
    pub fn image_digest(&self, reference: &str) -> Option<&str> {
        self.state.images.get(reference).map(String::as_str)
    }

    /// Starts a named process in the cluster's namespaces unless it is already running. It ends
    /// with the cluster. Its output goes to `logs/NAME.log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&mut self, name: &str, arguments: &[String]) -> Result<()> {
        if self.state.processes.get(name).is_some_and(ProcessId::alive) {
            return Ok(());
        }
        let init = self.state.init.as_ref().context("the cluster is not up")?;
        let process = sandbox::spawn(init, &self.cache, &self.layout, name, arguments)?;
        self.state.processes.insert(name.to_owned(), process);
        self.state.write(&self.layout)
    }

    /// Kills a process that [`Self::spawn`] or [`Self::up`] started, by its recorded id.
    ///
    /// # Errors
    /// It does not end.
    pub fn kill(&mut self, name: &str) -> Result<()> {
        if let Some(process) = self.state.processes.remove(name) {
            process.kill()?;
        }
        self.state.write(&self.layout)
    }

    /// Waits until `check` succeeds. Fails if the named process ends first.
    pub(crate) fn wait(
        &self,
        process: &str,
        what: &str,
        mut check: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let Err(error) = check() else { return Ok(()) };
            let ended = self.state.processes.get(process).is_some_and(|process| !process.alive());
            if ended || Instant::now() > deadline {
                let state = if ended { "has ended" } else { "is not ready" };
                let log = sandbox::log_tail(&self.layout, process);
                bail!("{what}: {process} {state} ({error:#}); the end of its log:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn start(&mut self, pause: &std::path::Path, on_step: OnStep<'_>) -> Result<()> {
        if self.state.init.is_none() {
            self.state.init = Some(sandbox::start(&self.layout)?);
            self.state.write(&self.layout)?;
        }
        let addresses = self.state.addresses;
        on_step("starting etcd and the API server");
        self.spawn_all(&components::api(&self.layout, addresses))?;
        self.wait("apiserver", "the API server", || {
            run(self.kubectl().args(["get", "--raw", "/readyz", "--request-timeout=5s"]))
        })?;
        let rbac = self.layout.join("config/rbac.yaml");
        run(self.kubectl().args(["apply", "--server-side", "--force-conflicts", "-f"]).arg(rbac))?;
        on_step("starting containerd, kubelet, kube-proxy, scheduler, controllers and DNS");
        let rest = components::rest(&self.layout, addresses);
        let (first, others) = rest.split_at(1);
        self.spawn_all(first)?;
        self.wait("containerd", "the container runtime", || run(self.ctr().args(["version"])))?;
        self.import(&image::pause(pause))?;
        self.spawn_all(others)?;
        on_step("waiting for the node");
        self.wait("kubelet", "the node", || {
            let ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
            let status =
                capture(self.kubectl().args(["get", "node", &self.layout.node(), "-o", ready]))?;
            anyhow::ensure!(status == "True", "its condition Ready is {status:?}");
            Ok(())
        })?;
        // Pods created before it exists are refused.
        self.wait("controller-manager", "the default service account", || {
            run(self.kubectl().args(["get", "serviceaccount", "default"]))
        })?;
        self.state.complete = true;
        self.state.write(&self.layout)
    }

    fn spawn_all(&mut self, components: &[Component]) -> Result<()> {
        components.iter().try_for_each(|component| self.spawn(component.name, &component.arguments))
    }
}

/// Creates a new cluster's folder, files, network and cgroup. The state file is written first, so
/// that the next run finds whatever this one leaves half done.
fn prepare(layout: &Layout, cache: &Cache, name: &str) -> Result<State> {
    let netns = layout.node();
    if network::exists(&netns) {
        bail!(
            "the network namespace {netns} exists already, and this cluster did not make it: \
             choose another name, or delete it with `ip netns del {netns}`"
        );
    }
    let state = State::new(Addresses::free(name)?);
    for folder in ["logs", "config/cni"] {
        fs::create_dir_all(layout.join(folder))?;
    }
    state.write(layout)?;
    certificates::write(layout, state.addresses)?;
    for (path, content) in config::files(cache, layout, state.addresses) {
        fs::write(layout.join(path), content)?;
    }
    network::create(layout, state.addresses)?;
    cgroup::create(&netns)?;
    Ok(state)
}

/// Removes everything of a cluster, complete or not. The folder goes last: while it exists, the
/// rest is known to be ours.
fn clear(layout: &Layout) -> Result<()> {
    if !layout.folder.exists() {
        return Ok(());
    }
    if let Some(State { init: Some(init), .. }) = State::read(layout) {
        init.kill()?;
    }
    // Whatever else runs in the network namespace, such as a first process whose id had not been
    // recorded yet.
    let netns = layout.node();
    for pid in network::processes(&netns) {
        if let Ok(process) = ProcessId::of(pid) {
            process.kill()?;
        }
    }
    network::delete(layout)?;
    cgroup::delete(&netns)?;
    fs::remove_dir_all(&layout.folder)
        .with_context(|| format!("removing {}", layout.folder.display()))
}

/// Allows one command at a time for each cluster.
fn lock(cache: &Cache, name: &str) -> Result<File> {
    let folder = cache.join("clusters");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.lock"));
    let file = File::create(&path)?;
    file.lock().with_context(|| {
        format!("waiting for another command on cluster {name} ({})", path.display())
    })?;
    Ok(file)
}
