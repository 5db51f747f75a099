//! Quoted texts in JSON and in templates.

/// Bytes of the quoted text at the start of `rest`, with its quotation marks; all of it where the
/// second is missing.
pub(crate) fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}
