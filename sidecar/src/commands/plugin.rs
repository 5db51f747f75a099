//! `personaguard plugin`.

use crate::vllm_plugin;
use clap::Args;
use std::path::PathBuf;

/// Write the plugin for vLLM: a folder that Python finds by `PYTHONPATH`.
///
/// With it, vLLM measures, caps and steers its own answers, and the sidecar in front needs no
/// weights. Nothing is installed, and vLLM's own files stay as they are. Without a cluster:
///
///   personaguard plugin --out ./plugin
///   personaguard serve --config ./policy --upstream http://127.0.0.1:8000 \
///     --engine-socket /tmp/personaguard.sock --log-format text &
///   PYTHONPATH=$PWD/plugin PERSONAGUARD_SOCKET=/tmp/personaguard.sock vllm serve MODEL
///
/// Clients then ask the sidecar (http://127.0.0.1:8790/v1); /readyz there says whether the plugin
/// has connected, and what is wrong if not. Where VLLM_PLUGINS is set, it must name personaguard
/// too. The plugin is made for certain versions of vLLM, and ends the start of any other.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Folder to write, inside one that exists. An earlier plugin there is replaced; a folder with
    /// anything else in it is refused.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes it.
///
/// # Errors
/// See [`vllm_plugin::write`].
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    vllm_plugin::write(&options.out)?;
    let folder = options.out.canonicalize()?;
    println!("Start vLLM with PYTHONPATH={}", folder.display());
    Ok(())
}
