use super::*;

#[test]
fn a_long_prompt_neither_stalls_responses_nor_is_starved_by_them() {
    let (decodes, prefills) = (Turn::Decode, Turn::Prefill);
    let share = tokens_per_sequence;
    assert_eq!(share(&[(prefills, 3000)]), [PREFILL_TOKENS]);
    assert_eq!(
        share(&[(decodes, 1), (prefills, 3000), (decodes, 1)]),
        [1, PREFILL_TOKENS_WHILE_DECODING, 1]
    );
    // The first to arrive is served first; what the step has left goes to the next.
    assert_eq!(
        share(&[(prefills, 60), (decodes, 1), (prefills, 3000), (prefills, 5)]),
        [60, 1, PREFILL_TOKENS_WHILE_DECODING - 60, 0]
    );
    assert_eq!(share(&[(prefills, 100), (prefills, 200)]), [100, PREFILL_TOKENS - 100]);
    // A response whose next token is not known yet computes none.
    assert_eq!(share(&[(decodes, 0), (prefills, 10)]), [0, 10]);
}

#[test]
fn what_is_in_the_background_computes_what_others_leave() {
    let (decodes, prefills, background) = (Turn::Decode, Turn::Prefill, Turn::Background);
    assert_eq!(
        tokens_per_sequence(&[(background, 4000), (background, 4000), (prefills, 12)]),
        [PREFILL_TOKENS - 12, 0, 12]
    );
    assert_eq!(
        tokens_per_sequence(&[(background, 4000), (decodes, 1), (prefills, 3000)]),
        [0, 1, PREFILL_TOKENS_WHILE_DECODING]
    );
}
