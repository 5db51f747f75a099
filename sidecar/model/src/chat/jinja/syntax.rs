//! What templates write in ways that the engine does not know, written in ways that it does.
//!
//! `{% generation %}` marks what training counts; it is a block like `{% with %}`. `%` formats text
//! in Python. Lists and dictionaries change where the template calls a method that changes them.
//! Everything else stays as it is, to the byte.

use crate::quoted::quoted_length;

/// The function that stands for `strftime_now(…)`. The name that templates know stays undefined:
/// those that ask for it have a fixed date for when it is not there, and their prompts do not
/// change from day to day.
pub(super) const NOW: &str = "__now__";
/// The function that makes a list that can change.
pub(super) const LIST: &str = "__list__";
/// The function that makes a dictionary that can change.
pub(super) const DICT: &str = "__dict__";
/// The function that stands for `%` after text.
pub(super) const PERCENT: &str = "__percent__";

/// Methods that change what they are called on.
pub(super) const CHANGING: [&str; 10] = [
    "append",
    "extend",
    "insert",
    "pop",
    "remove",
    "clear",
    "reverse",
    "sort",
    "update",
    "setdefault",
];

/// Names after which an expression begins.
const KEYWORDS: [&str; 9] = ["in", "not", "and", "or", "if", "else", "elif", "is", "set"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Name,
    Text,
    Number,
    /// `%` as an operator.
    Percent,
    Open,
    Close,
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    start: usize,
    /// The bracket that belongs to this one, by its number.
    partner: usize,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn is(&self, text: &str) -> bool {
        self.text == text
    }

    /// Whether an operand may end here.
    fn ends_operand(&self) -> bool {
        match self.kind {
            Kind::Name => !KEYWORDS.contains(&self.text),
            kind => matches!(kind, Kind::Text | Kind::Number | Kind::Close),
        }
    }
}

/// The template as the engine reads it.
pub(super) fn adapt(source: &str) -> String {
    let source = source.replace("\r\n", "\n");
    let tags = tags(&source);
    let changes = tags
        .iter()
        .any(|tag| tag.windows(2).any(|pair| pair[0].is(".") && CHANGING.contains(&pair[1].text)));
    let mut edits = Edits::default();
    for tag in &tags {
        rename(tag, &source, &mut edits);
        if changes {
            make_changeable(tag, &mut edits);
        }
        percent(tag, &mut edits);
    }
    edits.apply(&source)
}

/// Changes to the source.
#[derive(Default)]
struct Edits(Vec<(usize, Edit)>);

/// In the order in which they are made at one place.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Edit {
    /// Ends a call that began before.
    Close,
    Open(&'static str),
    /// Replaces as many bytes.
    Replace(usize, &'static str),
}

impl Edits {
    fn add(&mut self, at: usize, edit: Edit) {
        self.0.push((at, edit));
    }

    fn call(&mut self, function: &'static str, start: usize, end: usize) {
        self.add(start, Edit::Open(function));
        self.add(end, Edit::Close);
    }

    fn apply(mut self, source: &str) -> String {
        self.0.sort();
        let mut out = String::with_capacity(source.len() + 16 * self.0.len());
        let mut from = 0;
        for (at, edit) in self.0 {
            out.push_str(&source[from..at]);
            from = at;
            match edit {
                Edit::Close => out.push(')'),
                Edit::Open(function) => {
                    out.push_str(function);
                    out.push('(');
                }
                Edit::Replace(length, text) => {
                    out.push_str(text);
                    from += length;
                }
            }
        }
        out.push_str(&source[from..]);
        out
    }
}

fn rename(tag: &[Token<'_>], source: &str, edits: &mut Edits) {
    // Not the variable of that name, as in `{{ generation }}`.
    if let [only] = tag
        && source[..only.start].trim_end_matches(['-', '+', ' ', '\n', '\t']).ends_with("{%")
    {
        match only.text {
            "generation" => edits.add(only.start, Edit::Replace(only.text.len(), "with")),
            "endgeneration" => edits.add(only.start, Edit::Replace(only.text.len(), "endwith")),
            _ => {}
        }
    }
    for pair in tag.windows(2) {
        if pair[0].is("strftime_now") && pair[1].is("(") {
            edits.add(pair[0].start, Edit::Replace(pair[0].text.len(), NOW));
        }
    }
}

/// Wraps each list and dictionary that the template writes out.
fn make_changeable(tag: &[Token<'_>], edits: &mut Edits) {
    for (index, token) in tag.iter().enumerate().filter(|(_, token)| token.kind == Kind::Open) {
        let follows_operand = index > 0 && tag[index - 1].ends_operand();
        let Some(partner) = tag.get(token.partner) else { continue };
        match token.text {
            "[" if !follows_operand => edits.call(LIST, token.start, partner.end()),
            "{" => edits.call(DICT, token.start, partner.end()),
            _ => {}
        }
    }
}

/// Makes a call of `%` wherever its left side is a text that the template writes out.
fn percent(tag: &[Token<'_>], edits: &mut Edits) {
    for (index, token) in tag.iter().enumerate().filter(|(_, token)| token.kind == Kind::Percent) {
        let Some(first) = left_operand(tag, index) else { continue };
        let Some(last) = right_operand(tag, index) else { continue };
        let formats = tag[first].kind == Kind::Text
            || (tag[first].is("(") && tag.get(first + 1).is_some_and(|t| t.kind == Kind::Text));
        if formats {
            edits.call(PERCENT, tag[first].start, tag[last].end());
            edits.add(token.start, Edit::Replace(1, ","));
        }
    }
}

/// The first token of the operand that ends before `index`.
fn left_operand(tag: &[Token<'_>], index: usize) -> Option<usize> {
    let mut at = index.checked_sub(1).filter(|&last| tag[last].ends_operand())?;
    loop {
        let before = |at: usize| at.checked_sub(1).map(|before| &tag[before]);
        let goes_on = match tag[at].kind {
            Kind::Close => {
                at = Some(tag[at].partner).filter(|&open| open < at)?;
                // A call or a subscript belongs to what stands before it.
                before(at).is_some_and(Token::ends_operand).then(|| at - 1)
            }
            Kind::Name => match before(at) {
                Some(dot) if dot.is(".") || dot.is("|") => at.checked_sub(2),
                _ => None,
            },
            // Texts in a row are one.
            Kind::Text => before(at).filter(|before| before.kind == Kind::Text).map(|_| at - 1),
            _ => None,
        };
        match goes_on {
            Some(earlier) => at = earlier,
            None => return Some(at),
        }
    }
}

/// The last token of the operand that begins after `index`.
fn right_operand(tag: &[Token<'_>], index: usize) -> Option<usize> {
    let group = |at: usize| match tag.get(at)?.kind {
        Kind::Open => Some(tag[at].partner).filter(|&close| close > at && close < tag.len()),
        Kind::Name | Kind::Text | Kind::Number => Some(at),
        _ => None,
    };
    let mut last = group(index + 1)?;
    while let Some(next) = tag.get(last + 1) {
        last = match next.text {
            "." | "|" if tag.get(last + 2)?.kind == Kind::Name => last + 2,
            "(" | "[" => group(last + 1)?,
            _ if next.kind == Kind::Text && tag[last].kind == Kind::Text => last + 1,
            _ => break,
        };
    }
    Some(last)
}

/// The tokens of each tag and expression. What cannot be read is left to the engine, which says
/// why.
fn tags(source: &str) -> Vec<Vec<Token<'_>>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = source[at..].find('{').map(|open| open + at) {
        at = open + 1;
        match source.as_bytes().get(at) {
            Some(b'#') => match source[at..].find("#}") {
                Some(end) => at += end + 2,
                None => break,
            },
            Some(b'%') => {
                let (tokens, end) = tag(source, at + 1, "%}");
                at = end;
                if tokens.first().is_some_and(|first| first.is("raw")) {
                    at = source[at..].find("endraw").map_or(source.len(), |end| at + end);
                }
                found.push(tokens);
            }
            Some(b'{') => {
                let (tokens, end) = tag(source, at + 1, "}}");
                at = end;
                found.push(tokens);
            }
            _ => {}
        }
    }
    found
}

/// The tokens from `at` to `end`, and where the template goes on after it.
fn tag<'a>(source: &'a str, mut at: usize, end: &str) -> (Vec<Token<'a>>, usize) {
    let mut tokens: Vec<Token<'a>> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    // Signs that say what becomes of the white space around a tag.
    at += usize::from(source[at..].starts_with(['-', '+']));
    while let Some(c) = source[at..].chars().next() {
        let rest = &source[at..];
        if open.is_empty() {
            let sign = usize::from(rest.starts_with(['-', '+']));
            if rest[sign..].starts_with(end) {
                return (tokens, at + sign + end.len());
            }
        }
        let (kind, length) = match c {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '"' | '\'' => (Kind::Text, quoted_length(rest, c)),
            '_' => (Kind::Name, name_length(rest)),
            c if c.is_alphabetic() => (Kind::Name, name_length(rest)),
            c if c.is_ascii_digit() => (Kind::Number, name_length(rest)),
            '(' | '[' | '{' => (Kind::Open, 1),
            ')' | ']' | '}' => (Kind::Close, 1),
            '%' => (Kind::Percent, 1),
            c => (Kind::Other, c.len_utf8()),
        };
        let index = tokens.len();
        let mut partner = usize::MAX;
        match kind {
            Kind::Open => open.push(index),
            Kind::Close => {
                if let Some(begin) = open.pop() {
                    tokens[begin].partner = index;
                    partner = begin;
                }
            }
            _ => {}
        }
        tokens.push(Token { kind, text: &rest[..length], start: at, partner });
        at += length;
    }
    (Vec::new(), source.len())
}

fn name_length(rest: &str) -> usize {
    rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
}
