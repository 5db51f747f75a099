//! Work with persona vectors that serves no traffic: extracting, studying and calibrating them,
//! screening data sets with them, and verifying finetuned models.
//!
//! Each command of the command line has a function here, which takes plain settings and returns
//! what it found.

pub mod bench;
pub mod calibrate;
pub mod convert;
mod dose_response;
pub mod endpoint;
pub mod engine;
mod error;
pub mod extract;
pub mod files;
mod progress;
pub mod screen;
pub mod shard;
pub mod study;
pub mod verify;

pub use error::{LabError, Result};
