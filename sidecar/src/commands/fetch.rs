//! `personaguard fetch`.

use crate::args::HubArgs;
use anyhow::Context as _;
use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use personaguard_hub::{Event, Fetch, Fetched, Wanted};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Time between two lines of progress where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// Fetch a model from a model hub, and print its SHA-256.
///
/// With --file, one GGUF file; without, of the repository's folder the files that are read:
/// safetensors, config.json, the tokenizer's and those with chat templates. A transfer that broke
/// off is continued by the same command. Each file is checked by the digest that the hub states,
/// and has its name only once it is whole. When all is there, nothing is asked of the network any
/// more.
///
///   personaguard fetch bartowski/SmolLM2-135M-Instruct-GGUF --revision main \
///     --file SmolLM2-135M-Instruct-Q8_0.gguf --to weights
///   personaguard fetch HuggingFaceTB/SmolLM2-135M-Instruct --revision main --to smollm2
///
/// A repository that not everybody may read needs a token: HF_TOKEN, a file that HF_TOKEN_PATH
/// names, or what the hub's own tools have stored.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Repository.
    #[arg(value_name = "OWNER/NAME")]
    repo: String,
    /// Commit, branch or tag. A commit is always the same.
    #[arg(long, value_name = "NAME", default_value = "main")]
    revision: String,
    /// A GGUF file of the repository. Default: its folder, with safetensors.
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    /// Folder to fetch into.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The SHA-256 that the model must have, as a PersonaModel has it.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    #[command(flatten)]
    hub: HubArgs,
}

/// Fetches, and prints digest and path.
///
/// # Errors
/// What a person should read.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let wanted = Wanted::new(&options.repo, &options.revision, options.file.as_deref())?;
    let fetch = Fetch {
        wanted,
        folder: options.to.clone(),
        sha256: options.sha256.as_ref().map(|digest| digest.trim().to_lowercase()),
        max_bytes: options.hub.max_bytes(),
    };
    let hub = options.hub.hub()?;
    let shown = Shown::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let fetched = runtime.block_on(fetch.run(&hub, &|event| shown.tell(event)));
    shown.bar.finish_and_clear();
    let Fetched { path, sha256, commit, was_there } =
        fetched.with_context(|| format!("{} is not fetched", fetch.wanted))?;
    if was_there {
        eprintln!("{} was there already", fetch.wanted);
    } else if let Some(commit) = commit.filter(|commit| commit != fetch.wanted.revision()) {
        eprintln!("{} is commit {commit}", fetch.wanted.revision());
    }
    println!("{sha256}  {}", path.display());
    Ok(())
}

/// Progress on standard error: a bar on a terminal, elsewhere a line now and then.
struct Shown {
    bar: ProgressBar,
    last: Mutex<Instant>,
}

impl Shown {
    fn new() -> Self {
        let style = ProgressStyle::with_template(
            "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: ProgressBar::no_length().with_style(style), last: Mutex::new(Instant::now()) }
    }

    fn tell(&self, event: &Event) {
        match event {
            Event::Progress { done, total } => {
                if let Some(total) = total {
                    self.bar.set_length(*total);
                }
                self.bar.set_position(*done);
                self.line(*done, *total);
            }
            Event::Waiting => self.say("another process fetches it; waiting for that"),
            Event::Unlocked => self.say(
                "the volume knows no locks: let only one process at a time fetch into this folder",
            ),
            Event::Resumed { file, done } => {
                self.say(&format!("continuing {file} at {}", HumanBytes(*done)));
            }
            Event::Retrying { why, wait } => {
                self.say(&format!("{why}; trying again in {:.0} s", wait.as_secs_f64()));
            }
        }
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    fn line(&self, done: u64, total: Option<u64>) {
        let Ok(mut last) = self.last.lock() else { return };
        if self.bar.is_hidden() && last.elapsed() >= LINES {
            *last = Instant::now();
            let total = total.map(|total| format!(" of {}", HumanBytes(total)));
            eprintln!("{}{} fetched", HumanBytes(done), total.unwrap_or_default());
        }
    }
}
