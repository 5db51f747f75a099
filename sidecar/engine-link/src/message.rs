//! What the plugin says, and what it is told.

use super::frame::{Frame, written};
use super::malformed::Malformed;
use super::reader::Reader;
use super::vector_set::{MAX_SLOTS, VectorSet};
use personaguard_terms::Digest;
use serde::{Deserialize, Deserializer};

/// The version of the protocol.
pub(super) const PROTOCOL: u32 = 1;
/// Longest id of a request in bytes.
const MAX_ID: usize = 64;
/// Longest head of a message in bytes.
const MAX_HEAD: usize = 1024;
/// Widest residual stream, and most blocks, that are believed.
const MAX_HIDDEN: usize = 1 << 16;
const MAX_LAYERS: u32 = 1 << 12;

mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const LOADED: u8 = 2;
    pub(super) const ROWS: u8 = 3;
    pub(super) const COUNTS: u8 = 4;
    pub(super) const STATES: u8 = 5;
    pub(super) const SYNCED: u8 = 6;
    pub(super) const VECTORS: u8 = 65;
    pub(super) const ABORT: u8 = 66;
    pub(super) const SYNC: u8 = 67;
}

/// Which engine it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Hello {
    protocol: u32,
    /// Version of the plugin.
    pub plugin: String,
    /// Version of the engine.
    pub vllm: String,
    /// The model by the name that the engine has for it.
    pub model: String,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Blocks.
    pub layers: u32,
    /// Vectors at most.
    pub slots: usize,
    /// Digest of the weights that it serves, where that is known.
    pub sha256: Option<Digest>,
    /// Which of vLLM's two ways of running a model it has.
    pub runner: Option<String>,
    /// What it computes in.
    pub dtype: Option<String>,
    /// How its weights are quantised, where they are.
    pub quantization: Option<String>,
    /// Whether requests can name adapters.
    pub lora: Option<bool>,
    /// Whether requests can ask for their states.
    #[serde(default)]
    pub states: bool,
    /// Whether it says when it has told what it had measured.
    #[serde(default)]
    pub sync: bool,
}

/// Which vectors are in place.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Loaded {
    /// The number of the set.
    #[serde(deserialize_with = "set_number")]
    pub set: u64,
    /// Why they are not.
    pub error: Option<String>,
}

/// What the plugin has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Counts {
    /// Requests that did not come from here.
    pub(super) foreign: u64,
    /// Messages that were lost because nobody read them.
    pub(super) dropped: u64,
}

/// Rows of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part<'a> {
    pub(super) id: &'a str,
    /// Tokens of the prompt.
    pub(super) prompt: u32,
    /// Position of the first row.
    pub(super) first: u32,
    /// Rows one after another, little-endian.
    pub(super) values: &'a [u8],
}

/// What one step of the engine measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rows<'a> {
    pub(super) set: u64,
    pub(super) slots: usize,
    pub(super) parts: Vec<Part<'a>>,
}

/// Of which tokens states are the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StatesOf {
    PromptMean,
    PromptLast,
    ResponseMean,
}

/// Begin of a message with states.
#[derive(Deserialize)]
struct StatesHead {
    id: String,
    of: StatesOf,
    tokens: usize,
    layers: usize,
    hidden: usize,
}

/// States of one request, layer by layer from the embedding output on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct States<'a> {
    pub(super) id: String,
    pub(super) of: StatesOf,
    pub(super) tokens: usize,
    /// Width of the residual stream.
    pub(super) hidden: usize,
    /// One layer after another, little-endian.
    pub(super) values: &'a [u8],
}

/// A message of the plugin.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message<'a> {
    Hello(Hello),
    Loaded(Loaded),
    Rows(Rows<'a>),
    Counts(Counts),
    States(States<'a>),
    /// What was measured of this request before it was asked for has been told.
    Synced(&'a str),
}

impl<'a> Message<'a> {
    pub(super) fn read(frame: &'a Frame) -> Result<Self, Malformed> {
        match frame.kind {
            kind::HELLO => hello(&frame.payload).map(Self::Hello),
            kind::LOADED => loaded(&frame.payload).map(Self::Loaded),
            kind::ROWS => rows(&frame.payload).map(Self::Rows),
            kind::COUNTS => json(&frame.payload).map(Self::Counts),
            kind::STATES => states(&frame.payload).map(Self::States),
            kind::SYNCED => id(&frame.payload).map(Self::Synced),
            _ => Err(Malformed("there is no message of such a kind")),
        }
    }
}

fn json<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(payload).map_err(|_| Malformed("a message is not the JSON it should be"))
}

fn hello(payload: &[u8]) -> Result<Hello, Malformed> {
    let hello: Hello = json(payload)?;
    if hello.protocol != PROTOCOL {
        return Err(Malformed(
            "the plugin speaks another version of the protocol: use plugin and \
                              sidecar of one version",
        ));
    }
    let is_named = {
        let known = [&hello.runner, &hello.dtype, &hello.quantization].into_iter().flatten();
        [&hello.plugin, &hello.vllm].into_iter().chain(known).all(|name| is_name(name))
    };
    let is_sound = (1..=MAX_HIDDEN).contains(&hello.hidden)
        && (1..=MAX_LAYERS).contains(&hello.layers)
        && hello.slots <= MAX_SLOTS
        && is_named;
    if is_sound { Ok(hello) } else { Err(Malformed("the engine's shape makes no sense")) }
}

/// Whether it may be a label of metrics: nothing in it has to be escaped, or is a text.
fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    name.len() <= 64 && name.chars().all(is_plain)
}

fn states(payload: &[u8]) -> Result<States<'_>, Malformed> {
    let mut reader = Reader(payload);
    let length = reader.u32()? as usize;
    if length > MAX_HEAD {
        return Err(Malformed("the head of a message is longer than any"));
    }
    let StatesHead { id, of, tokens, layers, hidden } = json(reader.bytes(length)?)?;
    let is_sound = (1..=MAX_ID).contains(&id.len())
        && (1..=MAX_HIDDEN).contains(&hidden)
        && (1..=MAX_LAYERS as usize + 1).contains(&layers)
        && tokens > 0;
    if !is_sound {
        return Err(Malformed("the shape of states makes no sense"));
    }
    let values = reader.bytes(layers * hidden * size_of::<f32>())?;
    reader.end()?;
    Ok(States { id, of, tokens, hidden, values })
}

fn loaded(payload: &[u8]) -> Result<Loaded, Malformed> {
    let mut loaded: Loaded = json(payload)?;
    if let Some(error) = &mut loaded.error {
        // It travels in reports.
        *error = error.chars().filter(|c| !c.is_control()).take(300).collect();
    }
    Ok(loaded)
}

fn rows(payload: &[u8]) -> Result<Rows<'_>, Malformed> {
    let mut reader = Reader(payload);
    let (set, slots, count) = (reader.u64()?, usize::from(reader.u8()?), reader.u16()?);
    if slots > MAX_SLOTS {
        return Err(Malformed("a row has more projections than there are vectors"));
    }
    let mut parts = Vec::new();
    for _ in 0..count {
        parts.push(part(&mut reader, slots)?);
    }
    reader.end()?;
    Ok(Rows { set, slots, parts })
}

fn part<'a>(reader: &mut Reader<'a>, slots: usize) -> Result<Part<'a>, Malformed> {
    let length = usize::from(reader.u8()?);
    let id = id(reader.bytes(length)?)?;
    let (prompt, first, rows) = (reader.u32()?, reader.u32()?, reader.u32()?);
    if first.checked_add(rows).is_none() {
        return Err(Malformed("a position is past any"));
    }
    let bytes = (rows as usize).checked_mul(slots * size_of::<f32>());
    let values = reader.bytes(bytes.ok_or(Malformed("more rows than fit"))?)?;
    Ok(Part { id, prompt, first, values })
}

fn id(bytes: &[u8]) -> Result<&str, Malformed> {
    let id = std::str::from_utf8(bytes).ok().filter(|id| (1..=MAX_ID).contains(&id.len()));
    id.ok_or(Malformed("the id of a request is none"))
}

/// A number, or a text of its digits: not every reader of JSON keeps 64 bits.
fn set_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Told {
        Number(u64),
        Digits(String),
    }
    match Told::deserialize(deserializer)? {
        Told::Number(number) => Ok(number),
        Told::Digits(digits) => digits.parse().map_err(serde::de::Error::custom),
    }
}

/// Vectors that are to be measured from now on.
pub(super) fn vectors(set: &VectorSet) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend(set.number.to_le_bytes());
    payload.push(u8::try_from(set.slots.len()).unwrap_or(u8::MAX));
    payload.extend(u32::try_from(set.hidden).unwrap_or(u32::MAX).to_le_bytes());
    for slot in &set.slots {
        payload.extend(slot.layer.0.to_le_bytes());
        payload.extend(slot.values.iter().flat_map(|value| value.to_le_bytes()));
    }
    written(kind::VECTORS, &payload)
}

/// The request is to end.
pub(super) fn abort(id: &str) -> Vec<u8> {
    written(kind::ABORT, id.as_bytes())
}

/// It is to be said when all that was measured of the request by now has been told.
pub(super) fn sync(id: &str) -> Vec<u8> {
    written(kind::SYNC, id.as_bytes())
}
