//! More connections than there are slots.

use crate::proxy::{completion, question};
use crate::rig::{Folder, Rig, Variant};
use crate::upstream::{Scripted, whole};
use personaguard_server::http::Limits;
use personaguard_server::proxy::Timeouts;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_a_byte_at_a_time_do_not_stop_a_fast_one() {
    let upstream = Scripted::start().await;
    upstream.play(whole(&completion("Kindly.")));
    let limits = Limits { connections: 50, ..Limits::default() };
    let variant = Variant {
        limits,
        upstream: Some((upstream.url.parse().unwrap(), Timeouts::default())),
        ..Variant::default()
    };
    let rig = Rig::start(Folder::new(vec![]).await, variant).await;
    rig.until("the model serves", async || rig.sidecar().app().active_model().is_some()).await;
    let address = rig.url.strip_prefix("http://").unwrap().to_owned();
    let slow = async |head: &'static str| {
        for _ in 0..200 {
            let address = address.clone();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(&address).await?;
                stream.write_all(head.as_bytes()).await?;
                loop {
                    stream.write_all(b"x").await?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                #[allow(unreachable_code, reason = "gives the block its type")]
                std::io::Result::Ok(())
            });
        }
    };
    // Slow heads, then slow bodies.
    for head in
        ["", "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"]
    {
        slow(head).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        for _ in 0..20 {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let request = client.post(format!("{}/v1/chat/completions", rig.url)).json(&question());
            let response = tokio::time::timeout(Duration::from_secs(20), request.send())
                .await
                .expect("the fast client is stopped");
            assert_eq!(response.unwrap().status(), 200);
        }
    }
}
