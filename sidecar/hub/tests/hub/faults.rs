//! Faults of the network and of the hub, and what a fetch makes of them.

use crate::rig::{FILE, Rig, files, sha256, weights};
use personaguard_hub::{Event, FetchError};
use personaguard_local_hub::Fault;

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_transfer_that_broke_off_asks_for_the_rest_only() {
    let bytes = weights(1);
    let rig = Rig::with_file(&bytes).await;
    rig.hub.fail([Fault::BreakOff(MIB), Fault::Stall(MIB), Fault::Status(503)]);
    rig.run().await.unwrap();
    assert_eq!(std::fs::read(rig.path()).unwrap(), bytes);
    let ranges: Vec<_> = rig.transfers().into_iter().map(|it| it.range).collect();
    let rest = |from: usize| Some(format!("bytes={from}-"));
    assert_eq!(ranges, [None, rest(MIB), rest(2 * MIB), rest(2 * MIB)]);
}

#[tokio::test]
async fn a_process_that_was_killed_is_continued_by_the_next() {
    let bytes = weights(1);
    let mut rig = Rig::with_file(&bytes).await;
    rig.settings.pace.repetitions = 0;
    rig.hub.fail([Fault::BreakOff(MIB)]);
    let error = rig.run().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(files(&rig.fetch.folder).is_empty(), "a file that is not whole has not its name");
    rig.hub.seen();
    rig.run().await.unwrap();
    assert_eq!(rig.transfers()[0].range, Some(format!("bytes={MIB}-")));
    assert_eq!(std::fs::read(rig.path()).unwrap(), bytes);
    let resumed = Event::Resumed { file: FILE.to_owned(), done: MIB as u64 };
    assert!(rig.events.lock().unwrap().contains(&resumed));
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_fetched_from_its_beginning() {
    let (before, after) = (weights(1), weights(2));
    let mut rig = Rig::with_file(&before).await;
    rig.settings.pace.repetitions = 0;
    rig.hub.fail([Fault::BreakOff(MIB)]);
    rig.run().await.unwrap_err();
    rig.hub.put(FILE, &after);
    rig.hub.seen();
    rig.run().await.unwrap();
    assert_eq!(rig.transfers()[0].range, None);
    assert_eq!(std::fs::read(rig.path()).unwrap(), after);
    let work: Vec<_> = std::fs::read_dir(rig.fetch.folder.join(".fetch")).unwrap().collect();
    assert_eq!(work.len(), 2, "no part of the former version is left: {work:?}");
}

#[tokio::test]
async fn a_file_that_changes_under_way_is_noticed() {
    let (before, mut after) = (weights(1), weights(2));
    for length in [before.len(), before.len() - 10] {
        after.truncate(length);
        let rig = Rig::with_file(&before).await;
        rig.hub.fail([Fault::BreakOff(MIB), Fault::Change(FILE, after.clone())]);
        rig.run().await.unwrap();
        assert_eq!(std::fs::read(rig.path()).unwrap(), after, "{length}");
    }
}

#[tokio::test]
async fn servers_without_ranges_and_with_wrong_ones_do_no_harm() {
    let bytes = weights(1);
    for fault in [Fault::NoRanges, Fault::WrongRange, Fault::Status(416), Fault::Status(403)] {
        let rig = Rig::with_file(&bytes).await;
        rig.hub.fail([Fault::BreakOff(MIB), fault.clone()]);
        rig.run().await.unwrap();
        assert_eq!(std::fs::read(rig.path()).unwrap(), bytes, "{fault:?}");
    }
}

#[tokio::test]
async fn damage_on_the_way_is_found_and_not_put_in_place() {
    let bytes = weights(1);
    let rig = Rig::with_file(&bytes).await;
    rig.hub.fail([Fault::Damage]);
    rig.run().await.unwrap();
    assert_eq!(std::fs::read(rig.path()).unwrap(), bytes);

    let rig = Rig::with_file(&bytes).await;
    rig.hub.fail([Fault::Damage, Fault::Damage]);
    let error = rig.run().await.unwrap_err();
    assert!(matches!(error, FetchError::Digest(_)), "{error:?}");
    assert!(error.to_string().contains("a proxy that changes files"), "{error}");
    assert!(files(&rig.fetch.folder).is_empty());
}

#[tokio::test]
async fn another_digest_than_expected_costs_no_transfer() {
    let mut rig = Rig::with_file(&weights(1)).await;
    rig.fetch.sha256 = Some(sha256(b"other"));
    let error = rig.run().await.unwrap_err();
    assert!(matches!(error, FetchError::Digest(_)), "{error:?}");
    let said = error.to_string();
    assert!(said.contains(&sha256(&weights(1))) && said.contains(&sha256(b"other")), "{said}");
    assert!(rig.transfers().is_empty() && files(&rig.fetch.folder).is_empty());
}

#[tokio::test]
async fn it_is_given_up_after_a_while() {
    for fault in [Fault::Status(500), Fault::Status(429), Fault::BreakOff(10), Fault::Stall(10)] {
        let rig = Rig::with_file(&weights(1)).await;
        rig.hub.fail(vec![fault.clone(); 20]);
        let error = rig.run().await.unwrap_err();
        assert!(error.is_transient(), "{fault:?}: {error}");
        assert_eq!(rig.transfers().len(), 4, "{fault:?}");
    }
    let mut rig = Rig::with_file(&weights(1)).await;
    rig.settings.endpoint = "http://127.0.0.1:1".to_owned();
    let said = rig.error().await;
    assert!(said.starts_with("127.0.0.1:1 cannot be reached"), "{said}");
}

#[tokio::test]
async fn too_little_room_is_told_before_anything_is_fetched() {
    let mut rig = Rig::with_file(&weights(1)).await;
    rig.fetch.max_bytes = Some(MIB as u64);
    let error = rig.run().await.unwrap_err();
    assert!(matches!(error, FetchError::NoSpace(_)), "{error:?}");
    assert!(error.to_string().contains("raise sizeLimit of source.hub"), "{error}");
    assert!(rig.transfers().is_empty());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let mut rig = Rig::with_file(&weights(1)).await;
    std::fs::write(rig.folder.path().join("file"), "").unwrap();
    rig.fetch.folder = rig.folder.path().join("file/model");
    let said = rig.error().await;
    assert!(said.contains("/file/model/.fetch cannot be made"), "{said}");
}
