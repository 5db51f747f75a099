//! Integers of a body.

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use std::fmt;

/// An integer, also one that is written as a decimal: JSON has one kind of number. One that is too
/// large counts as the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Integer(i128);

impl Integer {
    /// The number, within the bounds of its type.
    pub(crate) fn get(self) -> i64 {
        let bounded = self.0.clamp(i64::MIN.into(), i64::MAX.into());
        i64::try_from(bounded).unwrap_or(i64::MAX)
    }

    /// Its last 64 bits, so that each number of 64 bits is another, whatever its sign.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is meant so")]
    pub(crate) fn bits(self) -> u64 {
        self.0 as u64
    }
}

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntegerVisitor;
        impl Visitor<'_> for IntegerVisitor {
            type Value = Integer;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an integer")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Integer, E> {
                Ok(Integer(number.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Integer, E> {
                Ok(Integer(number.into()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Integer, E> {
                if number.fract() != 0.0 {
                    return Err(E::invalid_type(Unexpected::Float(number), &self));
                }
                #[allow(clippy::cast_possible_truncation, reason = "too large is the largest")]
                Ok(Integer(number as i128))
            }
        }
        deserializer.deserialize_i64(IntegerVisitor)
    }
}
