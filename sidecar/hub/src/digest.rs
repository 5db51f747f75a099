//! Digests by which a hub knows its files.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// A digest by which a hub knows a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContentDigest {
    /// SHA-256, of large files.
    Sha256(String),
    /// SHA-1: as the id of a blob in git, of files that lie in the repository itself; of some
    /// mirrors, as that of the bytes.
    Sha1(String),
}

impl ContentDigest {
    /// The digest that an entity tag is, if it is one. Git's can be computed only where the size is
    /// known.
    pub(crate) fn of_etag(etag: &str, size: Option<u64>) -> Option<Self> {
        let etag = etag.to_ascii_lowercase();
        let is_hex = etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        match etag.len() {
            64 if is_hex => Some(Self::Sha256(etag)),
            40 if is_hex && size.is_some() => Some(Self::Sha1(etag)),
            _ => None,
        }
    }
}

/// Computes a file's digests from its bytes.
pub(crate) struct Hasher {
    sha256: Context,
    /// Each that may be meant.
    sha1: Vec<Context>,
}

/// Digests of a whole file.
pub(crate) struct Digests {
    pub(crate) sha256: String,
    sha1: Vec<String>,
}

impl Hasher {
    /// For a file of which the hub states this digest and this size, if it does.
    pub(crate) fn new(stated: Option<&ContentDigest>, size: Option<u64>) -> Self {
        let begin = |text: String| {
            let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
            context.update(text.as_bytes());
            context
        };
        let sha1 = match (stated, size) {
            (Some(ContentDigest::Sha1(_)), Some(size)) => {
                vec![begin(format!("blob {size}\0")), begin(String::new())]
            }
            _ => Vec::new(),
        };
        Self { sha256: Context::new(&SHA256), sha1 }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha1.iter_mut().for_each(|context| context.update(bytes));
    }

    pub(crate) fn finish(self) -> Digests {
        Digests {
            sha256: hex::encode(self.sha256.finish()),
            sha1: self.sha1.into_iter().map(|context| hex::encode(context.finish())).collect(),
        }
    }
}

impl Digests {
    /// Whether the file is that of this digest.
    pub(crate) fn are(&self, expected: &ContentDigest) -> bool {
        match expected {
            ContentDigest::Sha256(digest) => *digest == self.sha256,
            ContentDigest::Sha1(digest) => self.sha1.contains(digest),
        }
    }
}

#[cfg(test)]
mod tests;
