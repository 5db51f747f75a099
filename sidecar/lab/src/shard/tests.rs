use super::*;

#[test]
fn shards_cover_the_list_once() {
    let shards: Vec<Shard> =
        ["0/3", "1/3", "2/3"].iter().map(|text| text.parse().unwrap()).collect();
    for position in 1_u64..100 {
        assert_eq!(shards.iter().filter(|shard| shard.contains(position)).count(), 1);
    }
    assert!("3/3".parse::<Shard>().is_err() && "x".parse::<Shard>().is_err());
}
