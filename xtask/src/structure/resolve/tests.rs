use super::super::modules::Module;
use super::super::sources::Sources;
use super::resolve;
use std::path::Path;

/// Where a path written in `src/a/b.rs` leads: the module that defines it, and what it passes.
fn resolved(path: &str) -> Option<(String, Vec<String>)> {
    let sources = Sources::from([
        ("src/lib.rs", "mod a; mod c; pub use a::inner::Inner; pub use c::*; use std::fmt;"),
        ("src/a.rs", "mod b; pub mod inner; pub use inner::{Inner as Renamed, nested};"),
        ("src/a/b.rs", "use crate::a::inner as alias; struct Own;"),
        ("src/a/inner.rs", "pub struct Inner; pub mod nested { pub struct Deep; }"),
        ("src/c.rs", "pub enum C { One } #[macro_export] macro_rules! shout { () => {} }"),
    ]);
    let root = Module::of_crate(&sources, Path::new("src/lib.rs")).expect("a crate");
    let from = root.descendant(&["a".into(), "b".into()]).expect("a module");
    let words: Vec<String> = path.split("::").map(str::to_owned).collect();
    let found = resolve(&root, from, &words)?;
    let through = found.through.iter().map(|module| module.path.join("::")).collect();
    Some((found.definition.path.join("::"), through))
}

#[test]
fn paths_lead_to_the_module_that_defines_what_they_name() {
    let cases: [(&str, &str, &[&str]); 9] = [
        ("crate::a::inner::Inner", "a::inner", &[]),
        ("super::inner::nested::Deep", "a::inner::nested", &[]),
        ("super::super::c::C::One", "c", &[]),
        ("super::Renamed", "a::inner", &["a"]),
        ("super::nested::Deep", "a::inner::nested", &["a"]),
        ("crate::Inner", "a::inner", &[""]),
        ("crate::C::One", "c", &[""]),
        ("self::Own", "a::b", &[]),
        ("alias::Inner", "a::inner", &[]),
    ];
    for (path, definition, through) in cases {
        let (found, passed) = resolved(path).unwrap_or_else(|| panic!("{path} leads nowhere"));
        assert_eq!(
            (found.as_str(), passed.iter().map(String::as_str).collect()),
            (definition, through.to_vec())
        );
    }
}

#[test]
fn an_exported_macro_is_defined_where_it_is_written() {
    assert_eq!(resolved("crate::shout"), Some(("c".into(), vec![String::new()])));
}

#[test]
fn a_reexport_of_another_crate_is_the_re_exporting_modules_own() {
    assert_eq!(resolved("crate::fmt::Display"), Some((String::new(), Vec::new())));
}

#[test]
fn other_crates_lead_nowhere() {
    assert_eq!(resolved("std::fmt::Display"), None);
    assert_eq!(resolved("super::super::super::x"), None);
}
