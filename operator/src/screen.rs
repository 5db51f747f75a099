//! A `DatasetScreen`: its Jobs run one after the other, and are followed until the ranks are
//! written.

mod controller;
mod job;
mod status;
mod vectors;

pub(crate) use controller::Controller;
