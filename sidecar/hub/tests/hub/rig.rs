//! A hub on this computer, and a client of it.

use personaguard_hub::{Event, Fetch, FetchError, Fetched, Hub, HubSettings, Pace, Wanted};
use personaguard_local_hub::{LocalHub, REPO, Seen, Server};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const FILE: &str = "q4/model.gguf";

/// A GGUF file as far as a fetch looks at it.
pub(crate) fn weights(seed: u8) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(
        (0..3_000_000_u32).map(|it| it.wrapping_mul(2_654_435_761).to_be_bytes()[0] ^ seed),
    );
    bytes
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    personaguard_terms::Digest::of(bytes).to_string()
}

/// A hub, and a client of it that fetches into a folder.
pub(crate) struct Rig {
    pub(crate) hub: LocalHub,
    pub(crate) settings: HubSettings,
    pub(crate) fetch: Fetch,
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) folder: TempDir,
}

impl Rig {
    pub(crate) async fn new(files: &[(&str, &[u8])], file: Option<&str>) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let hub = LocalHub::start(files).await;
        let folder = TempDir::new().unwrap();
        let quick = Duration::from_millis(20);
        let pace = Pace {
            first_wait: Duration::from_millis(1),
            longest_wait: quick,
            stall: Duration::from_millis(300),
            repetitions: 3,
            ..Pace::default()
        };
        let settings =
            HubSettings { endpoint: hub.endpoint.clone(), pace, ..HubSettings::default() };
        let fetch = Fetch {
            wanted: Wanted::new(REPO, "main", file).unwrap(),
            folder: folder.path().join("model"),
            sha256: None,
            max_bytes: None,
        };
        Self { hub, settings, fetch, events: Mutex::default(), folder }
    }

    /// With one GGUF file.
    pub(crate) async fn with_file(bytes: &[u8]) -> Self {
        Self::new(&[(FILE, bytes), ("README.md", b"hello")], Some(FILE)).await
    }

    pub(crate) async fn run(&self) -> Result<Fetched, FetchError> {
        let hub = Hub::new(self.settings.clone())?;
        let tell = |event: &Event| self.events.lock().unwrap().push(event.clone());
        self.fetch.run(&hub, &tell).await
    }

    /// The error, with its causes.
    pub(crate) async fn error(&self) -> String {
        personaguard_terms::with_causes(&self.run().await.unwrap_err())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.fetch.wanted.path_in(&self.fetch.folder)
    }

    /// Requests for the contents of the GGUF file that reached the storage.
    pub(crate) fn transfers(&self) -> Vec<Seen> {
        let seen = self.hub.seen().into_iter();
        seen.filter(|it| it.server == Server::Storage && it.method == "GET").collect()
    }
}

/// All files below a folder, but for those of the fetch's own.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.ends_with(".fetch") {
                continue;
            } else if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}
