//! Weights that are fetched from a model hub before they are served.

use crate::rig::{Folder, Rig, Variant, chat, text, weights};
use personaguard_hub::{Hub, HubSettings, Wanted};
use personaguard_local_hub::{Fault, LocalHub, REPO};
use personaguard_server::runtime::WeightsHub;
use personaguard_wire::PodState;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const FILE: &str = "tiny.gguf";

async fn local_hub() -> LocalHub {
    LocalHub::start(&[(FILE, &std::fs::read(weights()).unwrap())]).await
}

/// A config folder whose weights are to be fetched, and where to.
async fn folder() -> (Folder, PathBuf) {
    let mut folder = Folder::new(Vec::new()).await;
    let path = folder.path().join("weights").join(FILE);
    folder.config.model.file = path.to_string_lossy().into_owned();
    folder.write();
    (folder, path)
}

fn from(endpoint: &str, file: &str) -> Variant {
    let settings = HubSettings { endpoint: endpoint.to_owned(), ..HubSettings::default() };
    let wanted = Wanted::new(REPO, "main", Some(file)).unwrap();
    let hub = WeightsHub { hub: Hub::new(settings).unwrap(), wanted, max_bytes: None };
    Variant { weights: Some(hub), ..Variant::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_fetched_once_and_served() {
    let hub = local_hub().await;
    let (folder, path) = folder().await;
    hub.fail([Fault::BreakOff(100_000)]);
    let rig = Rig::start(folder, from(&hub.endpoint, FILE)).await;
    rig.until_ready().await;
    assert!(!text(&rig.complete(&chat("Hi")).await).is_empty());
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(weights()).unwrap());
    hub.seen();
    let Rig { folder, sidecar, .. } = rig;
    sidecar.unwrap().stop().await;

    let rig = Rig::start(folder, from("http://127.0.0.1:1", FILE)).await;
    rig.until_ready().await;
    assert!(hub.seen().is_empty());

    // Damage on disk that a length does not show is found on loading, and mended.
    let Rig { folder, sidecar, .. } = rig;
    sidecar.unwrap().stop().await;
    let mut damaged = std::fs::read(&path).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let rig = Rig::start(folder, from(&hub.endpoint, FILE)).await;
    rig.until_ready().await;
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(weights()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_weights_are_fetched_reports_say_how_far_it_is_and_a_stop_does_not_wait() {
    let hub = local_hub().await;
    hub.fail([Fault::Stall(100_000)]);
    let (folder, _) = folder().await;
    let rig = Rig::start(folder, from(&hub.endpoint, FILE)).await;
    let told = || rig.sidecar().app().report().model.failure;
    rig.until("told", async || told().is_some()).await;
    let (status, body) = rig.get("/readyz").await;
    assert!(status == 503 && body.contains("fetching tiny.gguf of acme/tiny-chat"), "{body}");
    let report = rig.sidecar().app().report();
    assert_eq!(report.model.state, PodState::Loading);
    let failure = report.model.failure.clone().unwrap();
    assert_eq!(failure.reason, "FetchingWeights");
    assert!(failure.message.contains('%'), "{}", failure.message);
    report.validate().unwrap();
    let began = Instant::now();
    rig.sidecar.unwrap().stop().await;
    assert!(began.elapsed() < Duration::from_secs(10), "it waited {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_cannot_be_fetched_are_reported_with_what_to_do() {
    let private = local_hub().await;
    private.ask_for_token("hf_secret");
    let other = LocalHub::start(&[(FILE, b"GGUF of something else")]).await;
    let public = local_hub().await;
    for (hub, file, reason, complaint) in [
        (&private, FILE, "WeightsNotFetched", "give a token"),
        (&public, "small.gguf", "WeightsNotFound", "has no file small.gguf at main, but tiny.gguf"),
        (&other, FILE, "DigestMismatch", "expected"),
    ] {
        let mut folder = Folder::new(Vec::new()).await;
        let path = folder.path().join("weights").join(file);
        folder.config.model.file = path.to_string_lossy().into_owned();
        folder.write();
        let rig = Rig::start(folder, from(&hub.endpoint, file)).await;
        let failed = || rig.sidecar().app().report().model;
        rig.until(reason, async || failed().state == PodState::Failed).await;
        let failure = failed().failure.unwrap();
        assert_eq!(failure.reason, reason, "{}", failure.message);
        assert!(failure.message.contains(complaint), "{}", failure.message);
        rig.sidecar.unwrap().stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_somebody_put_there_are_served_without_a_hub() {
    let (folder, path) = folder().await;
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::copy(weights(), &path).unwrap();
    // Nothing listens there: each request fails at once, and is repeated for a minute.
    let settings = HubSettings {
        endpoint: "http://127.0.0.1:1".to_owned(),
        pace: personaguard_hub::Pace { repetitions: 0, ..personaguard_hub::Pace::default() },
        ..HubSettings::default()
    };
    let mut variant = from("http://127.0.0.1:1", FILE);
    variant.weights.as_mut().unwrap().hub = Hub::new(settings).unwrap();
    let rig = Rig::start(folder, variant).await;
    rig.until_ready().await;
}
