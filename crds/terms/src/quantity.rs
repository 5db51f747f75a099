//! Quantities that must not be mistaken for one another.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A layer ℓ, 1-based as in the persona-vectors paper: the residual stream after block ℓ; 0 is the
/// embedding output.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Layer(pub u32);

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a number is one for the engine too, which computes in single precision: 1e300 is none.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "what that leaves is the question")]
pub fn is_computable(value: f64) -> bool {
    (value as f32).is_finite()
}

/// A steering coefficient α in h ← h + α·v, with the raw persona vector v. Within
/// ±[`Coefficient::LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Coefficient(f64);

/// A rule rather than `minimum` and `maximum`: its message is a sentence.
impl JsonSchema for Coefficient {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Coefficient".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "format": "double",
            "x-kubernetes-validations": [{
                "rule": "self >= -4.0 && self <= 4.0",
                "message": "a steering coefficient must lie between -4 and 4: past that a model \
                            repeats itself instead of answering"
            }]
        })
    }
}

impl Coefficient {
    /// Past this a small model loops instead of answering.
    pub const LIMIT: f64 = 4.0;

    /// The coefficient as a number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// A coefficient outside ±[`Coefficient::LIMIT`], or not a number.
#[derive(Debug, thiserror::Error)]
#[error(
    "a steering coefficient must lie between -4 and 4, not {0}: past that a model repeats itself \
     instead of answering"
)]
pub struct CoefficientOutOfRange(f64);

impl TryFrom<f64> for Coefficient {
    type Error = CoefficientOutOfRange;

    fn try_from(value: f64) -> Result<Self, Self::Error> {
        if value.abs() <= Self::LIMIT { Ok(Self(value)) } else { Err(CoefficientOutOfRange(value)) }
    }
}

impl From<Coefficient> for f64 {
    fn from(value: Coefficient) -> Self {
        value.0
    }
}

/// A SHA-256, 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// A rule rather than a `pattern`: its message is a sentence.
impl JsonSchema for Digest {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 80,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^[0-9a-f]{64}$')",
                "message": "a SHA-256 is 64 lower-case hexadecimal digits, as `sha256sum` prints \
                            them"
            }]
        })
    }
}

impl Digest {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people to read.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not 64 lower-case hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("a SHA-256 is 64 lower-case hexadecimal digits, as `sha256sum` prints them")]
pub struct InvalidDigest;

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let hexadecimal = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if text.len() == 64 && hexadecimal { Ok(Self(text)) } else { Err(InvalidDigest) }
    }
}

impl From<Digest> for String {
    fn from(value: Digest) -> Self {
        value.0
    }
}
