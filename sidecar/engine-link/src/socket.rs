//! The socket that the plugin connects to.

use super::connection;
use super::foreign::OnCounted;
use super::link::EngineLink;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Connections at the same time: the one that counts, one that takes its place, and a few that end.
const MAX_CONNECTIONS: usize = 8;

/// A socket that listens.
#[derive(Debug)]
pub struct EngineSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// Why it cannot.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} cannot be listened on: give a path in a folder that exists, that this user may write to, \
     and that only sidecar and model server share",
    path.display()
)]
pub struct SocketError {
    path: PathBuf,
    source: io::Error,
}

impl EngineSocket {
    /// Listens; a socket that a former process left there gives way. Any user may connect: the
    /// model server runs as another one, and who may come at all is said by the folder.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |source| SocketError { path: path.to_owned(), source };
        if fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
            fs::remove_file(path).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, Permissions::from_mode(0o666)).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Takes connections until `stop`. `on_counted` is told how many requests passed the sidecar
    /// by, and how many messages were lost.
    pub async fn serve(
        self,
        link: Arc<EngineLink>,
        on_counted: impl Fn(u64, u64) + Send + Sync + 'static,
        stop: CancellationToken,
    ) {
        let (room, on_counted) =
            (Arc::new(Semaphore::new(MAX_CONNECTIONS)), Arc::new(OnCounted::new(on_counted)));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // No file descriptors are left: others must end first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (link, on_counted, stop) =
                (Arc::clone(&link), Arc::clone(&on_counted), stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = connection::serve(&link, stream, &on_counted) => {}
                }
                drop(permit);
            });
        }
        let _ = fs::remove_file(&self.path);
    }
}
