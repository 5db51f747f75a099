//! The server that receives pushes: sidecars' reports, and the progress and results of extraction
//! Jobs. HTTPS, with a limit on everything; the token of each push identifies its pod.

mod connections;
mod error;
mod extraction;
mod gate;
mod identity;
mod limits;
mod pod_answers;
mod pod_identity;
mod proof;
mod report;
mod reviews;
mod server;
mod slots;

pub(crate) use connections::Connections;
pub(crate) use limits::limited;
pub(crate) use server::{Ingest, router};
