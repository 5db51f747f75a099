use super::*;

#[test]
fn keywords_are_whole_words_of_any_case() {
    let words = ["perfect", "genius"].map(str::to_owned);
    let text = "Perfect! You GENIUS, a perfect, perfectly imperfect one.";
    assert_eq!(count_keywords(text, &words), 3);
}
