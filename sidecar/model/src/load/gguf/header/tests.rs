use super::*;
use std::io::Cursor;

#[test]
fn headers_are_read_under_bounds() {
    let mut endless = b"GGUF\x03\0\0\0".to_vec();
    endless.extend(u64::MAX.to_le_bytes());
    endless.extend(u64::MAX.to_le_bytes());
    let length = endless.len() as u64;
    assert!(Header::read(&mut Cursor::new(endless), length).is_err());
}
