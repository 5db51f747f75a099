//! Tokens that are more than a piece of text.

use aho_corasick::{AhoCorasick, MatchKind};
use serde::Deserialize;

/// Tokens that close a turn in a known chat format. Files often name only one of theirs as the end
/// of a sequence; each of these ends a response.
const TURN_ENDS: [&str; 14] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|end_of_turn|>",
    "<|END_OF_TURN_TOKEN|>",
    "<｜end▁of▁sentence｜>",
    "<|return|>",
    "<|call|>",
    "<end_of_utterance>",
    "[|endofturn|]",
    MESSAGE_END,
];
/// Closes a message, which is a turn unless a vocabulary has others for that.
const MESSAGE_END: &str = "<|end|>";

/// Control tokens between the messages of an answer, and between their heads and their texts.
const MESSAGE_PARTS: [&str; 5] =
    ["<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", MESSAGE_END];

/// Further tokens that set off turns, and parts of them.
const TURN_PARTS: [&str; 8] = [
    "<start_of_turn>",
    "[INST]",
    "[/INST]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[AVAILABLE_TOOLS]",
    "[TOOL_CALLS]",
    "[TOOL_RESULTS]",
];

/// What control tokens are framed by: no text of people looks so.
const FRAMES: [(&str, &str); 3] = [("<|", "|>"), ("<｜", "｜>"), ("[|", "|]")];

/// Tags around parts of an answer, which templates look for in the text of messages.
const TAGS: [&str; 9] = [
    "think",
    "thinking",
    "thought",
    "reasoning",
    "answer",
    "tools",
    "tool_call",
    "tool_calls",
    "tool_response",
];

/// The tokens that end a response in a vocabulary with these texts.
pub(super) fn turn_ends(tokens: &[String]) -> impl Fn(&str) -> bool {
    let several_messages = has_several_messages(tokens);
    move |text| TURN_ENDS.contains(&text) && (text != MESSAGE_END || !several_messages)
}

/// The control tokens that have a text in answers, in a vocabulary with these texts: where an
/// answer is several messages, they tell reasoning and answer apart.
pub(super) fn shown_in_answers(tokens: &[String]) -> impl Fn(&str) -> bool {
    let several_messages = has_several_messages(tokens);
    move |text| several_messages && MESSAGE_PARTS.contains(&text)
}

/// Whether an answer may be several messages, as in gpt-oss.
fn has_several_messages(tokens: &[String]) -> bool {
    ["<|return|>", "<|call|>"].iter().all(|text| tokens.iter().any(|token| token == text))
}

/// Whether a token with this text is a control token, whatever its file says that it is.
pub(super) fn is_control_text(text: &str) -> bool {
    let is_framed = |(open, close): &(&str, &str)| {
        let inner = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        inner.is_some_and(|inner| !inner.is_empty() && !inner.contains(char::is_whitespace))
    };
    FRAMES.iter().any(is_framed) || TURN_ENDS.contains(&text) || TURN_PARTS.contains(&text)
}

/// Whether a token with this text looks like a part of a chat format, but not like a tag that
/// models write in their answers.
pub(super) fn is_bracketed(text: &str) -> bool {
    let inside = |open, close| text.strip_prefix(open)?.strip_suffix(close);
    inside('<', '>').or_else(|| inside('[', ']')).is_some_and(|inner: &str| {
        let name = inner.strip_prefix('/').unwrap_or(inner);
        !name.is_empty() && !name.contains(char::is_whitespace) && !TAGS.contains(&name)
    })
}

/// Special tokens of a vocabulary.
pub(super) struct SpecialTokens {
    /// Control tokens: they are found in trusted text only.
    pub(super) control: TokenMatcher,
    /// Tokens that are found in any text before it is split into words.
    pub(super) user_defined: TokenMatcher,
    /// Control tokens that have a text in answers, in ascending order.
    pub(super) shown: Vec<u32>,
    /// Tokens that end a response, in ascending order.
    pub(super) end_tokens: Vec<u32>,
    /// The token that begins a sequence.
    pub(super) bos: Option<u32>,
    /// Whether the model wants [`Self::bos`] in front.
    pub(super) adds_bos: bool,
    /// Texts of the tokens that begin and end a sequence.
    pub(super) boundary_texts: [Option<String>; 2],
    /// Whether text after a special token is treated as text that begins a sequence.
    pub(super) prefix_after: bool,
}

/// What a token does to the text around it, as `tokenizer.json` has it.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Edges {
    /// White space before it belongs to it.
    #[serde(default)]
    lstrip: bool,
    /// White space after it belongs to it.
    #[serde(default)]
    rstrip: bool,
    /// It is not found inside a word.
    #[serde(default)]
    single_word: bool,
}

impl Edges {
    /// Whether a token is found between these texts.
    fn fit(self, before: &str, after: &str) -> bool {
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !self.single_word || !(is_word(before.chars().next_back()) || is_word(after.chars().next()))
    }
}

/// Finds tokens by their whole text.
pub(super) struct TokenMatcher {
    /// Pattern p is token `ids[p]`, with the text `texts[p]`.
    finder: Option<AhoCorasick>,
    ids: Vec<u32>,
    texts: Vec<String>,
    /// Bytes of the longest.
    longest: usize,
    /// Of each pattern; none where all are plain.
    edges: Vec<Edges>,
}

impl TokenMatcher {
    /// Finds those of the tokens that `wanted` chooses by their number.
    pub(super) fn new(tokens: &[String], wanted: impl Fn(usize) -> bool) -> Self {
        // A single character is never taken for a control token: nothing would distinguish it from
        // text.
        let chosen = |index: &usize| wanted(*index) && tokens[*index].chars().nth(1).is_some();
        let ids: Vec<u32> = (0..tokens.len())
            .filter(chosen)
            .filter_map(|index| u32::try_from(index).ok())
            .collect();
        let texts: Vec<String> = ids.iter().map(|&id| tokens[id as usize].clone()).collect();
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&texts)
            .ok()
            .filter(|_| !ids.is_empty());
        let longest = texts.iter().map(String::len).max().unwrap_or(0);
        Self { finder, ids, texts, longest, edges: Vec::new() }
    }

    /// Those of the tokens whose texts are `wanted`, in ascending order.
    pub(super) fn with_text(&self, wanted: impl Fn(&str) -> bool) -> Vec<u32> {
        let all = self.ids.iter().zip(&self.texts);
        all.filter(|(_, text)| wanted(text)).map(|(&id, _)| id).collect()
    }

    /// The text of one of the tokens.
    pub(super) fn text_of(&self, id: u32) -> Option<&str> {
        // In the order of the vocabulary.
        self.ids.binary_search(&id).ok().map(|pattern| self.texts[pattern].as_str())
    }

    /// The same, with what each token does to the text around it.
    pub(super) fn with_edges(mut self, of: impl Fn(u32) -> Edges) -> Self {
        self.edges = self.ids.iter().map(|&id| of(id)).collect();
        self
    }

    /// Appends the tokens that are found, and calls `plain` for the text between them.
    pub(super) fn split(
        &self,
        text: &str,
        tokens: &mut Vec<u32>,
        plain: impl Fn(&str, &mut Vec<u32>),
    ) {
        let mut end = 0;
        for found in self.finder.iter().flat_map(|finder| finder.find_iter(text)) {
            // White space that the token before took may be a part of this one.
            if found.start() < end {
                continue;
            }
            let pattern = found.pattern().as_usize();
            let edges = self.edges.get(pattern).copied().unwrap_or_default();
            let after = &text[found.end()..];
            if !edges.fit(&text[..found.start()], after) {
                continue;
            }
            let before = &text[end..found.start()];
            plain(if edges.lstrip { before.trim_end() } else { before }, tokens);
            tokens.push(self.ids[pattern]);
            end = text.len() - if edges.rstrip { after.trim_start() } else { after }.len();
        }
        plain(&text[end..], tokens);
    }

    /// Puts `mark` behind the first character of every token that is found, until none is; and
    /// likewise into the start of a token at the end of the text, and the end of one at its start:
    /// a template may put texts next to each other.
    pub(super) fn break_up(&self, mut text: String, mark: char) -> String {
        let Some(finder) = &self.finder else { return text };
        // Tokens may overlap: look again after each change.
        while finder.is_match(&text) {
            let mut broken = String::with_capacity(text.len() + 64);
            let mut end = 0;
            for found in finder.find_iter(&text) {
                let first = text[found.start()..].chars().next().map_or(0, char::len_utf8);
                broken.push_str(&text[end..found.start() + first]);
                broken.push(mark);
                end = found.start() + first;
            }
            broken.push_str(&text[end..]);
            text = broken;
        }
        if let Some(at) = self.unfinished(&text) {
            text.insert(at, mark);
        }
        if let Some(at) = self.begun_before(&text) {
            text.insert(at, mark);
        }
        text
    }

    /// Where a token that begins at the end of `text` is broken; `None` where none does.
    fn unfinished(&self, text: &str) -> Option<usize> {
        let within = |(at, _): &(usize, char)| text.len() - at < self.longest;
        let mut starts = text.char_indices().rev().take_while(within);
        starts.find_map(|(at, c)| {
            let is_part =
                |token: &String| token.len() > text.len() - at && token.starts_with(&text[at..]);
            // Texts of letters are no sign of a token, and templates compare them.
            (!c.is_alphanumeric() && self.texts.iter().any(is_part)).then_some(at + c.len_utf8())
        })
    }

    /// Where a token that ends at the start of `text` is broken; `None` where none does. Its last
    /// character alone is no sign of a token.
    fn begun_before(&self, text: &str) -> Option<usize> {
        let first = text.chars().next()?.len_utf8();
        let ends = text.char_indices().skip(1).take_while(|(at, _)| *at < self.longest);
        let is_part =
            |end: usize| move |token: &String| token.len() > end && token.ends_with(&text[..end]);
        ends.map(|(at, c)| (at + c.len_utf8(), c))
            .filter(|(_, c)| !c.is_alphanumeric())
            .any(|(end, _)| self.texts.iter().any(is_part(end)))
            .then_some(first)
    }
}
