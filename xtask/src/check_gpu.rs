//! `cargo xtask check-gpu`: what can only be known on a GPU, prepared so that it needs one for
//! minutes only.

use crate::model;
use crate::progress::Progress;
use crate::workspace::{binaries, root, show};
use anyhow::{Result, ensure};
use clap::Args;
use personaguard_cluster::{Cache, run};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

const SCRIPT: &str = "engines/vllm/bench/gpu.py";

/// Check on an NVIDIA GPU what no processor can: the plugin's operator in a CUDA graph,
/// Personaguard's own engine on the device, and vLLM with CUDA graphs and the plugin.
///
/// Takes less than 8 minutes and downloads nothing. Each part is of use without the next, and says
/// what it misses. Without a GPU all of it is rehearsed on processors, at a small size, with what
/// `cargo xtask test --only vllm` has installed. The script (engines/vllm/bench/gpu.py) runs
/// without Rust, too.
#[derive(Args)]
pub(crate) struct Options {
    /// Python with PyTorch, and vLLM and pytest for its part. Default: python3, or without a GPU
    /// the one of the tests.
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// `personaguard`, built with the feature cuda: that of the image with DEVICE=cuda, or of
    /// `cargo build --release --package personaguard --features cuda`. Default without a GPU: the
    /// one of the tests.
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,
    /// SmolLM2 as a hub folder. Default: the one that the tests have made.
    #[arg(long, value_name = "DIR")]
    smollm2: Option<PathBuf>,
    /// Write all figures there.
    #[arg(long, value_name = "FILE", default_value = "check-gpu.json")]
    json: PathBuf,
}

/// # Errors
/// A part fails, or costs more than it may.
pub(crate) fn check(options: Options) -> Result<()> {
    let cache = Cache::open()?;
    let is_rehearsal = run(&mut Command::new("nvidia-smi")).is_err();
    let python = match options.python {
        Some(python) => python,
        None if is_rehearsal => cache.join("vllm").join("env/bin/python"),
        None => "python3".into(),
    };
    ensure!(
        !is_rehearsal || python.is_file(),
        "{} is missing: run `cargo xtask test --only vllm` first, or give --python",
        python.display()
    );
    let found = |path: PathBuf| Some(path).filter(|path| path.exists());
    let program = options.program.or_else(|| {
        // Built without CUDA, it is of use in a rehearsal only.
        found(binaries().join("personaguard")).filter(|_| is_rehearsal)
    });
    let gguf = model::ensure(&cache, &Progress::new()).ok();
    let smollm2 = options.smollm2.or_else(|| found(cache.join("vllm").join("smollm2")));
    let mut command = Command::new(python);
    command.arg(root().join(SCRIPT)).arg("--json").arg(options.json);
    for (name, value) in [("--program", program), ("--gguf", gguf), ("--smollm2", smollm2)] {
        command.args(value.iter().flat_map(|value| [OsStr::new(name), value.as_os_str()]));
    }
    show(&mut command)
}
