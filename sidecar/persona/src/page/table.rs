//! Tables.

use maud::{Markup, Render, html};

/// The header of a column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    /// Text, aligned to the left.
    Text(&'static str),
    /// Numbers, aligned to the right.
    Number(&'static str),
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Text(title) | Self::Number(title) => title,
        }
    }

    fn class(self) -> Option<&'static str> {
        matches!(self, Self::Text(_)).then_some("text")
    }
}

/// A table; the row at the index `chosen` is highlighted.
pub(super) fn table<Cell: Render>(
    columns: &[Column],
    rows: &[Vec<Cell>],
    chosen: Option<usize>,
) -> Markup {
    html! {
        table {
            thead {
                tr { @for column in columns { th class=[column.class()] { (column.title()) } } }
            }
            tbody {
                @for (index, row) in rows.iter().enumerate() {
                    tr class=[(chosen == Some(index)).then_some("chosen")] {
                        @for (column, cell) in columns.iter().zip(row) {
                            td class=[column.class()] { (cell) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
