use super::*;

#[test]
fn no_text_is_lost_whatever_merges() {
    let words =
        ["a", "b", "c", "ab", "bc", "ca", "cb", "abc", "bca", "cab", "abca", "bcab", "▁", "▁a"];
    let tokens: Vec<String> = words.iter().map(ToString::to_string).collect();
    for seed in 0..200_u32 {
        let scores: Vec<f32> =
            (0..14_u32).map(|i| -(((i * 31 + seed * 17 + i * seed) % 23) as f32)).collect();
        let spm = SentencePiece::new(&tokens, &scores, &[], true).unwrap();
        let text: String =
            (0..12).map(|i| ['a', 'b', 'c', ' '][((seed >> i) + i) as usize % 4]).collect();
        let mut ids = Vec::new();
        spm.encode(&text, false, &mut ids);
        let back: String = ids.iter().map(|&id| words[id as usize]).collect();
        assert_eq!(back, text.replace(' ', "▁"), "seed {seed}");
    }
}

#[test]
fn the_best_pair_merges_first_and_unknown_text_becomes_bytes() {
    let words = ["<unk>", "<0xC3>", "<0xA9>", "▁", "a", "b", "ab", "▁a", "▁ab"];
    let tokens: Vec<String> = words.iter().map(ToString::to_string).collect();
    let scores = [0.0, 0.0, 0.0, -10.0, -10.0, -10.0, -2.0, -1.0, -3.0];
    let kinds = [2, 6, 6, 1, 1, 1, 1, 1, 1];
    let encode = |prefix, text: &str| {
        let mut ids = Vec::new();
        SentencePiece::new(&tokens, &scores, &kinds, prefix).unwrap().encode(text, true, &mut ids);
        ids
    };
    assert_eq!(encode(true, "ab"), [8]);
    assert_eq!(encode(false, "ab"), [6]);
    assert_eq!(encode(true, "b aé"), [3, 5, 7, 1, 2]);
    assert_eq!(encode(false, "c"), [0]);
}
