//! What operator and sidecar are to the tools around them.

pub mod listen;
pub mod logs;
pub mod scrape;
pub mod traces;
