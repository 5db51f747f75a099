//! What operator and sidecar are to the tools around them.

pub mod scrape;
