use super::*;

#[test]
fn every_network_is_a_slash_30_of_its_own_in_the_test_range() {
    assert_eq!(Addresses::nth(0).node, Ipv4Addr::new(198, 18, 0, 2));
    assert_eq!(Addresses::nth(1).host, Ipv4Addr::new(198, 18, 0, 5));
    assert_eq!(Addresses::nth((1 << 15) - 1).node, Ipv4Addr::new(198, 19, 255, 254));
    assert_eq!(Addresses::nth(1 << 15), Addresses::nth(0));
}
