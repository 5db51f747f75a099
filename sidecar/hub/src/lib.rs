//! Fetches a model's files from a model hub, such as huggingface.co or a mirror of it.
//!
//! Only what the engine reads is fetched: a GGUF file, or the files of a folder by a list of names.
//! A file has its name only once it is whole and its digest is right. What was fetched is recorded
//! beside it; with that record nothing is asked of the network any more.
//!
//! Imports run one way, from the bottom up: `error`, `event` · `digest`, `token`, `pace`, `wanted`
//! · `hub` · `remote`, `choice`, `folder` · `download` · `fetch`.

mod choice;
mod digest;
mod download;
mod error;
mod event;
mod fetch;
mod folder;
mod hub;
mod pace;
mod remote;
mod token;
mod wanted;

pub use error::FetchError;
pub use event::Event;
pub use fetch::{Fetch, Fetched};
pub use folder::distrust;
pub use hub::{Hub, HubSettings};
pub use pace::Pace;
pub use token::token_from;
pub use wanted::Wanted;
