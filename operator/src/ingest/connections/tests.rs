use super::open::{IDLE, INTRODUCTION, MAX_PER_POD, MAX_STRANGERS, MAX_STRANGERS_PER_PEER};
use super::*;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn peer(host: u8, port: u16) -> SocketAddr {
    ([10, 0, 0, host], port).into()
}

#[test]
fn issue_15_19_strangers_are_bounded_by_peer_and_in_all_and_leave_room_for_others() {
    let connections = Connections::default();
    let mut port = 0;
    let mut open = |host: u8| {
        port += 1;
        connections.open(peer(host, port)).map(|_| peer(host, port))
    };
    let mut of_one: Vec<_> = (0..MAX_STRANGERS_PER_PEER).map(|_| open(1).unwrap()).collect();
    assert_eq!(open(1), None);
    let other = open(2).unwrap();
    // One that proved itself, or ended, makes room.
    connections.introduce(of_one.pop().unwrap(), "pod");
    of_one.push(open(1).unwrap());
    assert_eq!(open(1), None);
    connections.close(of_one.pop().unwrap());
    assert!(open(1).is_some());
    connections.close(other);
    let opened = (3..200).flat_map(|host| (0..10).map(move |_| host)).filter_map(&mut open).count();
    assert!(opened >= MAX_STRANGERS - MAX_STRANGERS_PER_PEER);
    // And the one that proved itself.
    assert_eq!(connections.lock().connections.len(), MAX_STRANGERS + 1);
}

#[tokio::test(start_paused = true)]
async fn issue_15_19_a_connection_that_proves_nothing_ends_and_one_that_does_stays() {
    let connections = Connections::default();
    let (near, mut far) = tokio::io::duplex(64);
    let (stranger, friend) = (peer(1, 1), peer(1, 2));
    let bound = |stream, peer| {
        let opened = connections.open(peer).unwrap();
        Bounded::new(stream, peer, connections.clone(), opened)
    };
    let mut slow = bound(near, stranger);
    let mut byte = [0];
    far.write_all(b"a").await.unwrap();
    slow.read_exact(&mut byte).await.unwrap();
    // A byte now and then does not help.
    let trickle = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if far.write_all(b"a").await.is_err() {
                return;
            }
        }
    };
    let read = async {
        loop {
            if let Err(error) = slow.read_exact(&mut byte).await {
                return error;
            }
        }
    };
    let started = Instant::now();
    let error = tokio::select! {
        error = read => error,
        () = trickle => panic!("it was closed without an error"),
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(started.elapsed() <= INTRODUCTION);
    drop(slow);
    assert!(connections.lock().connections.is_empty());

    let (near, mut far) = tokio::io::duplex(64);
    let mut kept = bound(near, friend);
    connections.introduce(friend, "pod");
    tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
    far.write_all(b"a").await.unwrap();
    kept.read_exact(&mut byte).await.unwrap();
    connections.introduce(friend, "pod");
    tokio::time::sleep(IDLE + Duration::from_secs(1)).await;
    assert_eq!(kept.read_exact(&mut byte).await.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn issue_15_19_strangers_from_many_places_keep_no_newcomer_out() {
    let connections = Connections::default();
    let mut held = Vec::new();
    for host in 0..16 {
        for port in 0..64 {
            let (near, far) = tokio::io::duplex(64);
            let peer = peer(host, 1000 + port);
            let opened = connections.open(peer).unwrap();
            held.push((Bounded::new(near, peer, connections.clone(), opened), far));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    }
    let (oldest, _far) = &mut held[0];
    let mut byte = [0];
    assert!(connections.open(peer(200, 1)).is_some(), "it comes for the first time");
    let error = oldest.read_exact(&mut byte).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "and one of those gives way at once");
    drop(held);
    assert_eq!(connections.lock().connections.len(), 1);
    // Neither do 1,024 places of one connection each.
    let connections = Connections::default();
    let host = |number: u32| SocketAddr::new(std::net::Ipv4Addr::from(number).into(), 1);
    (0..5000).for_each(|number| assert!(connections.open(host(number)).is_some()));
    assert!(connections.lock().connections.len() <= MAX_STRANGERS);
}

#[test]
fn issue_15_19_one_pod_holds_few_connections() {
    let connections = Connections::default();
    for port in 0..40_000 {
        let own = peer(1, port);
        assert!(connections.open(own).is_some());
        connections.introduce(own, "many");
    }
    assert_eq!(connections.lock().connections.len(), MAX_PER_POD);
    let newest = peer(1, 39_999);
    assert!(connections.deadline(newest).is_some());
}
