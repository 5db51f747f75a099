//! `personaguard merge-ranks`.

use super::ranks::{Parts, Ranks};
use crate::extract::write_file;
use anyhow::Context as _;
use clap::Args;
use personaguard_persona::page::ScreeningPage;
use personaguard_persona::screening::RankedSample;
use std::path::PathBuf;

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

/// Merges, and writes the ranks.
///
/// # Errors
/// With what to do about it.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut parts = Parts::default();
    for part in &options.parts {
        parts.add(part)?;
    }
    let (weight, measured) = parts.measured();
    let names: Vec<&str> = parts.names.iter().map(String::as_str).collect();
    let ranks = Ranks::new(&names, weight, &measured);
    ranks.write(&options.out)?;
    if let Some(path) = &options.report {
        let traits: Vec<(&str, &[RankedSample])> =
            names.iter().copied().zip(ranks.ranked.iter().map(Vec::as_slice)).collect();
        let name = options
            .out
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let page =
            ScreeningPage { name: &name, reference: "as each part was screened", traits: &traits };
        write_file(path, page.render().as_bytes())?;
    }
    if let Some(path) = &options.count_to {
        std::fs::write(path, parts.len().to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if options.consume {
        for part in &options.parts {
            std::fs::remove_file(part)
                .with_context(|| format!("cannot remove {}", part.display()))?;
        }
    }
    println!(
        "{} samples of {} parts; ranks in {}",
        parts.len(),
        options.parts.len(),
        options.out.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use personaguard_persona::screening::{ReferenceWeight, SampleScores};
    use std::path::Path;

    fn options(folder: &Path, parts: &[&str]) -> Options {
        Options {
            parts: parts.iter().map(|part| folder.join(part)).collect(),
            out: folder.join("ranks.jsonl"),
            report: Some(folder.join("ranks.html")),
            count_to: Some(folder.join("count")),
            consume: true,
        }
    }

    /// Writes a part and returns what stands in it.
    fn part(folder: &Path, name: &str, samples: &[(u64, f64)]) -> String {
        weighed(folder, name, samples, |_| None)
    }

    /// As [`part`], with a likelihood ratio for each line.
    fn weighed(
        folder: &Path,
        name: &str,
        samples: &[(u64, f64)],
        ratio: impl Fn(u64) -> Option<f64>,
    ) -> String {
        let measured = samples.iter().map(|&(line, answer)| SampleScores {
            line,
            answer,
            reference: line as f64,
            likelihood_ratio: ratio(line),
        });
        let path = folder.join(name);
        Ranks::new(&["evil"], ReferenceWeight::Fitted, &[measured.collect()]).write(&path).unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn parts_are_ranked_as_one_data_set() {
        let folder = tempfile::tempdir().unwrap();
        part(folder.path(), "a", &[(1, 0.5), (3, 1.0)]);
        part(folder.path(), "b", &[(2, 3.0), (4, 2.0)]);
        run(&options(folder.path(), &["a", "b"])).unwrap();
        // The factor is that of the whole set, not the parts' own.
        let whole = part(folder.path(), "whole", &[(1, 0.5), (2, 3.0), (3, 1.0), (4, 2.0)]);
        assert_eq!(std::fs::read_to_string(folder.path().join("ranks.jsonl")).unwrap(), whole);
        assert_eq!(std::fs::read_to_string(folder.path().join("count")).unwrap(), "4");
        assert!(
            std::fs::read_to_string(folder.path().join("ranks.html")).unwrap().contains("evil")
        );
        assert!(!folder.path().join("a").exists(), "it is consumed");
    }

    #[test]
    fn likelihood_ratios_are_weighed_over_the_whole_set() {
        let folder = tempfile::tempdir().unwrap();
        let ratio = |line: u64| Some((line * line % 7) as f64);
        weighed(folder.path(), "a", &[(1, 0.5), (3, 1.0)], ratio);
        weighed(folder.path(), "b", &[(2, 3.0), (4, 2.0)], ratio);
        run(&Options { consume: false, ..options(folder.path(), &["a", "b"]) }).unwrap();
        let whole =
            weighed(folder.path(), "whole", &[(1, 0.5), (2, 3.0), (3, 1.0), (4, 2.0)], ratio);
        assert_eq!(std::fs::read_to_string(folder.path().join("ranks.jsonl")).unwrap(), whole);
        part(folder.path(), "c", &[(5, 0.5)]);
        let error = run(&options(folder.path(), &["a", "c"])).unwrap_err();
        assert!(format!("{error:#}").contains("--contrast"), "{error:#}");
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        part(folder.path(), "a", &[(1, 0.5)]);
        part(folder.path(), "b", &[(1, 0.7)]);
        let kind = part(folder.path(), "c", &[(2, 0.7)]).replace("evil", "kind");
        std::fs::write(folder.path().join("c"), kind).unwrap();
        std::fs::write(folder.path().join("d"), "hello\n").unwrap();
        for (parts, says) in
            [(["a", "b"], "two parts"), (["a", "c"], "other vectors"), (["a", "d"], "line 1")]
        {
            let error = run(&options(folder.path(), &parts)).unwrap_err();
            assert!(format!("{error:#}").contains(says), "{error:#}");
        }
        assert!(folder.path().join("a").exists());
    }
}
