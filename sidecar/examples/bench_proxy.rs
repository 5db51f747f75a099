//! What placement Proxy costs where nothing is scored, and what slow clients do to fast ones.
//!
//! ```text
//! cargo run --release -p personaguard --example bench_proxy -- overhead --model model.gguf
//! cargo run --release -p personaguard --example bench_proxy -- connections --model model.gguf
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a measurement")]

use axum::Router;
use axum::routing::post;
use clap::{Parser, Subcommand};
use personaguard::config::Source;
use personaguard::proxy::Times;
use personaguard::serve::Limits;
use personaguard::sidecar::{Setup, Sidecar};
use personaguard_crds::Digest;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
    /// Weight file (GGUF): a sidecar loads it, though nothing is scored.
    #[arg(long, global = true, env = "PERSONAGUARD_TEST_MODEL")]
    model: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    /// Latency through the proxy against latency without it, in pairs, at a fixed rate.
    Overhead {
        /// Pairs a second.
        #[arg(long, default_value_t = 200)]
        rate: u32,
        /// How long.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// Latency of a fast client while slow ones send a byte a second each.
    Connections {
        /// Slow clients.
        #[arg(long, default_value_t = 10_000)]
        slow: usize,
        /// How long.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
}

const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"How should I treat my neighbour?"}]}"#;

fn main() {
    let options = Options::parse();
    let model = options.model.expect("give --model FILE");
    // Each part has threads of its own, as it would be a process of its own.
    let runtime =
        |threads| tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    let (servers, sidecars, clients) = (runtime(1), runtime(2), runtime(1));
    let upstream = servers.block_on(upstream());
    let folder = tempfile::TempDir::new().unwrap();
    let (sidecar, address) = sidecars.block_on(sidecar(folder.path(), &model, &upstream));
    match options.what {
        What::Overhead { rate, seconds } => clients.block_on(overhead(&upstream, &address, rate, seconds)),
        What::Connections { slow, seconds } => {
            raise_limit();
            clients.block_on(connections(&address, slow, seconds));
        }
    }
    sidecars.block_on(sidecar.stop());
}

/// A server that answers at once.
async fn upstream() -> String {
    let answer = async || {
        (
            [("content-type", "application/json")],
            r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Kindly."},"finish_reason":"stop"}]}"#,
        )
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new().route("/v1/chat/completions", post(answer));
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    address
}

async fn sidecar(folder: &Path, model: &Path, upstream: &str) -> (Sidecar, String) {
    let digest = Digest::of(&std::fs::read(model).unwrap());
    let config = format!(
        "apiVersion: personaguard.dev/v1alpha1\nkind: GuardConfig\nmodel: {{name: m, file: \"{}\", sha256: {digest}, contextLength: 512, maxConcurrent: 1}}\nvectors: {{}}\npolicies: []\n",
        model.canonicalize().unwrap().display()
    );
    std::fs::write(folder.join("config.yaml"), config).unwrap();
    let api = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = api.local_addr().unwrap().to_string();
    let sidecar = Sidecar::start(Setup {
        source: Source { folder: folder.to_owned(), model_file: None, labels: None },
        api,
        admin: None,
        reports: None,
        upstream: Some((format!("http://{upstream}").parse().unwrap(), Times::default())),
        limits: Limits::default(),
        grace: Duration::from_secs(1),
    });
    while sidecar.host().serving().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (sidecar, address)
}

async fn overhead(direct: &str, proxied: &str, rate: u32, seconds: u64) {
    let client = || reqwest::Client::builder().no_proxy().tcp_nodelay(true).build().unwrap();
    let ways = [(client(), url(direct)), (client(), url(proxied))];
    for (client, url) in &ways {
        for _ in 0..200 {
            ask(client, url).await;
        }
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    let (mut times, mut added) = ([Vec::new(), Vec::new()], Vec::new());
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut pair = 0;
    while Instant::now() < end {
        ticks.tick().await;
        let mut took = [Duration::ZERO; 2];
        // In turns, so that neither always comes first.
        for way in [pair % 2, 1 - pair % 2] {
            took[way] = ask(&ways[way].0, &ways[way].1).await;
        }
        times[0].push(took[0].as_secs_f64() * 1e3);
        times[1].push(took[1].as_secs_f64() * 1e3);
        added.push((took[1].as_secs_f64() - took[0].as_secs_f64()) * 1e3);
        pair += 1;
    }
    let [direct, proxied] = &mut times;
    println!("{pair} pairs at {rate} a second, milliseconds");
    for (name, values) in [("direct", direct), ("proxied", proxied), ("added, in pairs", &mut added)] {
        println!(
            "{name:>16}: p50 {:.3}  p90 {:.3}  p99 {:.3}  max {:.3}",
            quantile(values, 0.5),
            quantile(values, 0.9),
            quantile(values, 0.99),
            quantile(values, 1.0)
        );
    }
}

fn url(address: &str) -> String {
    format!("http://{address}/v1/chat/completions")
}

async fn ask(client: &reqwest::Client, url: &str) -> Duration {
    let begun = Instant::now();
    let response = client.post(url).header("content-type", "application/json").body(BODY).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.bytes().await.unwrap();
    begun.elapsed()
}

fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    values[((values.len() - 1) as f64 * q).round() as usize]
}

async fn connections(address: &str, slow: usize, seconds: u64) {
    let (open, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for index in 0..slow {
        let (address, open, lost) = (address.to_owned(), Arc::clone(&open), Arc::clone(&lost));
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(index as u64 * 300)).await;
            loop {
                if let Ok(mut stream) = TcpStream::connect(&address).await {
                    open.fetch_add(1, Ordering::Relaxed);
                    for byte in std::iter::repeat(
                        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                    )
                    .flatten()
                    {
                        if stream.write_all(&[*byte]).await.is_err() {
                            break;
                        }
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    open.fetch_sub(1, Ordering::Relaxed);
                }
                lost.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }
    // Until all have tried.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (mut times, mut failed) = (Vec::new(), 0);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        // A connection of its own each time, as the worst case.
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let begun = Instant::now();
        match client.post(url(address)).header("content-type", "application/json").body(BODY).send().await {
            Ok(response) if response.status() == 200 => times.push(begun.elapsed().as_secs_f64() * 1e3),
            _ => failed += 1,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "{slow} slow clients ({} connected, {} times closed on): fast client {} requests, {failed} failed; milliseconds p50 {:.2}  p99 {:.2}  max {:.2}",
        open.load(Ordering::Relaxed),
        lost.load(Ordering::Relaxed),
        times.len(),
        quantile(&mut times, 0.5),
        quantile(&mut times, 0.99),
        quantile(&mut times, 1.0)
    );
    assert_eq!(failed, 0, "a fast client was stopped");
}

/// Both ends of each connection are files of this process.
fn raise_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
