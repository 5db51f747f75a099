//! Shards of a list of work, so that several machines can share it.

use std::str::FromStr;

/// One of several shards. As text it is `INDEX/COUNT`, with a 0-based index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    count: u64,
}

impl Shard {
    /// Whether the item at this position of the list belongs to the shard. Every position belongs
    /// to exactly one of the shards.
    #[must_use]
    pub fn contains(self, position: u64) -> bool {
        position % self.count == self.index
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text
            .split_once('/')
            .and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parts {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => {
                Err("a shard is INDEX/COUNT with INDEX below COUNT, such as 0/4 for the first of \
                      four"
                    .to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests;
