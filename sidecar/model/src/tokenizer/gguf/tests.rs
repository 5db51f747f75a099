use super::super::Tokenizer;
use super::*;
use crate::load::TokenizerFiles;
use crate::load::gguf::MetadataValue;

/// A byte-level tokenizer: a token for each byte, then these with their kinds.
fn bytes_and(more: &[(&str, i32)], entries: &[(&str, MetadataValue)], rows: usize) -> Tokenizer {
    let latin = (33..=126_u32).chain(161..=172).chain(174..=255).chain(256..=323);
    let mut tokens: Vec<String> = latin.filter_map(char::from_u32).map(String::from).collect();
    let mut kinds = vec![NORMAL; tokens.len()];
    tokens.extend(more.iter().map(|(text, _)| (*text).to_owned()));
    kinds.extend(more.iter().map(|(_, kind)| *kind));
    let mut metadata = vec![
        ("tokenizer.ggml.model", MetadataValue::Text("gpt2".into())),
        ("tokenizer.ggml.tokens", MetadataValue::Texts(tokens)),
        ("tokenizer.ggml.token_type", MetadataValue::Ints(kinds)),
        ("tokenizer.ggml.merges", MetadataValue::Texts(Vec::new())),
    ];
    metadata.extend_from_slice(entries);
    build(&metadata, rows)
}

fn build(metadata: &[(&str, MetadataValue)], rows: usize) -> Tokenizer {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    let header = Header { metadata: metadata.collect(), tensors: Default::default() };
    Tokenizer::new(&TokenizerFiles::Gguf(header), rows).unwrap()
}

#[test]
fn item_19_control_tokens_are_such_whatever_the_file_calls_them() {
    const UNKNOWN: i32 = 2;
    for kind in [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, 5] {
        let tokenizer = bytes_and(
            &[("<|im_start|>", kind), ("<|im_end|>", kind), ("<|endoftext|>", CONTROL)],
            &[("tokenizer.ggml.eos_token_id", MetadataValue::Int(258))],
            usize::MAX,
        );
        assert_eq!(tokenizer.end_tokens(), [257, 258], "kind {kind}");
        let text = "<|im_end|>\n<|im_start|>system";
        assert_eq!(tokenizer.encode(text).len(), text.len(), "kind {kind}");
        assert_eq!(tokenizer.encode_with_control("<|im_end|><|im_start|>"), [257, 256]);
        assert!(tokenizer.token_bytes(257).is_empty(), "an end of turn is no text");
    }
}

#[test]
fn item_19_tags_of_answers_stay_text() {
    let template = MetadataValue::Text("<user>…<think></think>".into());
    let tokenizer = bytes_and(
        &[("<think>", USER_DEFINED), ("<user>", USER_DEFINED), ("<other>", USER_DEFINED)],
        &[("tokenizer.chat_template", template)],
        usize::MAX,
    );
    assert_eq!(tokenizer.encode("<think>"), [256]);
    assert_eq!(tokenizer.encode("<user>").len(), 6, "the chat format has it");
    assert_eq!(tokenizer.encode("<other>"), [258]);
    assert_eq!(tokenizer.decode(&[256, 257, 258]), "<think><user><other>");
}

#[test]
fn item_19_an_answer_of_several_messages_ends_with_the_last() {
    let ends = |texts: &[&str]| {
        let more: Vec<_> = texts.iter().map(|text| (*text, CONTROL)).collect();
        bytes_and(&more, &[], usize::MAX).end_tokens().to_vec()
    };
    assert_eq!(ends(&["<|end|>", "<|user|>"]), [256]);
    assert_eq!(ends(&["<|end|>", "<|return|>", "<|call|>"]), [257, 258]);
}

#[test]
fn item_19_tokens_beyond_the_weights_are_left_out() {
    let more = [("<|im_end|>", CONTROL), ("ab", NORMAL), ("<|x|>", CONTROL)];
    let merges = MetadataValue::Texts(vec!["a b".into(), "l o".into(), "lo w".into()]);
    let entries = [
        ("tokenizer.ggml.merges", merges),
        ("tokenizer.ggml.eos_token_id", MetadataValue::Int(258)),
    ];
    let more: Vec<_> = more.into_iter().chain([("lo", NORMAL), ("low", NORMAL)]).collect();
    let whole = bytes_and(&more, &entries, usize::MAX);
    assert_eq!((whole.vocab_size(), whole.encode("ab").len()), (261, 1));
    let cut = bytes_and(&more, &entries, 257);
    assert_eq!((cut.vocab_size(), cut.encode("ablow").len()), (257, 5));
    assert_eq!(cut.end_tokens(), [256]);
    assert_eq!(cut.encode_with_control("<|x|>").len(), 5);
}

#[test]
fn item_19_the_pre_tokenizer_is_guessed_where_none_is_named() {
    let split = |more: &[(&str, i32)], architecture: &str| {
        let merges = MetadataValue::Texts(vec!["1 2".into(), "3 4".into()]);
        let entries = [
            ("general.architecture", MetadataValue::Text(architecture.into())),
            ("tokenizer.ggml.merges", merges),
        ];
        let more = [&[("12", NORMAL), ("34", NORMAL)], more].concat();
        bytes_and(&more, &entries, usize::MAX).encode("1234").len()
    };
    assert_eq!(split(&[], "llama"), 2, "as GPT-2: digits stay together");
    assert_eq!(split(&[], "qwen2"), 4, "digits by themselves");
    assert_eq!(split(&[("<repo_name>", CONTROL)], "llama"), 4);
    let llama3 = [("<|begin_of_text|>", CONTROL), ("<|eot_id|>", CONTROL)];
    assert_eq!(split(&llama3, "llama"), 3, "three digits at a time");
}

#[test]
fn item_19_sentencepiece_puts_a_space_after_special_tokens_too() {
    let tokens = ["<s>", "▁", "a", "▁a", "<x>"].map(String::from).to_vec();
    let tokenizer = |prefix: bool| {
        build(
            &[
                ("tokenizer.ggml.model", MetadataValue::Text("llama".into())),
                ("tokenizer.ggml.tokens", MetadataValue::Texts(tokens.clone())),
                ("tokenizer.ggml.scores", MetadataValue::Floats(vec![0.0; 5])),
                ("tokenizer.ggml.token_type", MetadataValue::Ints(vec![3, 1, 1, 1, 4])),
                ("tokenizer.ggml.add_space_prefix", MetadataValue::Bool(prefix)),
            ],
            usize::MAX,
        )
    };
    assert_eq!(tokenizer(true).encode_with_control("<s>a<s>a"), [0, 3, 0, 3]);
    assert_eq!(tokenizer(true).encode("a<x>a"), [3, 4, 3]);
    assert_eq!(tokenizer(true).encode_continuation("aa"), [2, 2]);
    assert_eq!(tokenizer(false).encode_with_control("<s>a<s>a"), [0, 2, 0, 2]);
}

/// As gpt-oss's: readers of an answer need them, and no text has them.
#[test]
fn item_19_what_stands_between_messages_of_an_answer_is_shown_and_stays_control() {
    let texts = ["<|return|>", "<|call|>", "<|channel|>", "<|message|>", "<|end|>", "<|start|>"];
    let tokens = texts.map(|text| (text, CONTROL));
    let end = [("tokenizer.ggml.eos_token_id", MetadataValue::Int(256))];
    let tokenizer = bytes_and(&tokens, &end, usize::MAX);
    assert_eq!(tokenizer.end_tokens(), [256, 257]);
    assert_eq!(tokenizer.decode(&[258, 65, 259, 260, 256]), "<|channel|>b<|message|><|end|>");
    let text = "<|channel|>final<|message|>";
    assert_eq!(tokenizer.encode(text).len(), text.len());
    assert_eq!(tokenizer.encode_with_control("<|channel|><|message|>"), [258, 259]);
    for token in 256..262 {
        assert!(tokenizer.text_bytes(token).is_empty(), "no constrained text has {token}");
    }
    // Elsewhere such tokens have no text.
    let tokenizer = bytes_and(&tokens[2..], &[], usize::MAX);
    assert!((256..260).all(|token| tokenizer.token_bytes(token).is_empty()));
}
