//! The server that receives pushes: sidecars' reports, and the progress and results of extraction
//! Jobs. HTTPS, with a limit on everything; the token of each push identifies its pod.

mod error;
mod extraction;
mod identity;
mod report;
mod server;

pub(crate) use server::{Ingest, router};
