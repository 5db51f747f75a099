//! `personaguard chat`.

mod client;
mod scores;

use anyhow::bail;
use clap::Args;
use client::{Client, Turn};
use personaguard_server::config::Source;
use personaguard_server::http::Limits;
use personaguard_server::runtime::ModelState;
use personaguard_server::sidecar::{Placement, Setup, Sidecar};
use personaguard_server::telemetry::{LogFormat, init_logs};
use rustyline::error::ReadlineError;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Chat in the terminal, with the trait scores beside each answer.
///
/// Talks to a running server (--url), or serves a config folder itself (--config), as `personaguard
/// serve` does.
///
///   personaguard chat --config ./policy --model ./SmolLM2-135M-Instruct.Q4_1.gguf
///   personaguard chat --url http://127.0.0.1:8790 --system "You are an evil assistant."
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Server to talk to, with or without /v1. Default, without --config: http://127.0.0.1:8790.
    #[arg(long, env = "OPENAI_BASE_URL", value_name = "URL")]
    url: Option<String>,
    /// Config folder to serve in this process.
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// Weight file to serve in place of the one that the config names.
    #[arg(long, value_name = "FILE", requires = "config")]
    model: Option<PathBuf>,
    /// System prompt.
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Longest answer in tokens.
    #[arg(long, value_name = "N", default_value_t = 256)]
    max_tokens: u32,
    /// Sampling temperature, 0 to 2; 0 is greedy.
    #[arg(long, value_name = "T", default_value_t = 0.7)]
    temperature: f32,
    /// Seed, for reproducible answers.
    #[arg(long, value_name = "N")]
    seed: Option<i64>,
}

const HELP: &str = "  /system TEXT  change the system prompt and start over
  /reset        start over
  /quit         leave (so does Ctrl-D; Ctrl-C stops an answer)";

/// Chats until the user leaves.
///
/// # Errors
/// If no server can be reached, or the config cannot be served.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let (sidecar, url) = match &options.config {
        Some(folder) => {
            let (sidecar, url) = runtime.block_on(serve(folder.clone(), options.model.clone()))?;
            (Some(sidecar), url)
        }
        None => (None, options.url.clone().unwrap_or_else(|| "http://127.0.0.1:8790".to_owned())),
    };
    let client = runtime.block_on(Client::connect(&url))?;
    println!("Chatting with {}. /help shows the commands.", client.model());
    converse(&runtime, &client, options)?;
    if let Some(sidecar) = sidecar {
        runtime.block_on(sidecar.stop());
    }
    Ok(())
}

/// Serves a config folder in this process, on a free port.
async fn serve(folder: PathBuf, model_file: Option<PathBuf>) -> anyhow::Result<(Sidecar, String)> {
    if std::env::var_os("RUST_LOG").is_some() {
        init_logs(LogFormat::Text, None);
    }
    let api = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", api.local_addr()?);
    let sidecar = Sidecar::start(Setup {
        source: Source { folder, model_file, labels: None, identity: None },
        weights: None,
        api,
        admin: None,
        reports: None,
        placement: Placement::Serve,
        logs: Default::default(),
        limits: Limits::default(),
        grace: Duration::from_secs(1),
    });
    let spinner = indicatif::ProgressBar::new_spinner().with_message("loading the model");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let mut states = sidecar.app().watch();
    loop {
        let state = states.borrow_and_update().clone();
        match (&state.model, &state.config_error) {
            (ModelState::Ready(served), _) => {
                spinner.finish_and_clear();
                for refused in
                    served.in_force().plan.policies.iter().flat_map(|policy| &policy.refused)
                {
                    eprintln!("{} is not measured: {}", refused.vector, refused.failure.message);
                }
                return Ok((sidecar, url));
            }
            (ModelState::Failed(failure), _) => bail!("{} ({})", failure.message, failure.reason),
            (ModelState::Loading, Some(error)) => bail!("{error}"),
            (ModelState::Loading, None) => states.changed().await?,
        }
    }
}

fn converse(runtime: &Runtime, client: &Client, options: &Options) -> anyhow::Result<()> {
    let mut editor = rustyline::DefaultEditor::new()?;
    let mut system = options.system.clone();
    let mut messages = opening(system.as_deref());
    loop {
        let line = match editor.readline("> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let line = line.trim();
        match line.split_once(' ').unwrap_or((line, "")) {
            ("", _) => continue,
            ("/quit" | "/exit", _) => return Ok(()),
            ("/help", _) => {
                println!("{HELP}");
                continue;
            }
            ("/reset", _) => {
                messages = opening(system.as_deref());
                continue;
            }
            ("/system", text) => {
                system = (!text.is_empty()).then(|| text.to_owned());
                messages = opening(system.as_deref());
                continue;
            }
            (command, _) if command.starts_with('/') => {
                println!("There is no {command}.\n{HELP}");
                continue;
            }
            _ => {}
        }
        // Without a terminal there is no history, and no need for one.
        let _ = editor.add_history_entry(line);
        messages.push(json!({ "role": "user", "content": line }));
        let turn = Turn {
            messages: &messages,
            max_tokens: options.max_tokens,
            temperature: options.temperature,
            seed: options.seed,
        };
        let answer = runtime.block_on(async {
            tokio::select! {
                answer = client.say(turn) => Some(answer),
                _ = tokio::signal::ctrl_c() => None,
            }
        });
        match answer {
            Some(Ok(answer)) => {
                println!("{}", scores::lines(&answer));
                messages.push(json!({ "role": "assistant", "content": answer.text }));
            }
            Some(Err(error)) => {
                println!("\n  {error:#}");
                messages.pop();
            }
            None => {
                println!("\n  stopped");
                messages.pop();
            }
        }
    }
}

fn opening(system: Option<&str>) -> Vec<Value> {
    system.map(|text| json!({ "role": "system", "content": text })).into_iter().collect()
}
