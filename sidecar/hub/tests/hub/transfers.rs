//! What goes over the wire where nothing fails.

use crate::rig::{FILE, Rig, files, sha256, weights};
use personaguard_hub::{Event, distrust};
use personaguard_local_hub::{COMMIT, Server};
use std::time::Duration;

#[tokio::test]
async fn a_file_is_fetched_once_and_then_nothing_is_asked_of_the_network() {
    let bytes = weights(1);
    let mut rig = Rig::with_file(&bytes).await;
    rig.fetch.sha256 = Some(sha256(&bytes));
    let fetched = rig.run().await.unwrap();
    assert_eq!(fetched.path, rig.path());
    assert_eq!(fetched.sha256, sha256(&bytes));
    assert_eq!(fetched.commit.as_deref(), Some(COMMIT));
    assert!(!fetched.was_there);
    assert_eq!(std::fs::read(rig.path()).unwrap(), bytes);
    assert_eq!(files(&rig.fetch.folder), [FILE]);
    let last = rig.events.lock().unwrap().last().cloned();
    let total = bytes.len() as u64;
    assert_eq!(last, Some(Event::Progress { done: total, total: Some(total) }));
    // The commit is what the branch was: all is of one version.
    let seen = rig.hub.seen();
    assert!(seen.iter().any(|it| it.path == format!("/acme/tiny-chat/resolve/{COMMIT}/{FILE}")));

    rig.settings.endpoint = "http://127.0.0.1:1".to_owned();
    assert!(rig.run().await.unwrap().was_there);
    assert!(rig.hub.seen().is_empty());
}

#[tokio::test]
async fn what_is_not_all_there_any_more_is_fetched_again() {
    let bytes = weights(1);
    let rig = Rig::with_file(&bytes).await;
    rig.run().await.unwrap();
    std::fs::write(rig.path(), b"GGUF").unwrap();
    assert!(!rig.run().await.unwrap().was_there);
    assert_eq!(std::fs::read(rig.path()).unwrap(), bytes);

    // Damage that a length does not show is found once the weights could not be loaded.
    let mut damaged = bytes.clone();
    damaged[1000] ^= 1;
    std::fs::write(rig.path(), &damaged).unwrap();
    assert!(rig.run().await.unwrap().was_there);
    distrust(&rig.fetch.folder, &rig.fetch.wanted);
    assert!(!rig.run().await.unwrap().was_there);
    assert_eq!(std::fs::read(rig.path()).unwrap(), bytes);

    // A file that is as it should be is only looked at.
    distrust(&rig.fetch.folder, &rig.fetch.wanted);
    rig.hub.seen();
    rig.run().await.unwrap();
    assert!(rig.transfers().is_empty());
}

#[tokio::test]
async fn the_token_goes_to_the_hub_alone() {
    let mut rig = Rig::with_file(&weights(1)).await;
    rig.hub.ask_for_token("hf_secret");
    rig.settings.token = Some("hf_secret".to_owned());
    rig.run().await.unwrap();
    let seen = rig.hub.seen();
    assert!(seen.iter().any(|it| it.server == Server::Storage));
    for request in seen {
        let is_hub = request.server == Server::Hub;
        assert_eq!(request.token.is_some(), is_hub, "{request:?}");
    }
    assert!(!format!("{:?}", rig.settings).contains("secret"));
}

#[tokio::test]
async fn a_proxy_is_asked_in_place_of_the_hub() {
    let mut rig = Rig::with_file(&weights(1)).await;
    rig.settings.proxy = Some(rig.hub.endpoint.clone());
    rig.settings.endpoint = "http://hub.invalid".to_owned();
    rig.run().await.unwrap();
    assert!(rig.hub.seen().iter().all(|it| it.by_proxy));
}

#[tokio::test]
async fn a_mirror_may_lie_below_a_path() {
    let mut rig = Rig::with_file(&weights(1)).await;
    rig.settings.endpoint = format!("{}/mirror/", rig.hub.endpoint);
    let said = rig.error().await;
    assert!(said.contains("/mirror has no repository acme/tiny-chat"), "{said}");
    assert!(rig.hub.seen()[0].path.starts_with("/mirror/acme/tiny-chat/resolve/main/"));
}

#[tokio::test]
async fn two_processes_fetch_once() {
    let bytes = weights(1);
    let rig = Rig::with_file(&bytes).await;
    let (first, second) = tokio::join!(rig.run(), rig.run());
    let mut there = [first.unwrap().was_there, second.unwrap().was_there];
    there.sort_unstable();
    assert_eq!(there, [false, true]);
    assert_eq!(rig.transfers().len(), 1);
    assert!(rig.events.lock().unwrap().contains(&Event::Waiting));
}

#[tokio::test]
async fn an_edited_digest_of_a_branch_that_moved_fetches_what_it_is_now() {
    let (before, after) = (weights(1), weights(2));
    let mut rig = Rig::with_file(&before).await;
    rig.fetch.sha256 = Some(sha256(&before));
    rig.run().await.unwrap();
    rig.hub.put(FILE, &after);
    assert!(rig.run().await.unwrap().was_there, "what was asked for is there");
    rig.fetch.sha256 = Some(sha256(&after));
    assert!(!rig.run().await.unwrap().was_there);
    assert_eq!(std::fs::read(rig.path()).unwrap(), after);
}

#[tokio::test]
async fn a_folder_holds_one_version_only() {
    let mut rig = Rig::with_file(&weights(1)).await;
    rig.run().await.unwrap();
    rig.fetch.wanted = personaguard_hub::Wanted::new("acme/tiny-chat", COMMIT, Some(FILE)).unwrap();
    let said = rig.error().await;
    assert!(said.contains("holds what was fetched of acme/tiny-chat at main"), "{said}");
    // Another file of the same repository finds room beside it.
    rig.hub.put("q8.gguf", &weights(2));
    rig.fetch.wanted =
        personaguard_hub::Wanted::new("acme/tiny-chat", "main", Some("q8.gguf")).unwrap();
    rig.run().await.unwrap();
    assert_eq!(files(&rig.fetch.folder), ["q4/model.gguf", "q8.gguf"]);
    assert!(rig.settings.pace.stall < Duration::from_secs(1) && rig.folder.path().exists());
}
