use super::*;

fn rating(judge: &str) -> Rating {
    Rating { judge: judge.to_owned(), trait_score: Some(71.5), coherence: None }
}

#[test]
fn an_interrupted_run_is_resumed_and_one_of_another_design_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evil.journal");
    let mut journal = Journal::open(&path, "a").unwrap();
    journal.add_answer("extract/1".to_owned(), vec![1, 2]).unwrap();
    journal.add_rating("extract/1".to_owned(), rating("large")).unwrap();
    drop(journal);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    write!(file, "{{\"request\":\"extract/2\",\"tok").unwrap();
    drop(file);
    let journal = Journal::open(&path, "a").unwrap();
    assert_eq!((journal.len(), journal.answer("extract/1")), (1, Some([1, 2].as_slice())));
    assert_eq!(journal.rating("extract/1", "large"), Some(&rating("large")));
    assert_eq!(journal.rating("extract/1", "another"), None);
    assert_eq!(count_answers(&path), 1);
    drop(journal);
    assert_eq!(Journal::open(&path, "b").unwrap().len(), 0);
    Journal::open(&path, "b").unwrap().remove();
    assert!(!path.exists());
}
