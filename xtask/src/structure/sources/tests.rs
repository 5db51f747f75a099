use super::Sources;
use std::path::Path;

#[test]
fn sources_are_read_except_hidden_and_built_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["a.rs", "deep/b.py", "deep/c.txt", "target/d.rs", ".hidden/e.rs"] {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, "text").expect("written");
    }
    let sources = Sources::read(folder.path()).expect("read");
    let files: Vec<&Path> = sources.below(Path::new("")).map(|(path, _)| path).collect();
    assert_eq!(files, [Path::new("a.rs"), Path::new("deep/b.py")]);
}
