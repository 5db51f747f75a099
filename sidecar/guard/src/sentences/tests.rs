use super::*;
use proptest::prelude::*;

fn sentences(pieces: &[&str]) -> Sentences {
    let mut sentences = Sentences::default();
    pieces.iter().for_each(|piece| sentences.push(piece));
    sentences
}

#[test]
fn a_sentence_begins_after_the_end_of_another() {
    let pieces =
        ["One", " two", ".", " Three", "!", "\n", "\n", "4", ".5", " is", " six", "?\"", " Seven"];
    assert_eq!(sentences(&pieces).begins, [3, 7, 12]);
    assert_eq!(sentences(&["日本", "語。", "はい", "！そう"]).begins, [2, 3]);
    assert_eq!(sentences(&["Yes. N", "o"]).begins, [0]);
    assert_eq!(sentences(&["A.", "", " ", "B"]).begins, [3]);
}

#[test]
fn the_floor_is_the_beginning_of_the_sentence_that_is_not_whole() {
    let sentences = sentences(&["A", ".", " B", " c", ".", " D"]);
    let floors: Vec<_> = (0..=6).map(|limit| sentences.floor(limit)).collect();
    assert_eq!(floors, [0, 0, 2, 2, 2, 5, 5]);
}

#[test]
fn by_the_byte_a_sentence_begins_at_its_first_letter_and_what_is_whole_is_not_cut() {
    let mut sentences = Sentences::default();
    sentences.extend("Ja. N");
    sentences.extend("ein! ");
    sentences.extend_whole("{\"a\": \"B. C\"}");
    sentences.extend("Ende. E");
    assert_eq!(sentences.begins, [4, 10, 29]);
    assert_eq!((sentences.floor(9), sentences.floor(28), sentences.floor(99)), (4, 10, 29));
}

proptest! {
    #[test]
    fn a_floor_never_rises_above_its_limit_nor_falls(pieces in prop::collection::vec("[a.!? \n。]{0,3}", 0..20)) {
        let sentences = sentences(&pieces.iter().map(String::as_str).collect::<Vec<_>>());
        let floors: Vec<_> = (0..=pieces.len()).map(|limit| sentences.floor(limit)).collect();
        prop_assert!(floors.is_sorted());
        prop_assert!(floors.iter().enumerate().all(|(limit, floor)| *floor <= limit));
    }
}
