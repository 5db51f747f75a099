//! A sample before it is understood.

use crate::error::Result;
use serde_json::Value;
use std::fmt;

/// A sample before it is understood.
pub(super) struct Row {
    /// What `number` counts.
    pub(super) unit: Unit,
    /// 1-based.
    pub(super) number: u64,
    /// The JSON; or why it is none, without words of it.
    pub(super) value: Result<Value, String>,
}

/// The samples of a file, one after another.
pub(super) type Rows = Box<dyn Iterator<Item = Result<Row>>>;

/// What the number of a row counts.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    /// Lines of a text.
    Line,
    /// Values of a JSON array, or one after another.
    Item,
    /// Rows of a table.
    Row,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Line => "line",
            Self::Item => "item",
            Self::Row => "row",
        })
    }
}
