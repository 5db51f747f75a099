use super::super::sources::Sources;
use super::Module;
use std::path::Path;

fn tree<const N: usize>(files: [(&str, &str); N]) -> anyhow::Result<Module> {
    Module::of_crate(&Sources::from(files), Path::new("src/main.rs"))
}

#[test]
fn modules_are_found_in_either_place_and_inline() {
    let tree = tree([
        ("src/main.rs", "mod a; mod b; mod c { mod d; } #[path = \"other/e.rs\"] mod e;"),
        ("src/a.rs", "mod deep;"),
        ("src/a/deep.rs", ""),
        ("src/b/mod.rs", "mod deep;"),
        ("src/b/deep.rs", ""),
        ("src/c/d.rs", ""),
        ("src/other/e.rs", ""),
    ]);
    let tree = tree.expect("a crate");
    let files: Vec<(String, String)> = tree
        .all()
        .iter()
        .map(|module| (module.path.join("::"), module.file.display().to_string()))
        .collect();
    let expected = [
        ("", "src/main.rs"),
        ("a", "src/a.rs"),
        ("a::deep", "src/a/deep.rs"),
        ("b", "src/b/mod.rs"),
        ("b::deep", "src/b/deep.rs"),
        ("c", "src/main.rs"),
        ("c::d", "src/c/d.rs"),
        ("e", "src/other/e.rs"),
    ];
    assert_eq!(files, expected.map(|(path, file)| (path.to_owned(), file.to_owned())));
}

#[test]
fn a_module_without_a_file_is_an_error() {
    let error = tree([("src/main.rs", "mod a;")]).expect_err("no file");
    assert!(error.to_string().contains("src/main.rs declares `mod a`"), "{error}");
}

#[test]
fn a_file_that_does_not_parse_is_an_error() {
    let error = tree([("src/main.rs", "fn (")]).expect_err("no Rust");
    assert!(error.to_string().contains("src/main.rs"), "{error}");
}

#[test]
fn modules_for_tests_need_no_file_but_those_without_tests_do() {
    assert!(tree([("src/main.rs", "#[cfg(any(test, test))] mod a;")]).is_ok());
    assert!(tree([("src/main.rs", "#[cfg(not(test))] mod a;")]).is_err());
    assert!(tree([("src/main.rs", "#[cfg(any(test, unix))] mod a;")]).is_err());
}
