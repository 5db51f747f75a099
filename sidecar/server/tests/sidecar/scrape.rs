//! What scrapers get.

use crate::rig::{Rig, chat, policy};
use personaguard_strict_scrape::parse;
use personaguard_terms::Action;

#[tokio::test(flavor = "multi_thread")]
async fn item_19_strict_parsers_take_a_scrape_with_scores_below_zero() {
    let rig = Rig::ready(vec![policy(Action::Alert, Some(1e6))]).await;
    rig.complete(&chat("Be kind.")).await;
    let scored = "personaguard_trait_score_count{policy=\"no-villains\",trait=\"evil\"} 1";
    rig.until(scored, async || rig.sidecar().app().encode_metrics().contains(scored)).await;

    let url = format!("{}/metrics", rig.url);
    let get = async |accept: &str| {
        let request = reqwest::Client::new().get(&url).header("accept", accept);
        let response = request.send().await.unwrap();
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, response.text().await.unwrap())
    };
    let (kind, open) = get("*/*").await;
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let samples = parse(&open).unwrap();
    let named = |suffix: &str| {
        let name = format!("personaguard_trait_score{suffix}");
        samples.iter().filter(|sample| sample.name == name).collect::<Vec<_>>()
    };
    assert!(named("_sum").is_empty() && named("_count").is_empty());
    let all = named("_bucket").into_iter().find(|sample| sample.labels["le"] == "+Inf").unwrap();
    assert_eq!(all.value, 1.0);

    // The older format, in which every family that has samples has its help and type.
    let (kind, text) = get("text/plain;version=0.0.4").await;
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    for sample in &samples {
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| sample.name.strip_suffix(suffix))
            .unwrap_or(&sample.name);
        assert!(text.contains(&format!("# TYPE {family} ")), "{family}:\n{text}");
        assert!(text.contains(&format!("# HELP {family} ")), "{family}:\n{text}");
    }
}
