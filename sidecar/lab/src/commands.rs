//! Commands, one a file.

pub mod bench;
pub mod calibrate;
pub mod extract;
pub mod merge_ranks;
mod parquet;
mod ranks;
pub mod screen;
pub mod study;
pub mod vector;
pub mod verify;
