//! The bodies of OpenAI's API, as this server writes them.

pub(crate) mod fields;
mod usage;

pub(crate) use usage::Usage;
