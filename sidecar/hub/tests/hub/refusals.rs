//! What a hub refuses, and what a person is told to do.

use crate::rig::{FILE, Rig, files, weights};
use personaguard_hub::{FetchError, Hub, HubSettings, Wanted};
use personaguard_local_hub::{Fault, LocalHub, REPO, Server};

async fn said_of(repo: &str, revision: &str, file: Option<&str>) -> String {
    let mut rig = Rig::with_file(&weights(1)).await;
    rig.fetch.wanted = Wanted::new(repo, revision, file).unwrap();
    rig.error().await
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_is() {
    let said = said_of(REPO, "main", Some("q5/model.gguf")).await;
    let expected =
        format!("{REPO} has no file q5/model.gguf at main, but {FILE}: take one of these");
    assert_eq!(said, expected);
    for file in [Some(FILE), None] {
        let said = said_of(REPO, "v9", file).await;
        assert!(said.contains("has no revision v9") && said.contains("tags: main)"), "{said}");
        let said = said_of("acme/other", "main", file).await;
        assert!(said.contains("no repository acme/other, or it is private"), "{said}");
    }
    let said = said_of(REPO, "main", None).await;
    assert!(said.contains(&format!("holds GGUF files: name one as file: {FILE}")), "{said}");
}

#[tokio::test]
async fn who_may_not_read_is_told_how_to_be_let_in() {
    let mut rig = Rig::with_file(&weights(1)).await;
    rig.hub.ask_for_token("hf_right");
    let said = rig.error().await;
    assert!(said.contains("give a token that may read it (HF_TOKEN"), "{said}");
    rig.settings.token = Some("hf_wrong".to_owned());
    let said = rig.error().await;
    assert!(said.contains("does not know the token"), "{said}");
    rig.hub.ask_for_licence();
    rig.settings.token = Some("hf_right".to_owned());
    let said = rig.error().await;
    assert!(said.contains(&format!("accept its licence at {}/{REPO}", rig.hub.endpoint)), "{said}");
    assert!(files(&rig.fetch.folder).is_empty());
}

#[tokio::test]
async fn a_page_or_a_pointer_in_place_of_weights_is_called_that() {
    let rig = Rig::with_file(&weights(1)).await;
    rig.hub.fail(vec![Fault::LoginPage; 9]);
    let said = rig.error().await;
    assert!(said.contains("bytes for q4/model.gguf") || said.contains("is a web page"), "{said}");

    let pointer: &[u8] = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    for (bytes, complaint) in [
        (pointer, "is a Git LFS pointer"),
        (b"<!DOCTYPE html><html>log in</html>", "is a web page"),
        (b"PK\x03\x04zip", "is a PyTorch checkpoint or another archive"),
        (b"\x08\0\0\0\0\0\0\0{}", "is not a GGUF file"),
    ] {
        let rig = Rig::with_file(bytes).await;
        let error = rig.run().await.unwrap_err();
        assert!(matches!(error, FetchError::Unusable(_)), "{error:?}");
        assert!(error.to_string().contains(complaint), "{error}");
        assert!(files(&rig.fetch.folder).is_empty());
    }
}

#[tokio::test]
async fn a_proxy_that_answers_by_itself_is_not_taken_for_a_hub() {
    let mut rig = Rig::new(&[("config.json", b"{}")], None).await;
    let portal = LocalHub::start(&[]).await;
    rig.settings.endpoint = format!("{}/storage", portal.endpoint);
    let said = rig.error().await;
    assert!(said.contains("refuses") || said.contains("is not at"), "{said}");
}

#[tokio::test]
async fn redirects_in_circles_are_not_followed_for_ever() {
    let rig = Rig::with_file(&weights(1)).await;
    let around = format!("{}/storage/q4%2Fmodel.gguf", rig.hub.endpoint);
    rig.hub.fail(vec![Fault::Redirect(around); 20]);
    let said = rig.error().await;
    assert!(said.contains("redirects again and again"), "{said}");
}

#[tokio::test]
async fn own_authorities_are_trusted_and_nobody_is_led_out_of_encryption() {
    let mut rig = Rig::with_file(&weights(1)).await;
    let (hub, pem) = LocalHub::start_with_tls(&[(FILE, &weights(1))]).await;
    rig.settings.endpoint.clone_from(&hub.endpoint);
    let said = rig.error().await;
    assert!(
        said.contains("cannot be reached") && said.to_lowercase().contains("certificate"),
        "{said}"
    );
    let authorities = rig.folder.path().join("ca.crt");
    std::fs::write(&authorities, pem).unwrap();
    rig.settings.ca_file = Some(authorities);
    // The hub is trusted, but its storage has no encryption.
    let error = rig.run().await.unwrap_err();
    assert!(matches!(error, FetchError::Refused(_)), "{error:?}");
    assert!(error.to_string().contains("redirects to an address without encryption"), "{error}");
    assert!(hub.seen().iter().all(|it| it.server == Server::Hub));
}

#[test]
fn settings_that_cannot_work_are_told_at_once() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let bad = |settings: HubSettings| Hub::new(settings).unwrap_err().to_string();
    let settings = HubSettings::default;
    let said = bad(HubSettings { endpoint: "huggingface.co".to_owned(), ..settings() });
    assert!(said.contains("write https://HOST"), "{said}");
    let said = bad(HubSettings { proxy: Some("http://u:pass@:0:0".to_owned()), ..settings() });
    assert!(said.contains("http://HOST:PORT") && !said.contains("pass"), "{said}");
    let said = bad(HubSettings { token: Some("hf\nx".to_owned()), ..settings() });
    assert!(said.contains("token"), "{said}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let said = bad(HubSettings { ca_file: Some(file.path().to_owned()), ..settings() });
    assert!(said.contains("holds no certificates in PEM"), "{said}");
}
