//! Bytes that arrive in pieces, as text.

/// The beginning of an incomplete character: at most 3 bytes.
#[derive(Debug, Default)]
pub(crate) struct Utf8Buffer(Vec<u8>);

impl Utf8Buffer {
    /// The text that these bytes complete; bytes that are not UTF-8 become U+FFFD.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.0.extend_from_slice(bytes);
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.0) {
                Ok(valid) => {
                    text.push_str(valid);
                    self.0.clear();
                    return text;
                }
                Err(error) => {
                    let valid = error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.0[..valid]));
                    let Some(length) = error.error_len() else {
                        self.0.drain(..valid);
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    self.0.drain(..valid + length);
                }
            }
        }
    }

    /// U+FFFD for a character that stayed incomplete.
    pub(crate) fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned()
    }
}

#[cfg(test)]
mod tests;
