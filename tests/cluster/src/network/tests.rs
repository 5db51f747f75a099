use super::*;

#[test]
fn each_network_is_a_distinct_slash_30_in_the_benchmark_range() {
    assert_eq!(Addresses::nth(0).node, Ipv4Addr::new(198, 18, 0, 2));
    assert_eq!(Addresses::nth(1).host, Ipv4Addr::new(198, 18, 0, 5));
    assert_eq!(Addresses::nth((1 << 15) - 1).node, Ipv4Addr::new(198, 19, 255, 254));
    assert_eq!(Addresses::nth(1 << 15), Addresses::nth(0));
}
