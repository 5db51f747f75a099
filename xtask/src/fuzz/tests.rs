use super::Target;
use crate::workspace::root;
use clap::ValueEnum;

#[test]
fn every_target_has_a_corpus_and_a_dictionary() {
    for target in Target::value_variants() {
        let (_, folder, _) = target.place();
        let folder = root().join(folder);
        let seeds = folder.join("corpus").read_dir().expect("a corpus").count();
        assert!(seeds > 0, "{target:?}");
        assert!(folder.join("dictionary").is_file(), "{target:?}");
    }
}
