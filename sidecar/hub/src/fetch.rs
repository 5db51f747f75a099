//! A fetch from start to end.

use crate::choice::{Choice, INDEX, choose, shards};
use crate::digest::ContentDigest;
use crate::download::{Job, download, other_file};
use crate::error::FetchError;
use crate::event::Event;
use crate::folder::{FileRecord, Folder, Record};
use crate::hub::Hub;
use crate::remote::{self, RemoteFile, with_names};
use crate::wanted::Wanted;
use std::path::{Path, PathBuf};

/// Room for what is recorded beside the files, in bytes.
const RECORDS: u64 = 1 << 20;

/// What is to be fetched, and where to.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// What.
    pub wanted: Wanted,
    /// Where to.
    pub folder: PathBuf,
    /// The digest that the model must have: SHA-256 of a file, or that of a folder.
    pub sha256: Option<String>,
    /// The most bytes that it may have.
    pub max_bytes: Option<u64>,
}

/// What is there after a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Path of the model.
    pub path: PathBuf,
    /// Its digest, as a `PersonaModel` has it.
    pub sha256: String,
    /// The commit, if the hub said it.
    pub commit: Option<String>,
    /// Whether all of it was there already, and nothing was asked of the network.
    pub was_there: bool,
}

impl Fetch {
    /// Fetches the model, unless it is there. What happens is told to `tell`.
    ///
    /// # Errors
    /// See [`FetchError`]. What has arrived stays, and the next fetch continues there.
    pub async fn run(
        &self,
        hub: &Hub,
        tell: &(dyn Fn(&Event) + Send + Sync),
    ) -> Result<Fetched, FetchError> {
        let folder = Folder::new(&self.folder);
        if let Some(there) = self.there(&folder) {
            return Ok(there);
        }
        folder.make()?;
        let lock = folder.lock(|| tell(&Event::Waiting)).await?;
        if !lock.holds {
            tell(&Event::Unlocked);
        }
        // Another process may have fetched it meanwhile.
        if let Some(there) = self.there(&folder) {
            return Ok(there);
        }
        if let Some(other) = folder.other(&self.wanted) {
            return Err(FetchError::Invalid(format!(
                "{} holds what was fetched of {} at {}: give another folder",
                self.folder.display(),
                other.repo,
                other.revision
            )));
        }
        let fetched = match self.wanted.file() {
            Some(file) => self.file(hub, &folder, file, tell).await,
            None => self.folder(hub, &folder, tell).await,
        };
        let record = match fetched {
            Ok(record) => record,
            Err(error) => return Err(with_names(hub, &self.wanted, error).await),
        };
        folder.set_record(&self.wanted, &record)?;
        self.check(&record)?;
        Ok(self.fetched(record, false))
    }

    /// The model, if it was fetched before. One with another digest than it should have is not it:
    /// a branch may have moved.
    fn there(&self, folder: &Folder) -> Option<Fetched> {
        let record = folder.record(&self.wanted).filter(|record| self.check(record).is_ok())?;
        Some(self.fetched(record, true))
    }

    fn fetched(&self, record: Record, was_there: bool) -> Fetched {
        let Record { sha256, commit, .. } = record;
        Fetched { path: self.wanted.path_in(&self.folder), sha256, commit, was_there }
    }

    fn check(&self, record: &Record) -> Result<(), FetchError> {
        match &self.sha256 {
            Some(expected) if *expected != record.sha256 => {
                Err(other_file(&self.wanted, &record.sha256, expected))
            }
            _ => Ok(()),
        }
    }

    async fn file(
        &self,
        hub: &Hub,
        folder: &Folder,
        file: &str,
        tell: &(dyn Fn(&Event) + Send + Sync),
    ) -> Result<Record, FetchError> {
        let remote = remote::file(hub, &self.wanted, self.wanted.revision(), file).await?;
        if let (Some(ContentDigest::Sha256(found)), Some(expected)) = (&remote.digest, &self.sha256)
            && found != expected
        {
            return Err(other_file(&self.wanted, found, expected));
        }
        self.check_room(folder, std::slice::from_ref(&remote))?;
        let commit = remote.commit.clone();
        let job = self.job(hub, folder, commit.as_deref(), tell);
        let total = remote.bytes;
        let record = download(job, remote, (0, total)).await?;
        Ok(self.record(commit, record.sha256.clone(), vec![record]))
    }

    async fn folder(
        &self,
        hub: &Hub,
        folder: &Folder,
        tell: &(dyn Fn(&Event) + Send + Sync),
    ) -> Result<Record, FetchError> {
        let listing = remote::listing(hub, &self.wanted).await?;
        let Choice { small, weights } = choose(self.wanted.repo(), &listing.names)?;
        let job = self.job(hub, folder, listing.commit.as_deref(), tell);
        let mut files = Vec::new();
        for remote in self.ask_about(hub, job.revision, &small).await? {
            files.push(download(job, remote, (0, None)).await?);
        }
        let weights = match weights {
            Some(name) => vec![name],
            None => {
                let index = folder.file(INDEX);
                let bytes =
                    std::fs::read(&index).map_err(|error| FetchError::io(&index, "read", error))?;
                shards(self.wanted.repo(), &bytes)?
            }
        };
        let weights = self.ask_about(hub, job.revision, &weights).await?;
        self.check_room(folder, &weights)?;
        let mut before: u64 = files.iter().map(|file| file.bytes).sum();
        let total = weights.iter().try_fold(before, |sum, file| Some(sum + file.bytes?));
        for remote in weights {
            let file = download(job, remote, (before, total)).await?;
            before += file.bytes;
            files.push(file);
        }
        let path = folder.path().to_owned();
        let digest = tokio::task::spawn_blocking(move || personaguard_model::digest_of(&path));
        let sha256 = digest
            .await
            .map_err(|error| FetchError::unavailable(format!("a bug: no digest: {error}")))?
            .map_err(FetchError::Model)?;
        Ok(self.record(listing.commit, sha256, files))
    }

    async fn ask_about(
        &self,
        hub: &Hub,
        revision: &str,
        names: &[String],
    ) -> Result<Vec<RemoteFile>, FetchError> {
        let mut found = Vec::new();
        for name in names {
            found.push(remote::file(hub, &self.wanted, revision, name).await?);
        }
        Ok(found)
    }

    fn job<'a>(
        &'a self,
        hub: &'a Hub,
        folder: &'a Folder,
        commit: Option<&'a str>,
        tell: &'a (dyn Fn(&Event) + Send + Sync),
    ) -> Job<'a> {
        Job {
            hub,
            wanted: &self.wanted,
            revision: commit.unwrap_or(self.wanted.revision()),
            folder,
            expected: self.sha256.as_deref().filter(|_| self.wanted.file().is_some()),
            tell,
        }
    }

    /// Whether the files fit, as far as their sizes are known and they are not there yet.
    fn check_room(&self, folder: &Folder, files: &[RemoteFile]) -> Result<(), FetchError> {
        let all: u64 = files.iter().filter_map(|file| file.bytes).sum();
        if let Some(most) = self.max_bytes.filter(|most| all.saturating_add(RECORDS) > *most) {
            return Err(FetchError::NoSpace(format!(
                "{} has {all} bytes, and its volume {most}: raise sizeLimit of source.hub",
                self.wanted
            )));
        }
        let there = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let there: u64 = files.iter().map(|file| there(&folder.file(&file.name))).sum();
        let there = there + folder.partial_bytes();
        match folder.room() {
            Some(room) if all.saturating_sub(there) > room => Err(FetchError::NoSpace(format!(
                "{} has {all} bytes, and {} has room for {room}: make room, or take a larger \
                 volume",
                self.wanted,
                self.folder.display()
            ))),
            _ => Ok(()),
        }
    }

    fn record(&self, commit: Option<String>, sha256: String, files: Vec<FileRecord>) -> Record {
        let (repo, revision) = (self.wanted.repo().to_owned(), self.wanted.revision().to_owned());
        Record { repo, revision, commit, sha256, files }
    }
}
