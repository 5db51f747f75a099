use super::*;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

#[test]
fn every_byte_has_a_character_of_its_own() {
    let text: String = (0..=255).map(char_of).collect();
    let mut bytes = Vec::new();
    decode(&text, &mut bytes);
    assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
    assert_eq!((char_of(b' '), char_of(b'\n'), char_of(b'a')), ('Ġ', 'Ċ', 'a'));
}

#[test]
fn item_19_words_are_those_of_the_named_pre_tokenizer() {
    let words = |name: &str, text: &str| -> Vec<String> {
        let mut split = PreTokenizedString::from(text);
        pre_tokenizer(name).unwrap().pre_tokenize(&mut split).unwrap();
        let splits = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.into_iter().map(|(word, ..)| word.to_owned()).collect()
    };
    let text = "It's fooBar 12345/\n";
    assert_eq!(words("dbrx", text), words("llama-bpe", text));
    assert_eq!(words("dbrx", text), ["It", "'s", "ĠfooBar", "Ġ", "123", "45", "/Ċ"]);
    assert_eq!(words("gpt-4o", text), ["It's", "Ġfoo", "Bar", "Ġ", "123", "45", "/Ċ"]);
}
