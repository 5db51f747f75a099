//! `personaguard vector`.

use clap::{Args, Subcommand};
use personaguard_lab::convert::{ImportSettings, describe, export, import};
use std::path::PathBuf;

/// Describe vector files, and exchange vectors with other tools.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Show(Show),
    Import(Import),
    Export(Export),
}

/// Print what a vector file says.
#[derive(Args, Debug)]
struct Show {
    /// Vector file.
    file: PathBuf,
}

/// Make a vector file from vectors of another tool.
///
/// Reads .pt files of the paper's repository (as data: none of their code runs), plain safetensors
/// with one matrix [layers + 1, hidden], and GGUF control vectors of repeng and llama.cpp.
///
///   personaguard vector import evil_response_avg_diff.pt --model model.gguf --trait evil \
///     --layer 20 --out evil.safetensors
///
/// Imported vectors have neither validation nor calibration. `personaguard calibrate` adds a
/// calibration; without it, thresholds must be raw projections.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
struct Import {
    /// File to import: .pt, .safetensors or .gguf.
    file: PathBuf,
    /// Weight file (GGUF) that the vectors belong to. The vectors themselves do not tell.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Name of the trait: an adjective of a-z, 0-9 and -.
    #[arg(long = "trait", value_name = "NAME")]
    trait_name: String,
    /// Description of the trait in plain words.
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// Layer to use, from 1.
    #[arg(long, value_name = "N")]
    layer: u32,
    /// Vector file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Write the vectors of a vector file as a GGUF control vector.
///
/// llama.cpp takes it with --control-vector. The format has no place for the embedding output and
/// layer 1.
#[derive(Args, Debug)]
struct Export {
    /// Vector file.
    file: PathBuf,
    /// GGUF file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Architecture of the model, as its GGUF file names it.
    #[arg(long, value_name = "NAME", default_value = "llama")]
    architecture: String,
}

/// Describes, imports or exports.
///
/// # Errors
/// What a person should read.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    match options.action {
        Action::Show(Show { file }) => print!("{}", describe(&file)?),
        Action::Import(Import { file, model, trait_name, description, layer, out }) => {
            let settings = ImportSettings { file, model, trait_name, description, layer, out };
            println!("{}  {}", import(&settings)?, settings.out.display());
        }
        Action::Export(Export { file, out, architecture }) => {
            println!("{}  {}", export(&file, &architecture, &out)?, out.display());
        }
    }
    Ok(())
}
