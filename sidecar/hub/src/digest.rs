//! Digests by which a hub knows its files.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// A digest by which a hub knows a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContentDigest {
    /// SHA-256, of large files.
    Sha256(String),
    /// The id of a blob in git, of files that lie in the repository itself.
    GitBlob(String),
}

impl ContentDigest {
    /// The digest that an entity tag is, if it is one.
    pub(crate) fn of_etag(etag: &str) -> Option<Self> {
        let etag = etag.to_ascii_lowercase();
        let is_hex = etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        match etag.len() {
            64 if is_hex => Some(Self::Sha256(etag)),
            40 if is_hex => Some(Self::GitBlob(etag)),
            _ => None,
        }
    }
}

/// Computes a file's digests from its bytes.
pub(crate) struct Hasher {
    sha256: Context,
    git_blob: Option<Context>,
}

/// Digests of a whole file.
pub(crate) struct Digests {
    pub(crate) sha256: String,
    git_blob: Option<String>,
}

impl Hasher {
    /// For a file of which the hub states this digest and this size, if it does.
    pub(crate) fn new(stated: Option<&ContentDigest>, size: Option<u64>) -> Self {
        let is_blob = matches!(stated, Some(ContentDigest::GitBlob(_)));
        let git_blob = size.filter(|_| is_blob).map(|size| {
            let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
            context.update(format!("blob {size}\0").as_bytes());
            context
        });
        Self { sha256: Context::new(&SHA256), git_blob }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(context) = &mut self.git_blob {
            context.update(bytes);
        }
    }

    pub(crate) fn finish(self) -> Digests {
        Digests {
            sha256: hex::encode(self.sha256.finish()),
            git_blob: self.git_blob.map(|context| hex::encode(context.finish())),
        }
    }
}

impl Digests {
    /// Whether the file is that of this digest.
    pub(crate) fn are(&self, expected: &ContentDigest) -> bool {
        match expected {
            ContentDigest::Sha256(digest) => *digest == self.sha256,
            ContentDigest::GitBlob(digest) => self.git_blob.as_ref() == Some(digest),
        }
    }
}
