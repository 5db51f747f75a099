use super::*;

#[test]
fn names_lead_nowhere_else() {
    for (repo, revision, file, complaint) in [
        ("a/b", "main", None, ""),
        ("gpt2", "refs/pr/1", Some("q4/model.GGUF"), ""),
        ("https://huggingface.co/a/b", "main", None, "write a/b"),
        ("a/b/c", "main", None, "OWNER/NAME"),
        ("../b", "main", None, "OWNER/NAME"),
        ("a/b?x=1", "main", None, "OWNER/NAME"),
        ("a/b", "", None, "not a revision"),
        ("a/b", "../../x", None, "not a revision"),
        ("a/b", "main", Some("../m.gguf"), "not the name of a file"),
        ("a/b", "main", Some("/m.gguf"), "not the name of a file"),
        ("a/b", "main", Some("pytorch_model.bin"), "not a GGUF file"),
        ("a/b", "main", Some("model.safetensors"), "leave the file out"),
        ("a/b", "main", Some("m-00001-of-00003.gguf"), "part of a GGUF file that was split"),
    ] {
        let said = Wanted::new(repo, revision, file).err().map(|error| error.to_string());
        let said = said.unwrap_or_default();
        assert!(said.contains(complaint) && said.is_empty() == complaint.is_empty(), "{said}");
    }
}

#[test]
fn the_path_of_a_model_says_where_it_goes() {
    let file = Wanted::new("a/b", "main", Some("q4/m.gguf")).unwrap();
    assert_eq!(file.folder_of(Path::new("/m/a--b/q4/m.gguf")), Some("/m/a--b".into()));
    assert_eq!(file.folder_of(Path::new("/m/a--b/m.gguf")), None);
    assert_eq!(file.path_in(Path::new("/m")), Path::new("/m/q4/m.gguf"));
    let folder = Wanted::new("a/b", "main", None).unwrap();
    assert_eq!(folder.folder_of(Path::new("/m/a--b")), Some("/m/a--b".into()));
}
