//! `personaguard vector`.

use crate::extract::{read_file, read_vectors, write_file};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use personaguard_model::{LoadOptions, Model};
use personaguard_persona::convert::{export_gguf, import_gguf, import_safetensors, import_torch};
use personaguard_persona::{
    LayerMatrix, ModelIdentity, SampleCounts, VectorFile, VectorMetadata, norm, sha256_hex,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Look at vector files, and exchange them with other tools.
#[derive(Args, Debug)]
pub struct Options {
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
/// Reads the paper's .pt files (as data: no code of them runs), plain safetensors with one matrix
/// [layers + 1, hidden], and GGUF control vectors of repeng and llama.cpp. What is imported has no
/// validation and no calibration: `personaguard calibrate` adds the latter, without which
/// thresholds must be raw projections.
///
///   personaguard vector import evil_response_avg_diff.pt --model model.gguf --trait evil --layer
///   20 --out evil.safetensors
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
struct Import {
    /// File to import: .pt, .safetensors or .gguf.
    file: PathBuf,
    /// Weight file (GGUF) that the vectors belong to. It cannot be told from them whether that is
    /// so.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The trait: an adjective of a-z, 0-9 and -.
    #[arg(long = "trait", value_name = "NAME")]
    trait_name: String,
    /// The trait in plain words.
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// Layer to use, from 1.
    #[arg(long, value_name = "N")]
    layer: u32,
    /// Vector file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Write a vector file's vectors as a GGUF control vector.
///
/// llama.cpp takes it with --control-vector. The format has no place for layer 1 and the embedding
/// row.
#[derive(Args, Debug)]
struct Export {
    /// Vector file.
    file: PathBuf,
    /// GGUF file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Architecture of the model, as its GGUF names it.
    #[arg(long, value_name = "NAME", default_value = "llama")]
    architecture: String,
}

/// Looks, imports or exports.
///
/// # Errors
/// With what to do about it.
pub fn run(options: &Options) -> anyhow::Result<()> {
    match &options.action {
        Action::Show(show) => print(&show.file),
        Action::Import(options) => import(options),
        Action::Export(options) => export(options),
    }
}

fn print(path: &Path) -> anyhow::Result<()> {
    let [vector] = read_vectors(&[path.to_path_buf()])?
        .try_into()
        .ok()
        .context("one file gives one vector")?;
    let (file, metadata) = (&vector.file, vector.file.metadata());
    println!("trait         {}\ndescription   {}", metadata.trait_name, metadata.description);
    println!("model         {}, SHA-256 {}", metadata.model.name, metadata.model.sha256);
    println!("method        {}", metadata.method);
    println!(
        "answers       {} positive, {} negative",
        metadata.counts.positive, metadata.counts.negative
    );
    println!("shape         {} layers of {} values", file.layers(), file.hidden());
    println!("layer         {}, norm {:.4}", metadata.best_layer, norm(vector.best()?));
    if let Some(validation) = file.validation(metadata.best_layer) {
        println!(
            "held out      AUROC {:.3} ({:.3} to {:.3}), control 99% {:.3}",
            validation.auroc,
            validation.interval.low,
            validation.interval.high,
            validation.permuted.q99
        );
    }
    if let Some(calibration) = file.calibration(metadata.best_layer) {
        println!(
            "benign        mean {:.4}, standard deviation {:.4}, from {} answers; sigma 3 is {:.4}",
            calibration.mean,
            calibration.standard_deviation,
            calibration.count,
            calibration.at_sigma(3.0)
        );
    }
    let discriminative =
        file.is_discriminative().map_or("not validated", |yes| if yes { "yes" } else { "NO" });
    println!("discriminative {discriminative}");
    let steers = file.steers().map_or("not tried", |yes| if yes { "yes" } else { "NO" });
    println!("steers        {steers}");
    for (key, value) in &metadata.settings {
        println!("{key:<18} {value}");
    }
    println!("SHA-256       {}", sha256_hex(&read_file(path)?));
    Ok(())
}

fn import(options: &Import) -> anyhow::Result<()> {
    let model = Model::load(&options.model, &LoadOptions::default())?;
    let bytes = read_file(&options.file)?;
    let layers = u32::try_from(model.layers())?;
    let (matrix, format): (LayerMatrix, _) =
        match options.file.extension().and_then(|extension| extension.to_str()) {
            Some("pt" | "pth") => (import_torch(&bytes)?, "torch"),
            Some("safetensors") => (import_safetensors(&bytes)?, "safetensors"),
            Some("gguf") => (import_gguf(&bytes, layers)?, "gguf"),
            _ => bail!("{} is neither .pt, .safetensors nor .gguf", options.file.display()),
        };
    if (matrix.layers(), matrix.hidden()) != (layers, model.hidden()) {
        bail!(
            "the vectors are for {} layers of {} values, the model has {layers} of {}: they belong to another model",
            matrix.layers(),
            matrix.hidden(),
            model.hidden()
        );
    }
    if matrix.layer(options.layer).is_none_or(|vector| norm(vector) == 0.0) {
        bail!("there is no vector at layer {}: the file has none, or zeros, there", options.layer);
    }
    let metadata = VectorMetadata {
        format: VectorMetadata::FORMAT.to_owned(),
        trait_name: options.trait_name.clone(),
        description: options.description.clone(),
        model: ModelIdentity { name: model.name().to_owned(), sha256: model.digest().to_owned() },
        method: format!("imported/{format}"),
        counts: SampleCounts::default(),
        best_layer: options.layer,
        validation: Vec::new(),
        calibration: Vec::new(),
        steering: Vec::new(),
        settings: BTreeMap::from([("imported".to_owned(), sha256_hex(&bytes))]),
    };
    let bytes = VectorFile::new(metadata, matrix, None, None)?.to_bytes()?;
    write_file(&options.out, &bytes)?;
    println!("{}  {}", sha256_hex(&bytes), options.out.display());
    Ok(())
}

fn export(options: &Export) -> anyhow::Result<()> {
    let [vector] = read_vectors(std::slice::from_ref(&options.file))?
        .try_into()
        .ok()
        .context("one file gives one vector")?;
    let bytes = export_gguf(vector.file.response_avg(), &options.architecture);
    write_file(&options.out, &bytes)?;
    println!("{}  {}", sha256_hex(&bytes), options.out.display());
    Ok(())
}
