//! `personaguard vector`.

use clap::{Args, Subcommand};
use personaguard_lab::convert::{EmbeddingRow, ImportSettings, Imported, describe, export, import};
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
/// Reads .pt files (as data: none of their code runs) and safetensors with a matrix
/// [layers + 1, hidden], a tensor for each layer, or one row for --layer; and GGUF control vectors
/// of repeng and llama.cpp.
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
    /// Layer to use, from 1. A file of one row has it for this layer.
    #[arg(long, value_name = "N")]
    layer: u32,
    /// Tensor, or dictionary of tensors, to import, where the file has several.
    #[arg(long, value_name = "NAME")]
    tensor: Option<String>,
    /// The file's first row, or its number 0, is that of the embedding.
    #[arg(long, conflicts_with = "no_embedding_row")]
    embedding_row: bool,
    /// The file has no row of the embedding: its first row, or its number 0, is that of layer 1.
    #[arg(long)]
    no_embedding_row: bool,
    /// The file's last row is no layer's, such as one from behind the final norm.
    #[arg(long)]
    drop_last_row: bool,
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

impl From<Import> for ImportSettings {
    fn from(options: Import) -> Self {
        let embedding_row = match (options.embedding_row, options.no_embedding_row) {
            (true, _) => EmbeddingRow::Present,
            (_, true) => EmbeddingRow::Absent,
            (false, false) => EmbeddingRow::Unsaid,
        };
        Self {
            file: options.file,
            model: options.model,
            trait_name: options.trait_name,
            description: options.description,
            layer: options.layer,
            tensor: options.tensor,
            embedding_row,
            drop_last_row: options.drop_last_row,
            out: options.out,
        }
    }
}

/// Describes, imports or exports.
///
/// # Errors
/// What a person should read.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    match options.action {
        Action::Show(Show { file }) => print!("{}", describe(&file)?),
        Action::Import(options) => {
            let settings = ImportSettings::from(options);
            let Imported { sha256, passed_over } = import(&settings)?;
            println!("{sha256}  {}", settings.out.display());
            if passed_over > 0 {
                eprintln!("other tensors of the file, passed over: {passed_over}");
            }
        }
        Action::Export(Export { file, out, architecture }) => {
            println!("{}  {}", export(&file, &architecture, &out)?, out.display());
        }
    }
    Ok(())
}
