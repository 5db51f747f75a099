use super::*;
use std::io::ErrorKind;
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
    connections.introduce(of_one.pop().unwrap());
    of_one.push(open(1).unwrap());
    assert_eq!(open(1), None);
    connections.close(of_one.pop().unwrap());
    assert!(open(1).is_some());
    connections.close(other);
    let opened = (3..200).flat_map(|host| (0..10).map(move |_| host)).filter_map(&mut open).count();
    assert_eq!(opened, MAX_STRANGERS - MAX_STRANGERS_PER_PEER);
}

#[tokio::test(start_paused = true)]
async fn issue_15_19_a_connection_that_proves_nothing_ends_and_one_that_does_stays() {
    let connections = Connections::default();
    let (near, mut far) = tokio::io::duplex(64);
    let (stranger, friend) = (peer(1, 1), peer(1, 2));
    let bound = |stream, peer| {
        let timer = Box::pin(sleep_until(connections.open(peer).unwrap()));
        Bounded { stream, peer, connections: connections.clone(), timer }
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
    connections.introduce(friend);
    tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
    far.write_all(b"a").await.unwrap();
    kept.read_exact(&mut byte).await.unwrap();
    connections.introduce(friend);
    tokio::time::sleep(IDLE + Duration::from_secs(1)).await;
    assert_eq!(kept.read_exact(&mut byte).await.unwrap_err().kind(), ErrorKind::TimedOut);
}
