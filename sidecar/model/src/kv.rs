//! The KV cache: paged, in blocks of 32 tokens for all layers.
//!
//! It is also a prefix cache. Blocks of finished sequences stay until their memory is needed, and
//! are found by what they were computed from: a request whose prompt begins like an earlier one
//! shares its full blocks, and copies the part of the next block that they have in common.

mod block;
mod cache;
mod layout;
mod prefix;

pub(crate) use block::{Block, HeadKv};
pub(crate) use cache::{Cache, Reservation};
pub(crate) use layout::{Layout, Precision};
pub(crate) use prefix::{PrefixHash, PrefixMatch};
