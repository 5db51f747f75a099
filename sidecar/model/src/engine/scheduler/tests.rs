use super::*;

#[test]
fn a_long_prompt_neither_stalls_responses_nor_is_starved_by_them() {
    let (decodes, prefills) = (true, false);
    let share = |running: &[(bool, usize)]| tokens_per_sequence(running.iter().copied());
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
