//! The socket that the plugin connects to.

use crate::error::{Context as _, LabError, Result, bail};
use personaguard_engine_link::{EngineLink, EngineSocket, Hello};
use personaguard_terms::with_causes;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The socket, until it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    link: Arc<EngineLink>,
    path: PathBuf,
    stop: Option<DropGuard>,
    serving: JoinHandle<()>,
}

impl Connection {
    /// Listens.
    ///
    /// # Errors
    /// If another process listens there, or nobody can.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if UnixStream::connect(path).is_ok() {
            bail!(
                "another process listens at {}, a sidecar perhaps: end it, or start a vLLM for \
                 this with a socket of its own (PERSONAGUARD_SOCKET)",
                path.display()
            );
        }
        let socket =
            EngineSocket::bind(path).map_err(|error| LabError::Unusable(with_causes(&error)))?;
        let (link, stop) = (Arc::new(EngineLink::default()), CancellationToken::new());
        let serving = tokio::spawn(socket.serve(Arc::clone(&link), |_, _| {}, stop.clone()));
        Ok(Self { link, path: path.to_owned(), stop: Some(stop.drop_guard()), serving })
    }

    pub(super) fn link(&self) -> &Arc<EngineLink> {
        &self.link
    }

    /// Waits for the plugin.
    ///
    /// # Errors
    /// If it does not come.
    pub(super) async fn hello(&mut self, longest: Duration) -> Result<Arc<Hello>> {
        let path = self.path.display();
        eprintln!("Waiting for the plugin in vLLM to connect to {path} …");
        let mut states = self.link.watch();
        let come = states.wait_for(|state| state.hello.is_some());
        let come = tokio::time::timeout(longest, come).await;
        let hello = come.ok().and_then(Result::ok).and_then(|state| state.hello.clone());
        hello.with_context(|| {
            format!(
                "no plugin connected to {path} within {} seconds. Start vLLM with \
                 PERSONAGUARD_SOCKET={path} PERSONAGUARD_STATES=1 and personaguard-vllm installed, \
                 where it sees that file; its log says whether the plugin was loaded",
                longest.as_secs()
            )
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Before its connections end: it would remove the file, which can be another one's by then.
        self.serving.abort();
        drop(self.stop.take());
        let _ = std::fs::remove_file(&self.path);
    }
}
