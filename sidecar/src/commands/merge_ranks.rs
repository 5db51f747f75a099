//! `personaguard merge-ranks`.

use super::screen::lines;
use crate::extract::write_file;
use anyhow::{Context as _, bail};
use clap::Args;
use personaguard_persona::page::ScreeningPage;
use personaguard_persona::screening::{Ranked, Screened, rank};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

/// Rank the parts of a data set together that were screened with `screen --shard`.
///
///   personaguard merge-ranks ranks.part-0 ranks.part-1 --out ranks.jsonl --report ranks.html
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// Files that `screen` wrote, one a shard.
    #[arg(required = true)]
    parts: Vec<PathBuf>,
    /// File to write: one JSON object a sample, in order of the first trait's ranks.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Page to write: distributions and the samples at the top, without their text.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// File to write the number of samples to.
    #[arg(long, value_name = "FILE")]
    count_to: Option<PathBuf>,
    /// Remove the parts when they are ranked together.
    #[arg(long)]
    consume: bool,
}

#[derive(Deserialize)]
struct Line {
    line: u64,
    /// In the order in which `screen` wrote them.
    traits: serde_json::Map<String, serde_json::Value>,
}

/// Merges, and writes the ranks.
///
/// # Errors
/// With what to do about it.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut names: Vec<String> = Vec::new();
    let mut samples: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for part in &options.parts {
        read(part, &mut names, &mut samples)?;
    }
    let ranked: Vec<Vec<Ranked>> = (0..names.len())
        .map(|index| {
            let screened: Vec<Screened> = samples
                .iter()
                .map(|(line, differences)| Screened { line: *line, difference: differences[index] })
                .collect();
            rank(&screened)
        })
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    write_file(&options.out, lines(&names, &ranked).as_bytes())?;
    if let Some(path) = &options.report {
        let traits: Vec<(&str, &[Ranked])> = names.iter().copied().zip(ranked.iter().map(Vec::as_slice)).collect();
        let name = options.out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let page = ScreeningPage { name: &name, reference: "as each part was screened", traits: &traits };
        write_file(path, page.render().as_bytes())?;
    }
    if let Some(path) = &options.count_to {
        std::fs::write(path, samples.len().to_string()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if options.consume {
        for part in &options.parts {
            std::fs::remove_file(part).with_context(|| format!("cannot remove {}", part.display()))?;
        }
    }
    println!("{} samples of {} parts; ranks in {}", samples.len(), options.parts.len(), options.out.display());
    Ok(())
}

fn read(part: &Path, names: &mut Vec<String>, samples: &mut BTreeMap<u64, Vec<f64>>) -> anyhow::Result<()> {
    let file = std::fs::File::open(part).with_context(|| format!("cannot read {}", part.display()))?;
    for (number, text) in (1_usize..).zip(BufReader::new(file).lines()) {
        let at = || format!("line {number} of {} is none that `personaguard screen` wrote", part.display());
        let line: Line = serde_json::from_str(&text.with_context(at)?).with_context(at)?;
        if names.is_empty() {
            *names = line.traits.keys().cloned().collect();
        }
        let differences = names
            .iter()
            .map(|name| line.traits.get(name)?.get("projectionDifference")?.as_f64())
            .collect::<Option<Vec<f64>>>()
            .filter(|_| line.traits.len() == names.len());
        let Some(differences) = differences else {
            bail!("{}: it lacks a score, or the parts were screened with other vectors", at());
        };
        if samples.insert(line.line, differences).is_some() {
            bail!("sample {} stands in two parts: give each shard's file once", line.line);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Path, parts: &[&str]) -> Options {
        Options {
            parts: parts.iter().map(|part| folder.join(part)).collect(),
            out: folder.join("ranks.jsonl"),
            report: Some(folder.join("ranks.html")),
            count_to: Some(folder.join("count")),
            consume: true,
        }
    }

    fn part(samples: &[(u64, f64)]) -> String {
        let screened: Vec<Screened> =
            samples.iter().map(|(line, difference)| Screened { line: *line, difference: *difference }).collect();
        lines(&["evil"], &[rank(&screened)])
    }

    #[test]
    fn parts_are_ranked_as_one_data_set() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), part(&[(1, 0.5), (3, -1.0)])).unwrap();
        std::fs::write(folder.path().join("b"), part(&[(2, 3.0), (4, 0.0)])).unwrap();
        run(&options(folder.path(), &["a", "b"])).unwrap();
        let whole = part(&[(1, 0.5), (2, 3.0), (3, -1.0), (4, 0.0)]);
        assert_eq!(std::fs::read_to_string(folder.path().join("ranks.jsonl")).unwrap(), whole);
        assert_eq!(std::fs::read_to_string(folder.path().join("count")).unwrap(), "4");
        assert!(std::fs::read_to_string(folder.path().join("ranks.html")).unwrap().contains("evil"));
        assert!(!folder.path().join("a").exists(), "it is consumed");
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), part(&[(1, 0.5)])).unwrap();
        std::fs::write(folder.path().join("b"), part(&[(1, 0.7)])).unwrap();
        std::fs::write(folder.path().join("c"), part(&[(2, 0.7)]).replace("evil", "kind")).unwrap();
        std::fs::write(folder.path().join("d"), "hello\n").unwrap();
        for (parts, says) in [(["a", "b"], "two parts"), (["a", "c"], "other vectors"), (["a", "d"], "line 1")] {
            let error = run(&options(folder.path(), &parts)).unwrap_err();
            assert!(format!("{error:#}").contains(says), "{error:#}");
        }
        assert!(folder.path().join("a").exists());
    }
}
