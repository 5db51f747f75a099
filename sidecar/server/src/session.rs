//! One request and its responses, whichever server writes them: whether it may be answered, under
//! which decision, and what is recorded of it.

mod admission;
mod extension;
mod record;
mod sections;

pub(crate) use admission::{decide, not_ready, system_prompt_key};
pub(crate) use extension::{ReportOptions, extension, overrides_only};
pub(crate) use record::{Exchange, Record};
pub(crate) use sections::{SectionReader, TAGS, begun, begun_at_end};
