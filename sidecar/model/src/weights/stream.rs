//! A file that is read once from start to end, and hashed on the way.

use crate::error::LoadError;
use crate::load::Sha256Digest;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Most bytes that are read at a time where nothing asks for them.
pub(super) const CHUNK: usize = 8 << 20;

/// A file that is being read; another thread hashes what was read.
pub(super) struct HashingReader<'a> {
    file: &'a mut File,
    position: u64,
    sender: SyncSender<Arc<Vec<u8>>>,
}

/// Has `read` read `file` from its start, and reads the rest. Returns the file's digest.
pub(super) fn read_and_hash(
    file: &mut File,
    read: impl FnOnce(&mut HashingReader<'_>) -> Result<(), LoadError>,
) -> Result<Sha256Digest, LoadError> {
    file.seek(SeekFrom::Start(0))
        .map_err(|error| LoadError::corrupt(format!("it could not be read to its end: {error}")))?;
    let (sender, receiver) = sync_channel::<Arc<Vec<u8>>>(2);
    std::thread::scope(|scope| {
        let hasher = scope.spawn(move || {
            let mut hasher = Sha256::new();
            receiver.iter().for_each(|bytes| hasher.update(bytes.as_slice()));
            hasher.finalize().into()
        });
        let mut reader = HashingReader { file, position: 0, sender };
        let result = read(&mut reader);
        // After an error nobody needs the digest, but the reader must be dropped: only then does
        // the thread end.
        let finished = result.and_then(|()| reader.finish());
        let digest =
            hasher.join().map_err(|_| LoadError::corrupt("its digest could not be computed"))?;
        finished.map(|()| digest)
    })
}

impl HashingReader<'_> {
    /// Bytes that were read.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next `length` bytes.
    pub(super) fn read(&mut self, length: usize) -> Result<Arc<Vec<u8>>, LoadError> {
        let mut bytes = vec![0; length];
        self.file.read_exact(&mut bytes).map_err(|error| {
            let what = format!("a file could not be read at byte {}: {error}", self.position);
            match error.kind() {
                std::io::ErrorKind::UnexpectedEof => LoadError::incomplete(what),
                _ => LoadError::corrupt(what),
            }
        })?;
        self.position += length as u64;
        let bytes = Arc::new(bytes);
        // Fails only if the hashing thread died, which `join` reports.
        drop(self.sender.send(bytes.clone()));
        Ok(bytes)
    }

    /// Reads on to the byte `offset`.
    pub(super) fn skip_to(&mut self, offset: u64) -> Result<(), LoadError> {
        while self.position < offset {
            let left = usize::try_from(offset - self.position).unwrap_or(CHUNK).min(CHUNK);
            self.read(left)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), LoadError> {
        let length = self.file.metadata().map_or(self.position, |metadata| metadata.len());
        self.skip_to(length)
    }
}
