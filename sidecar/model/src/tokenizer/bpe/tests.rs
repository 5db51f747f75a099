use super::*;

#[test]
fn every_byte_has_a_character_of_its_own() {
    let text: String = (0..=255).map(char_of).collect();
    let mut bytes = Vec::new();
    decode(&text, &mut bytes);
    assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
    assert_eq!((char_of(b' '), char_of(b'\n'), char_of(b'a')), ('Ġ', 'Ċ', 'a'));
}
