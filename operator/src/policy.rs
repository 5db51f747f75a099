//! From policies to what sidecars enforce, for one model in one namespace, in five steps:
//! dereference → validate → build → apply → update status. Validate and build are pure.

mod acknowledgement;
mod apply;
mod build;
mod controller;
mod dereference;
mod finalizer;
#[cfg(test)]
mod fixtures;
mod memory;
mod status;
mod stored;
#[cfg(test)]
mod tests;
mod validate;

pub(crate) use controller::Controller;
