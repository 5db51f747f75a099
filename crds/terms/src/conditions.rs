//! Every condition type, reason and Event, each list in one table. The constants and the page
//! `docs/conditions.md` are made from the tables.

pub mod condition;
pub mod event;
mod page;
pub mod reason;

pub use condition::Condition;
pub use event::Event;
pub use page::markdown;
pub use reason::{Place, Reason};

#[cfg(test)]
mod tests;
