//! The server that receives pushes: sidecars' reports, and the progress and results of extraction
//! Jobs. HTTPS, with a limit on everything; the token of each push identifies its pod.

mod connections;
mod error;
mod extraction;
mod gate;
mod identity;
mod proof;
mod report;
mod server;
mod slots;

pub(crate) use connections::Connections;
pub(crate) use server::{Ingest, router};
