use super::*;
use proptest::prelude::*;

#[test]
fn text_is_held_back_while_it_may_be_a_stop_string() {
    let mut filter = StopFilter::new(&["END".into(), "\n\n".into()]);
    assert_eq!(filter.push_text("a E"), StopMatch::None("a ".into()));
    assert_eq!(filter.push_text("N"), StopMatch::None(String::new()));
    assert_eq!(filter.push_text("T\n"), StopMatch::None("ENT".into()));
    assert_eq!(filter.finish(), "\n");
    assert_eq!(filter.push_text("b\n"), StopMatch::None("b".into()));
    assert_eq!(
        filter.push_text("\nc"),
        StopMatch::Found { text: String::new(), stop: "\n\n".into() }
    );
}

proptest! {
    #[test]
    fn the_cut_into_pieces_does_not_matter(
        text in "[abé]{0,30}",
        stop in "[abé]{1,4}",
        cut in 1_usize..5,
    ) {
        let mut filter = StopFilter::new(std::slice::from_ref(&stop));
        let mut out = String::new();
        let mut stopped = false;
        let characters: Vec<char> = text.chars().collect();
        for piece in characters.chunks(cut) {
            match filter.push_text(&piece.iter().collect::<String>()) {
                StopMatch::None(text) => out.push_str(&text),
                StopMatch::Found { text, .. } => {
                    out.push_str(&text);
                    stopped = true;
                    break;
                }
            }
        }
        if !stopped {
            out.push_str(&filter.finish());
        }
        let expected = text.find(&stop).map_or(text.as_str(), |at| &text[..at]);
        prop_assert_eq!(out, expected);
    }
}
