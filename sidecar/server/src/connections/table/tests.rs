use super::*;

const HEAD: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";
const OWN: u64 = 7;

/// Lines as the kernel of a little-endian machine writes them.
fn table(sockets: &[(&str, &str, &str, u64)]) -> Table {
    let line = |(local, remote, state, inode): &(&str, &str, &str, u64)| {
        let end = |text: &str| {
            let address: SocketAddr = text.parse().unwrap();
            let IpAddr::V4(ip) = address.ip() else { panic!("{text}") };
            format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port())
        };
        format!(
            "   0: {} {} {state} 00000000:00000000 00:00000000 00000000 1000 0 {inode} 1 0\n",
            end(local),
            end(remote)
        )
    };
    Table::parse(&(HEAD.to_owned() + &sockets.iter().map(line).collect::<String>()))
}

fn foreign(table: &Table) -> (usize, usize) {
    let node = BTreeSet::from([IpAddr::from([10, 0, 0, 1])]);
    let found = table.foreign(&BTreeSet::from([OWN]), &node, Some(8080));
    (found.app.len(), found.past_sidecar.len())
}

#[test]
fn issue_15_20_only_what_does_not_pass_the_sidecar_counts() {
    let listens = ("0.0.0.0:8080", "0.0.0.0:0", "0A", 1);
    let with = |more: &[(&str, &str, &str, u64)]| {
        foreign(&table(&[&[listens, ("0.0.0.0:8790", "0.0.0.0:0", "0A", OWN)], more].concat()))
    };
    assert_eq!(with(&[]), (0, 0));
    let sidecar = ("127.0.0.1:8080", "127.0.0.1:4000", "01", 2);
    assert_eq!(with(&[sidecar, ("127.0.0.1:4000", "127.0.0.1:8080", "01", OWN)]), (0, 0));
    // A front container of the pod.
    assert_eq!(with(&[sidecar, ("127.0.0.1:4000", "127.0.0.1:8080", "01", 3)]), (0, 1));
    // A client that uses the pod's address.
    assert_eq!(with(&[("10.0.0.5:8080", "10.0.0.9:4000", "01", 2)]), (1, 1));
    // The node, from which probes come.
    assert_eq!(with(&[("10.0.0.5:8080", "10.0.0.1:4000", "01", 2)]), (0, 0));
    // A client of the sidecar.
    assert_eq!(with(&[("10.0.0.5:8790", "10.0.0.9:4000", "01", OWN)]), (0, 0));
    // What the app itself connects to, and a connection that is over.
    assert_eq!(with(&[("10.0.0.5:4000", "10.0.0.9:443", "01", 2)]), (0, 0));
    assert_eq!(with(&[("10.0.0.5:8080", "10.0.0.9:4000", "06", 0)]), (0, 0));
}

#[test]
fn the_node_of_a_pod_is_its_default_gateway() {
    let text = "Iface\tDestination\tGateway \tFlags\n\
                eth0\t00000000\t0100000A\t0003\t0\n\
                eth0\t0000000A\t00000000\t0001\t0\n";
    assert_eq!(gateways(text), BTreeSet::from([IpAddr::from([10, 0, 0, 1])]));
    assert!(gateways("").is_empty());
}

#[test]
fn an_address_of_version_4_is_one_in_either_table() {
    let mapped: String = [0u32, 0, 0xffff_u32.to_be(), u32::from_ne_bytes([127, 0, 0, 1])]
        .iter()
        .map(|word| format!("{word:08X}"))
        .collect();
    assert_eq!(address(&format!("{mapped}:1F90")), Some("127.0.0.1:8080".parse().unwrap()));
    let loopback: String =
        [0u32, 0, 0, 1_u32.to_be()].iter().map(|word| format!("{word:08X}")).collect();
    assert_eq!(address(&format!("{loopback}:0050")), Some("[::1]:80".parse().unwrap()));
    for nonsense in ["", "0100007F", "0100007F:XYZ", "01:1F90", "zz00007F:1F90"] {
        assert_eq!(address(nonsense), None, "{nonsense}");
    }
}
