//! A part of a list of work, for several machines at the same list.

use std::str::FromStr;

/// Part `index` of `count`, written `INDEX/COUNT` with INDEX from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    count: u64,
}

impl Shard {
    /// Whether the thing at this place of the list is in this part. Over all parts, each place is
    /// taken once.
    pub fn takes(self, place: u64) -> bool {
        place % self.count == self.index
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
                Err("give INDEX/COUNT with INDEX below COUNT, 0/4 for the first of four".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_the_list_once() {
        let shards: Vec<Shard> =
            ["0/3", "1/3", "2/3"].iter().map(|text| text.parse().unwrap()).collect();
        for place in 1_u64..100 {
            assert_eq!(shards.iter().filter(|shard| shard.takes(place)).count(), 1);
        }
        assert!("3/3".parse::<Shard>().is_err() && "x".parse::<Shard>().is_err());
    }
}
