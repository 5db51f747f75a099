//! Fields that hold a string or an array.

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// A string, or an array of `T`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StringOrList<T> {
    String(String),
    List(Vec<T>),
}

/// What the array holds.
pub(crate) trait Item {
    /// The items, as an error names them.
    const PLURAL: &'static str;
}

impl<'de, T: Deserialize<'de> + Item> Deserialize<'de> for StringOrList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StringOrListVisitor(PhantomData))
    }
}

struct StringOrListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Item> Visitor<'de> for StringOrListVisitor<T> {
    type Value = StringOrList<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a string or an array of {}", T::PLURAL)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(StringOrList::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(StringOrList::List)
    }
}
