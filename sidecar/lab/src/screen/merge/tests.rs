use super::*;
use personaguard_persona::screening::{ReferenceWeight, SampleScores};
use std::path::Path;

fn settings(folder: &Path, parts: &[&str]) -> MergeSettings {
    MergeSettings {
        parts: parts.iter().map(|part| folder.join(part)).collect(),
        out: folder.join("ranks.jsonl"),
        page: Some(folder.join("ranks.html")),
        count_to: Some(folder.join("count")),
        consume: true,
    }
}

/// Writes a part, and returns its content.
fn part(folder: &Path, name: &str, samples: &[(u64, f64)]) -> String {
    part_with_ratios(folder, name, samples, |_| None)
}

/// As [`part`], with a likelihood ratio for each line.
fn part_with_ratios(
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
    merge(&settings(folder.path(), &["a", "b"])).unwrap();
    // The factor is that of the whole set, not the parts' own.
    let whole = part(folder.path(), "whole", &[(1, 0.5), (2, 3.0), (3, 1.0), (4, 2.0)]);
    assert_eq!(std::fs::read_to_string(folder.path().join("ranks.jsonl")).unwrap(), whole);
    assert_eq!(std::fs::read_to_string(folder.path().join("count")).unwrap(), "4");
    assert!(std::fs::read_to_string(folder.path().join("ranks.html")).unwrap().contains("evil"));
    assert!(!folder.path().join("a").exists(), "it is consumed");
}

#[test]
fn likelihood_ratios_are_weighted_over_the_whole_set() {
    let folder = tempfile::tempdir().unwrap();
    let ratio = |line: u64| Some((line * line % 7) as f64);
    part_with_ratios(folder.path(), "a", &[(1, 0.5), (3, 1.0)], ratio);
    part_with_ratios(folder.path(), "b", &[(2, 3.0), (4, 2.0)], ratio);
    merge(&MergeSettings { consume: false, ..settings(folder.path(), &["a", "b"]) }).unwrap();
    let whole =
        part_with_ratios(folder.path(), "whole", &[(1, 0.5), (2, 3.0), (3, 1.0), (4, 2.0)], ratio);
    assert_eq!(std::fs::read_to_string(folder.path().join("ranks.jsonl")).unwrap(), whole);
    part(folder.path(), "c", &[(5, 0.5)]);
    let error = merge(&settings(folder.path(), &["a", "c"])).unwrap_err();
    assert!(error.with_causes().contains("--contrast"), "{error}");
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
        let error = merge(&settings(folder.path(), &parts)).unwrap_err();
        assert!(error.with_causes().contains(says), "{error}");
    }
    assert!(folder.path().join("a").exists());
}
