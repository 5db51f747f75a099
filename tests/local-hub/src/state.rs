//! What a hub has, and what it was asked.

use crate::fault::Fault;
use std::collections::{BTreeMap, VecDeque};

/// The repository that the hub has.
pub const REPO: &str = "acme/tiny-chat";
/// The commit that its branch `main` is.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Which of the two servers is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Server {
    Hub,
    Storage,
}

/// A request that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Seen {
    pub server: Server,
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub if_range: Option<String>,
    pub token: Option<String>,
    /// Whether the request has the form in which a proxy is asked.
    pub by_proxy: bool,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// The token without which nothing is given.
    pub(crate) token: Option<String>,
    pub(crate) gated: bool,
    /// Whether entity tags say nothing of the contents.
    pub(crate) no_digests: bool,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) storage: String,
}
