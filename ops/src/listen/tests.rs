use super::*;
use std::net::TcpStream;

#[test]
fn item_19_everywhere_is_ipv4_and_ipv6() {
    let listener = bind(everywhere(0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    // Where the machine has it.
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
    }
}

#[test]
fn item_19_a_port_that_is_taken_is_an_error_in_both_families() {
    let taken = bind(everywhere(0)).unwrap().local_addr().unwrap().port();
    let holder = bind(everywhere(taken)).unwrap();
    assert_eq!(bind(everywhere(taken)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    drop(holder);
    let holder = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = holder.local_addr().unwrap();
    assert_eq!(bind(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}
