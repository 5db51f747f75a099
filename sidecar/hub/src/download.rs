//! Fetching one file: resumed where it broke off, checked, and then put in its place.

use crate::digest::Hasher;
use crate::error::FetchError;
use crate::event::Event;
use crate::folder::{FileRecord, Folder};
use crate::hub::{Hub, Reach, failed, host};
use crate::remote::{self, RemoteFile, asked_wait};
use crate::wanted::Wanted;
use personaguard_model::foreign_file;
use personaguard_terms::Digest;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::PathBuf;

/// Largest file that is read whole when the model is loaded, in bytes.
const MAX_SMALL: u64 = 256 << 20;
/// Bytes that are read at a time, and by which a repetition counts as one that brought something.
const CHUNK: usize = 1 << 20;
/// How much of a file shows what it is.
const START: usize = 512;

/// What all files of a fetch have in common.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) hub: &'a Hub,
    pub(crate) wanted: &'a Wanted,
    /// The commit, or else the revision as it was given.
    pub(crate) revision: &'a str,
    pub(crate) folder: &'a Folder,
    /// The model's digest, if it is that of the file.
    pub(crate) expected: Option<&'a str>,
    pub(crate) tell: &'a (dyn Fn(&Event) + Send + Sync),
}

/// A file that is not whole yet.
struct Part<'a> {
    job: Job<'a>,
    remote: RemoteFile,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    done: u64,
}

/// Fetches a file. `before` are the bytes of those before it, `total` those of all files.
pub(crate) async fn download(
    job: Job<'_>,
    remote: RemoteFile,
    (before, total): (u64, Option<u64>),
) -> Result<FileRecord, FetchError> {
    if let Some(record) = present(job, &remote)? {
        return Ok(record);
    }
    let mut part = Part::open(job, remote)?;
    if part.done > 0 {
        (job.tell)(&Event::Resumed { file: part.remote.name.clone(), done: part.done });
    }
    let mut waits = job.hub.pace().waits();
    let mut damaged = false;
    loop {
        let began = part.done;
        let error = match part.fetch(before, total).await {
            Ok(()) => match part.finish()? {
                Ok(record) => return Ok(record),
                Err(error) if damaged => return Err(error),
                Err(error) => {
                    damaged = true;
                    FetchError::unavailable(error.to_string())
                }
            },
            Err(error) if error.is_transient() => error,
            Err(error) => return Err(error),
        };
        if part.done >= began.saturating_add(CHUNK as u64) {
            waits = job.hub.pace().waits();
        }
        let Some(wait) = waits.next() else { return Err(error) };
        let wait = asked_wait(job.hub, &error).max(wait);
        (job.tell)(&Event::Retrying { why: personaguard_terms::with_causes(&error), wait });
        tokio::time::sleep(wait).await;
        let name = part.remote.name.clone();
        let now = remote::file(job.hub, job.wanted, job.revision, &name).await?;
        if damaged || now.etag != part.remote.etag || now.bytes != part.remote.bytes {
            part = part.anew(now)?;
        }
    }
}

/// The file, if it is there already, and is what the hub has.
fn present(job: Job<'_>, remote: &RemoteFile) -> Result<Option<FileRecord>, FetchError> {
    let path = job.folder.file(&remote.name);
    let Ok(mut file) = File::open(&path) else { return Ok(None) };
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    if remote.bytes.is_some_and(|expected| expected != bytes) {
        return Ok(None);
    }
    let mut hasher = Hasher::new(remote.digest.as_ref(), Some(bytes));
    hash(&mut file, &mut hasher).map_err(|error| FetchError::io(&path, "read", error))?;
    let digests = hasher.finish();
    let is_it = match (&remote.digest, job.expected) {
        (Some(digest), _) => digests.are(digest),
        (None, Some(expected)) => digests.sha256 == expected,
        (None, None) => false,
    };
    let name = remote.name.clone();
    Ok(is_it.then_some(FileRecord { name, bytes, sha256: digests.sha256 }))
}

fn hash(file: &mut File, hasher: &mut Hasher) -> std::io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(total),
            read => {
                hasher.update(&buffer[..read]);
                total += read as u64;
            }
        }
    }
}

impl<'a> Part<'a> {
    /// What an earlier process fetched of this version of the file, or nothing.
    fn open(job: Job<'a>, remote: RemoteFile) -> Result<Self, FetchError> {
        if let Some(bytes) =
            remote.bytes.filter(|bytes| is_small(&remote.name) && *bytes > MAX_SMALL)
        {
            return Err(FetchError::Unusable(format!(
                "{} has {bytes} bytes, and no model's has more than 256 MiB",
                remote.name
            )));
        }
        // Without a tag nobody knows of which version a part is.
        let version = remote.etag.as_ref().map(|etag| {
            let version = format!("{etag} {:?}", remote.bytes);
            Digest::of(version.as_bytes()).short().to_owned()
        });
        let resumes = version.is_some();
        let path = job.folder.partial(&remote.name, version.as_deref().unwrap_or("any"));
        job.folder.remove_other_parts(&remote.name, &path);
        let io = |error| FetchError::io(&path, "written", error);
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(!resumes)
            .open(&path)
            .map_err(io)?;
        let mut hasher = Hasher::new(remote.digest.as_ref(), remote.bytes);
        let mut done = hash(&mut file, &mut hasher).map_err(io)?;
        if remote.bytes.is_some_and(|bytes| done > bytes) {
            file.set_len(0).and_then(|()| file.rewind()).map_err(io)?;
            hasher = Hasher::new(remote.digest.as_ref(), remote.bytes);
            done = 0;
        }
        Ok(Self { job, remote, path, file, hasher, done })
    }

    /// Of another version, or of the same from its beginning.
    fn anew(self, remote: RemoteFile) -> Result<Self, FetchError> {
        let Self { job, path, file, .. } = self;
        drop(file);
        std::fs::remove_file(&path).map_err(|error| FetchError::io(&path, "removed", error))?;
        Self::open(job, remote)
    }

    fn restart(&mut self) -> Result<(), FetchError> {
        let reset = self.file.set_len(0).and_then(|()| self.file.rewind());
        reset.map_err(|error| FetchError::io(&self.path, "written", error))?;
        self.hasher = Hasher::new(self.remote.digest.as_ref(), self.remote.bytes);
        self.done = 0;
        Ok(())
    }

    /// Fetches what is missing, in one request.
    async fn fetch(&mut self, before: u64, total: Option<u64>) -> Result<(), FetchError> {
        if self.remote.bytes == Some(self.done) {
            return Ok(());
        }
        let Job { hub, wanted, revision, .. } = self.job;
        let url = hub.file_url(wanted, revision, &self.remote.name);
        let ask = (Method::GET, url);
        let mut response = hub.ask(ask, &self.range(), Reach::Anywhere, wanted).await?;
        self.begin(&response)?;
        let host = host(response.url());
        let broken = |error| failed(&format!("{host} broke off"), error);
        let mut start = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if self.done < START as u64 {
                start.extend_from_slice(&chunk[..chunk.len().min(START)]);
            }
            if start.len() >= START {
                self.check_start(&std::mem::take(&mut start), &host)?;
            }
            self.write(&chunk)?;
            (self.job.tell)(&Event::Progress { done: before + self.done, total });
        }
        self.check_start(&start, &host)?;
        match self.remote.bytes {
            Some(bytes) if self.done < bytes => Err(FetchError::unavailable(format!(
                "{host} ended {} after {} of {bytes} bytes",
                self.remote.name, self.done
            ))),
            _ => Ok(()),
        }
    }

    /// Asks for what is missing. The hub itself is told of which version; another server has tags
    /// of its own.
    fn range(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.done > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={}-", self.done))
        {
            headers.insert(RANGE, range);
            headers.extend(self.remote.own_etag.clone().map(|etag| (IF_RANGE, etag)));
        }
        headers
    }

    /// Makes sure that what follows continues what is there.
    fn begin(&mut self, response: &Response) -> Result<(), FetchError> {
        let header = |name| response.headers().get(name).and_then(|it| it.to_str().ok());
        let host = host(response.url());
        let restart = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let continues = header(CONTENT_RANGE).and_then(range_of).is_some_and(|range| {
                    let (first, total) = range;
                    first == self.done && (total.is_none() || total == self.remote.bytes)
                });
                if !continues {
                    self.restart()?;
                    return Err(FetchError::unavailable(format!(
                        "{host} gives another range than it was asked for"
                    )));
                }
                return Ok(());
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                self.restart()?;
                return Err(FetchError::unavailable(format!("{host} does not have the range")));
            }
            // It knows no ranges, or has another version.
            _ => self.done > 0,
        };
        if restart {
            self.restart()?;
        }
        let length = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        if let (Some(length), Some(bytes)) = (length, self.remote.bytes)
            && length != bytes
        {
            return Err(FetchError::unavailable(format!(
                "{host} gives {length} bytes for {}, and the hub says that it has {bytes}",
                self.remote.name
            )));
        }
        Ok(())
    }

    /// Makes sure that the file is what its name says.
    fn check_start(&self, start: &[u8], host: &str) -> Result<(), FetchError> {
        if start.is_empty() {
            return Ok(());
        }
        let name = &self.remote.name;
        let unusable =
            |what: &str| Err(FetchError::Unusable(format!("{name}, as {host} gives it, {what}")));
        match foreign_file(start) {
            Some(what) => unusable(what),
            None if self.job.wanted.file().is_some() && !start.starts_with(b"GGUF") => {
                unusable("is not a GGUF file: take another")
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, chunk: &[u8]) -> Result<(), FetchError> {
        let after = self.done + chunk.len() as u64;
        let most = match self.remote.bytes {
            Some(bytes) => bytes,
            None if is_small(&self.remote.name) => MAX_SMALL,
            None => u64::MAX,
        };
        if after > most {
            self.restart()?;
            return Err(FetchError::unavailable(format!(
                "{} goes on past the {most} bytes that it may have",
                self.remote.name
            )));
        }
        self.file.write_all(chunk).map_err(|error| FetchError::io(&self.path, "written", error))?;
        self.hasher.update(chunk);
        self.done = after;
        Ok(())
    }

    /// Checks the whole file, and puts it in its place. The inner error: it was damaged on the way.
    fn finish(&mut self) -> Result<Result<FileRecord, FetchError>, FetchError> {
        let fresh = Hasher::new(self.remote.digest.as_ref(), self.remote.bytes);
        let digests = std::mem::replace(&mut self.hasher, fresh).finish();
        let name = self.remote.name.clone();
        if self.remote.digest.as_ref().is_some_and(|digest| !digests.are(digest)) {
            return Ok(Err(FetchError::Digest(format!(
                "{name} arrived with SHA-256 {}, which is not what the hub says of it: look for a \
                 proxy that changes files",
                digests.sha256
            ))));
        }
        if let Some(expected) = self.job.expected
            && digests.sha256 != expected
        {
            // Of no use to a later attempt, either.
            let _ = std::fs::remove_file(&self.path);
            return Err(other_file(self.job.wanted, &digests.sha256, expected));
        }
        self.file.sync_all().map_err(|error| FetchError::io(&self.path, "written", error))?;
        self.job.folder.place(&self.path, &name)?;
        Ok(Ok(FileRecord { name, bytes: self.done, sha256: digests.sha256 }))
    }
}

/// The error of a model with another digest than it should have.
pub(crate) fn other_file(wanted: &Wanted, found: &str, expected: &str) -> FetchError {
    FetchError::Digest(format!(
        "{wanted} has SHA-256 {found}, expected {expected}: correct the digest if this is what was \
         meant, or else repository, revision or file"
    ))
}

/// Whether a file is read whole when the model is loaded.
fn is_small(name: &str) -> bool {
    !name.ends_with(".safetensors") && !name.to_ascii_lowercase().ends_with(".gguf")
}

/// The first byte, and the number of all, of `bytes 5-9/10` or `bytes 5-9/*`.
fn range_of(header: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, total.trim().parse().ok()))
}
