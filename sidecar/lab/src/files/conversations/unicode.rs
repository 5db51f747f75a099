//! Texts in UTF-16.

/// Whether a text in UTF-16 begins like this, and whether its low bytes come first. Without a mark,
/// JSON is known by its first character, which is one of ASCII.
pub(super) fn utf16_order(head: &[u8]) -> Option<bool> {
    match *head {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => None,
        [0xff, 0xfe, ..] | [b'{' | b'[', 0, ..] => Some(true),
        [0xfe, 0xff, ..] | [0, b'{' | b'[', ..] => Some(false),
        _ => None,
    }
}

/// Whether a text in UTF-32 begins like this.
pub(super) fn is_utf32(head: &[u8]) -> bool {
    head.starts_with(&[0xff, 0xfe, 0, 0]) || head.starts_with(&[0, 0, 0xfe, 0xff])
}

/// The text of UTF-16, without its mark.
///
/// # Errors
/// The byte at which it is none.
pub(super) fn from_utf16(bytes: &[u8], low_first: bool) -> Result<String, usize> {
    let unit = if low_first { u16::from_le_bytes } else { u16::from_be_bytes };
    let (units, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len() / 2);
    let mut read = 0;
    for found in char::decode_utf16(units.iter().map(|pair| unit(*pair))) {
        let found = found.map_err(|_| 2 * read + 1)?;
        read += found.len_utf16();
        text.push(found);
    }
    if !rest.is_empty() {
        return Err(bytes.len());
    }
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
