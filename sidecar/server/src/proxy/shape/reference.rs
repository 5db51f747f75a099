//! Identifiers that a server makes: by counting, or by chance.

/// How common servers begin them. One that begins like another is named before it.
const PREFIXES: [&str; 25] = [
    "chatcmpl-tool-",
    "chatcmpl-",
    "cmpl-",
    "call_",
    "call-",
    "ctc_",
    "embd-",
    "fc_",
    "fp_",
    "function-call-",
    "gen-",
    "item_",
    "mcp_",
    "msg_",
    "out_",
    "pool-",
    "req_",
    "rerank-",
    "resp_",
    "rs_",
    "run-",
    "score-",
    "tooluse_",
    "toolu_",
    "txt_",
];

/// Longest one in bytes, after its beginning.
const MAX: usize = 64;

/// Longest run of letters in what was not made by chance: a word has more.
const RUN: usize = 3;

/// Whether a text is an identifier and says nothing: a known beginning or none, then a number,
/// hexadecimal digits, or letters and digits as chance puts them. What has a word in it is none.
pub(in crate::proxy) fn is_reference(text: &str) -> bool {
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return false;
    }
    match prefix(text) {
        "" => is_hexadecimal(text) || is_counted(text),
        prefix => {
            let rest = &text[prefix.len()..];
            let groups = || rest.split(['-', '_']);
            let words = groups().filter(|group| letters(group) == group.len()).count();
            let is_made = is_hexadecimal(rest) || (words <= 1 && groups().all(is_chance));
            is_made && rest.len() <= MAX
        }
    }
}

/// The beginning that says what is identified; empty where it is none of the known ones.
pub(in crate::proxy) fn prefix(text: &str) -> &'static str {
    PREFIXES.iter().find(|prefix| text.starts_with(**prefix)).copied().unwrap_or_default()
}

/// Digits to the base 16, in groups perhaps.
fn is_hexadecimal(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    (8..=MAX).contains(&text.len()) && text.bytes().all(is_digit) && letters(text) <= 2 * RUN
}

/// A few letters, and a number.
fn is_counted(text: &str) -> bool {
    let number = text.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let head = text.len() - number.len();
    let number = number.strip_prefix(['-', '_']).unwrap_or(number);
    head <= RUN + 1 && (1..=20).contains(&number.len()) && is_number(number)
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// One group of letters and digits in which no word is.
fn is_chance(group: &str) -> bool {
    group.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && (letters(group) <= RUN || is_hexadecimal(group) || is_shuffled(group))
}

/// The longest run of letters.
fn letters(text: &str) -> usize {
    let runs = text.split(|c: char| !c.is_ascii_alphabetic());
    runs.map(str::len).max().unwrap_or_default()
}

/// Whether capitals, small letters and digits change as often as they do by chance, which they do
/// not in words.
fn is_shuffled(group: &str) -> bool {
    let kind = |byte: u8| (byte.is_ascii_uppercase(), byte.is_ascii_digit());
    let bytes = group.as_bytes();
    let changes = bytes.windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count();
    let has_digit = bytes.iter().any(u8::is_ascii_digit);
    // Anthropic's have this length and begin so.
    let is_known = bytes.len() == 24 && group.starts_with("01") && changes >= 6;
    is_known || (bytes.len() >= 16 && has_digit && changes * 20 >= (bytes.len() - 1) * 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_make_is_told_from_what_says_something() {
        for made in [
            "1",
            "x-1",
            "up-1",
            "call_1",
            "call_abc123",
            "chatcmpl-123",
            "cmpl-1",
            "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
            "chatcmpl-8f4c0b6ddc0c4d4f8a1f0c7b5a3e2d10",
            "chatcmpl-tool-2a1b9c3d4e5f60718293a4b5c6d7e8f9",
            "123e4567-e89b-12d3-a456-426614174000",
            "toolu_01A09q90qw90lq917835lq9",
            "msg_01XFDUDYJgAACzvnptvVoYEL",
            "fp_44709d6fcb",
        ] {
            assert!(is_reference(made), "{made}");
        }
        for said in [
            "",
            "secret",
            "SECRET-1",
            "secret7",
            "secret_42_word",
            "chatcmpl-secret1",
            "chatcmpl-the-secret-is-42",
            "chatcmpl-the-cat-is-42",
            "call_TheSecretIs42Really",
            "call_two words 1",
            "call_é1",
            "resp_",
            "x1\n",
            "deadbeefbadcafe1",
            "meta-llama/Llama-3.1-8B",
        ] {
            assert!(!is_reference(said), "{said}");
        }
    }
}
