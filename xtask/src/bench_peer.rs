//! `cargo xtask bench-peer`: the engine and llama.cpp, measured in turns on the same file with the
//! same number of threads.

mod server;

use crate::llama_server::{self, PEER, compiler_flags};
use crate::progress::Progress;
use crate::{model, python, workspace};
use anyhow::{Context, Result, ensure};
use clap::Args;
use personaguard_cluster::{Cache, capture, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPT: &str = include_str!("bench_peer/llama.py");
const OTHER_FILES: &str = include_str!("bench_peer/files.py");
/// Writes the random model of `--other-files`, which llama.cpp's package then quantises.
const GGUF: &str = "gguf>=0.17,<1";

/// Measure the engine and llama.cpp in turns, and print the ratios (ours over theirs).
///
/// Builds llama.cpp and its server from its Python package in the cache (minutes, once; needs cmake
/// and a C++ compiler). The machine should be idle. Prefill and a single stream compare the
/// libraries; eight streams, memory and the time to ready compare the servers, over HTTP. The last
/// line is for programs; `taps` is the engine's guarded decoding over its plain decoding.
#[derive(Args)]
pub(crate) struct Options {
    /// Weight file (GGUF). Default: the demo's model.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Measure four other files: the demo's model and a random model with rows of 2,048, each as
    /// Q4_K_M and as Q8_0. They are made in the cache (a minute and 1.2 GB, once).
    #[arg(long, conflicts_with = "model")]
    other_files: bool,
    /// Threads of each engine.
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
    /// Turns of each engine.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Tokens of each measured response.
    #[arg(long, value_name = "N", default_value_t = 64)]
    response: usize,
    /// Tokens of each prompt of the eight concurrent streams.
    #[arg(long, value_name = "N", default_value_t = 16)]
    prompt: usize,
    /// Measure this `personaguard` instead of building one from the repository.
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,
    /// Keep one core busy meanwhile, as a neighbour on a node may.
    #[arg(long)]
    busy: bool,
}

const STREAMS: usize = 8;

/// # Errors
/// llama.cpp cannot be built, or a measurement fails.
pub(crate) fn measure(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0, "--rounds must be at least 1");
    let cache = Cache::open()?;
    let progress = Progress::new();
    let python = peer(&cache, &progress)?;
    let files = match &options.model {
        Some(file) => vec![file.clone()],
        None if options.other_files => other_files(&cache, &python, &progress)?,
        None => vec![model::ensure(&cache, &progress)?],
    };
    let ours = match &options.program {
        Some(program) => program.clone(),
        None => {
            workspace::build(&progress)?;
            workspace::binaries().join("personaguard")
        }
    };
    let server = llama_server::ensure(&cache, &python, &progress);
    progress.done();
    if let Err(error) = &server {
        eprintln!(
            "llama.cpp's server cannot be built, so streams8 and rss are measured on the \
             libraries, without HTTP: {error:#}"
        );
    }
    let server = server.ok();
    if options.busy {
        std::thread::spawn(|| {
            loop {
                std::hint::spin_loop();
            }
        });
    }
    for file in &files {
        if files.len() > 1 {
            println!("{}", file.file_name().unwrap_or_default().display());
        }
        let mut rounds = Vec::new();
        for round in 1..=options.rounds {
            progress.step(&format!("round {round} of {}", options.rounds));
            rounds.push(turn(&ours, &python, server.as_deref(), file, options)?);
            progress.done();
        }
        print(&rounds, server.is_some());
    }
    Ok(())
}

/// One turn of each: the engine's measurements, and llama.cpp's.
fn turn(
    ours: &Path,
    python: &Path,
    server: Option<&Path>,
    file: &Path,
    options: &Options,
) -> Result<(Value, Value)> {
    // Concurrent streams are measured on the servers if there are both, otherwise on the libraries.
    let streams = if server.is_some() { 1 } else { STREAMS };
    let (mut a, mut b) =
        (engine(ours, file, options, streams)?, llama(python, file, options, streams)?);
    if let Some(server) = server {
        for (result, served) in [
            (&mut a, server::ours(python, ours, file, options)?),
            (&mut b, server::theirs(python, server, file, options)?),
        ] {
            server::check_length(&served, options)?;
            result["server"] = served;
        }
    }
    Ok((a, b))
}

/// A Python that has llama.cpp, which is built if the cache lacks it.
fn peer(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let folder = cache.join("bench-peer");
    let python = folder.join("bin/python");
    let importable = || Command::new(&python).args(["-c", "import llama_cpp"]).output();
    if importable().is_ok_and(|output| output.status.success()) {
        return Ok(python);
    }
    progress.step(&format!("building {PEER} from source in {} (minutes)", folder.display()));
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut install = Command::new(&python);
    // No cached wheel: it may have been built with other flags.
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-cache-dir",
        PEER,
    ]);
    // Images and audio are not compared, and take half of the build time.
    install.env(
        "CMAKE_ARGS",
        format!("-DLLAVA_BUILD=OFF {}", compiler_flags().map(|flag| format!("'{flag}'")).join(" ")),
    );
    run(&mut install).context(
        "llama.cpp cannot be built: it needs cmake and a C++ compiler (apt-get install cmake g++)",
    )?;
    progress.done();
    Ok(python)
}

/// The files of `--other-files`. Missing ones are made.
fn other_files(cache: &Cache, python: &Path, progress: &Progress) -> Result<Vec<PathBuf>> {
    let smollm2 = model::ensure(cache, progress)?;
    let folder = cache.join("bench-peer/files");
    std::fs::create_dir_all(&folder)?;
    progress.step(&format!("making other files in {}", folder.display()));
    python::install(python, &[GGUF])?;
    let paths = capture(Command::new(python).args(["-c", OTHER_FILES]).arg(smollm2).arg(folder))
        .context("the files cannot be made")?;
    progress.done();
    Ok(paths.lines().map(PathBuf::from).collect())
}

fn engine(program: &Path, file: &Path, options: &Options, streams: usize) -> Result<Value> {
    let mut command = Command::new(program);
    command.arg("bench").arg("--model").arg(file).args(["--json", "--repeats", "1"]);
    command.args(["--threads", &options.threads.to_string(), "--streams", &streams.to_string()]);
    command.args([
        "--response",
        &options.response.to_string(),
        "--prompt",
        &options.prompt.to_string(),
    ]);
    measured(&mut command)
}

fn llama(python: &Path, file: &Path, options: &Options, streams: usize) -> Result<Value> {
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).arg(file);
    command.args(
        [options.threads, options.response, options.prompt, streams]
            .map(|number| number.to_string()),
    );
    measured(&mut command)
}

fn measured(command: &mut Command) -> Result<Value> {
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A row of the table: its name, its path in our results, its path in theirs.
type Row = (&'static str, &'static str, &'static str);

const SINGLE: [Row; 3] = [
    ("prefill256", "/prefill256", "/prefill256"),
    ("prefill2048", "/prefill2048", "/prefill2048"),
    ("decode", "/decode", "/decode"),
];
const SERVERS: [Row; 2] = [
    ("streams8", "/server/tokens_per_second", "/server/tokens_per_second"),
    ("rss", "/server/rss_mib", "/server/rss_mib"),
];
const LIBRARIES: [Row; 2] = [
    ("streams8", "/streams/0/tokens_per_second", "/streams"),
    ("rss", "/peak_rss_mib", "/rss_mib"),
];

fn print(rounds: &[(Value, Value)], servers: bool) {
    let number =
        |value: &Value, path: &str| value.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
    println!("{:<12} {:>10} {:>10} {:>7}", "", "engine", "llama.cpp", "ratio");
    let mut ratios = Vec::new();
    for (name, ours, theirs) in SINGLE.into_iter().chain(if servers { SERVERS } else { LIBRARIES })
    {
        let ratio = median(rounds.iter().map(|(a, b)| number(a, ours) / number(b, theirs)));
        let ours = median(rounds.iter().map(|(a, _)| number(a, ours)));
        let theirs = median(rounds.iter().map(|(_, b)| number(b, theirs)));
        println!("{name:<12} {ours:>10.1} {theirs:>10.1} {ratio:>7.2}");
        ratios.push(format!("{name}={ratio:.3}"));
    }
    let taps = median(rounds.iter().map(|(a, _)| number(a, "/taps")));
    println!("{:<12} {:>10} {:>10} {taps:>7.3}", "taps", "", "");
    ratios.insert(4, format!("taps={taps:.3}"));
    match servers {
        true => {
            let ready = |of: &dyn Fn(&(Value, Value)) -> f64| median(rounds.iter().map(of));
            let ours = ready(&|(a, _)| number(a, "/server/ready_seconds"));
            let theirs = ready(&|(_, b)| number(b, "/server/ready_seconds"));
            println!(
                "{:<12} {ours:>10.2} {theirs:>10.2} {:>7.2}   seconds from start to ready",
                "ready",
                ours / theirs
            );
            println!(
                "streams8, rss and ready: personaguard serve and llama-server, {STREAMS} streams \
                 over HTTP"
            );
        }
        false => println!("streams8 and rss: libraries, {STREAMS} streams, without HTTP"),
    }
    println!("ratios {}", ratios.join(" "));
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
