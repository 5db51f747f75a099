//! Numbers in the names of tensors.

/// What the number in a tensor's name counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbering {
    /// Elements of a list.
    List,
    /// Layers, from 0 or from 1.
    Layers,
    /// Blocks from 0, as in control vectors of repeng and llama.cpp.
    Blocks,
}

/// Words that stand before a layer's number.
const WORDS: [&str; 12] = [
    "block",
    "blocks",
    "direction",
    "directions",
    "h",
    "layer",
    "layers",
    "resid",
    "row",
    "states",
    "vec",
    "vector",
];

/// The name of a tensor with `#` for the number of its layer, what that counts, and the number;
/// `None` for a tensor that is not one of a layer.
pub(super) fn numbered(name: &str) -> Option<(String, Numbering, u32)> {
    let is_digit = |c: char| c.is_ascii_digit();
    let end = name.rfind(is_digit)? + 1;
    let start = name[..end].rfind(|c| !is_digit(c)).map_or(0, |last| last + 1);
    let (before, number, after) = (&name[..start], name[start..end].parse().ok()?, &name[end..]);
    let pattern = || format!("{before}#{after}");
    if before.ends_with('[') {
        return Some((pattern(), Numbering::List, number));
    }
    let stem = before.strip_suffix(['.', '_', '-', ':', '/']).unwrap_or(before);
    let word = stem.rsplit(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let word = word.to_ascii_lowercase();
    let is_component = before.is_empty() || before.ends_with(['.', '/']);
    if word.starts_with("direction") {
        return Some((pattern(), Numbering::Blocks, number));
    }
    (is_component || WORDS.contains(&word.as_str())).then(|| (pattern(), Numbering::Layers, number))
}
