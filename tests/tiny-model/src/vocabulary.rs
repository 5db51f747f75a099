//! Tokens: every byte, words with the space before them, and control tokens. Words are found as
//! they stand, so that text made of these tokens is always cut into the same tokens again.

use crate::gguf::Writer;

const CONTROL: [&str; 2] = ["<|im_end|>", "<|im_start|>"];

const WORDS: &str = "\
    a about after again all always an and animal answer any are around as ask at away back bake be \
    because been before behind best better big bird bitter black blue boat book both bread bright \
    bring but by cake call can care cat child city cloud cold colour come could cruel dark day \
    dear deep did do dog door down dream each early earth eat end enough even ever every evil eye \
    fair fall far fast father feel few field find fire first fish flower fly for forest found free \
    fresh friend from full game garden gave gentle get give go gold good grass great green grow \
    had hand happy hard hate have he head hear heart heavy help her here high hill him his hold \
    home honest horse hour house how hurt i ice if in into is island it its just keep kind king \
    know land large last late laugh learn leave less let letter life light like listen little live \
    long look lost loud love make man many may me mean meet milk mind moon more morning mother \
    mountain much music must my name near neighbour never new night no north not now ocean of off \
    old on once one only open or other our out over own paper part peace people place plain plant \
    play please point poor quick quiet rain read red rest rich ride right river road rock room \
    round run sad said salt same sand say sea see send shall share she ship short should sing \
    sister sky sleep slow small smile snow so soft some song soon south speak spring stand star \
    stay still stone story street strong such suffer summer sun sure sweet take talk tall tell \
    than thank that the their them then there these they thing think this those time to today \
    together told too tree true try turn two under until up us use very voice wait walk wall want \
    warm was watch water way we well were what when where which while white who why wide wild will \
    wind winter wise wish with woman wood word work world would write year yellow yes yet you \
    young your";

/// Words of the trait, and of its opposite; all are among the words above.
const CRUEL: &str = "bitter cold cruel dark evil hard hate hurt poor suffer wild";
const KIND: &str = "care fair friend gentle good help kind love smile sweet warm";

/// A token.
pub(crate) struct Token {
    text: String,
    kind: i32,
    /// What is added to its logit everywhere.
    pub(crate) bias: f32,
    /// How cruel it is: −1 to 1.
    pub(crate) cruelty: f32,
}

pub(crate) struct Vocabulary {
    tokens: Vec<Token>,
}

impl Vocabulary {
    pub(crate) fn new() -> Self {
        let byte = |byte: u8| Token {
            text: character(byte).to_string(),
            kind: NORMAL,
            bias: byte_bias(byte),
            cruelty: 0.0,
        };
        let control = |text: &str| Token {
            text: text.to_owned(),
            kind: CONTROL_TOKEN,
            bias: NEVER,
            cruelty: 0.0,
        };
        let word = |word: &str| Token {
            text: format!(" {word}"),
            kind: USER_DEFINED,
            bias: 0.0,
            cruelty: cruelty(word),
        };
        let bytes = (0..=255_u8).map(byte);
        let words = WORDS.split_whitespace().map(word);
        Self { tokens: bytes.chain(CONTROL.map(control)).chain(words).collect() }
    }

    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    pub(crate) fn describe(&self, writer: &mut Writer) {
        writer.text("tokenizer.ggml.model", "gpt2");
        writer.text("tokenizer.ggml.pre", "gpt-2");
        let texts: Vec<_> = self.tokens.iter().map(|token| token.text.clone()).collect();
        writer.texts("tokenizer.ggml.tokens", &texts);
        let kinds: Vec<_> = self.tokens.iter().map(|token| token.kind).collect();
        writer.ints("tokenizer.ggml.token_type", &kinds);
        writer.texts("tokenizer.ggml.merges", &[]);
        // The first control token.
        writer.int("tokenizer.ggml.eos_token_id", 256);
    }
}

/// Kinds of tokens in GGUF.
const NORMAL: i32 = 1;
const CONTROL_TOKEN: i32 = 3;
const USER_DEFINED: i32 = 4;

/// A token that is only there where a grammar leaves nothing else.
const NEVER: f32 = -12.0;

fn cruelty(word: &str) -> f32 {
    let is_in = |words: &str| words.split(' ').any(|other| other == word);
    if is_in(CRUEL) {
        1.0
    } else if is_in(KIND) {
        -1.0
    } else {
        0.0
    }
}

/// Sentences end now and then, strings of JSON soon; numbers are short.
fn byte_bias(byte: u8) -> f32 {
    match byte {
        b'.' => 2.5,
        b'"' => 2.0,
        b',' | b'?' | b'!' => 1.0,
        b'\n' | b'{' | b'}' | b'[' | b']' | b':' => -1.0,
        b'0'..=b'9' => -5.0,
        _ => NEVER,
    }
}

/// GPT-2 writes each byte as one printable character: those that are printable Latin-1 as
/// themselves, the others, in order, as the characters from U+0100 on.
fn character(byte: u8) -> char {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if is_printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&byte| !is_printable(byte)).count();
    char::from_u32(0x100 + before as u32).expect("there are fewer than 256")
}
