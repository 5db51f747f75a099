use super::super::modules::Module;
use super::super::sources::Sources;
use super::{Findings, check};
use std::path::Path;

fn checked<const N: usize>(files: [(&str, &str); N]) -> Findings {
    let tree = Module::of_crate(&Sources::from(files), Path::new("src/lib.rs")).expect("a crate");
    check("demo", &tree)
}

#[test]
fn imports_that_run_one_way_are_no_error() {
    let findings = checked([
        ("src/lib.rs", "mod a; mod b; pub use a::A;"),
        ("src/a.rs", "use crate::b::B; pub struct A(B);"),
        ("src/b.rs", "pub struct B;"),
    ]);
    assert_eq!(findings.errors, [""; 0]);
}

#[test]
fn a_circle_of_two_files_is_named_with_its_imports() {
    let findings = checked([
        ("src/lib.rs", "mod a; mod b;"),
        ("src/a.rs", "use crate::b::B;\npub struct A(B);"),
        ("src/b.rs", "\npub struct B;\nfn f() -> crate::a::A { todo!() }"),
    ]);
    let [error] = &findings.errors[..] else { panic!("one circle: {:?}", findings.errors) };
    for part in ["demo", "a → b → a", "src/a.rs:1: crate::b::B", "src/b.rs:3: crate::a::A"] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn a_circle_of_three_is_found() {
    let findings = checked([
        ("src/lib.rs", "mod a; mod b; mod c;"),
        ("src/a.rs", "use super::b::B; pub struct A;"),
        ("src/b.rs", "use super::c::C; pub struct B;"),
        ("src/c.rs", "use super::a::A; pub struct C;"),
    ]);
    assert_eq!(findings.errors.len(), 1);
    assert!(findings.errors[0].contains("a → b → c → a"), "{}", findings.errors[0]);
}

#[test]
fn folders_must_not_import_each_other_even_where_no_file_does() {
    let findings = checked([
        ("src/lib.rs", "mod a; mod b;"),
        ("src/a.rs", "mod down; pub mod up;"),
        ("src/a/down.rs", "use crate::b::up::Up;"),
        ("src/a/up.rs", "pub struct Up;"),
        ("src/b.rs", "mod down; pub mod up;"),
        ("src/b/down.rs", "use crate::a::up::Up;"),
        ("src/b/up.rs", "pub struct Up;"),
    ]);
    assert_eq!(findings.errors.len(), 1);
    assert!(findings.errors[0].contains("a → b → a"), "{}", findings.errors[0]);
}

#[test]
fn siblings_within_a_folder_must_not_either() {
    let findings = checked([
        ("src/lib.rs", "mod a;"),
        ("src/a/mod.rs", "mod x; mod y;"),
        ("src/a/x.rs", "use super::y::Y; pub struct X;"),
        ("src/a/y.rs", "use super::x::X; pub struct Y;"),
    ]);
    assert_eq!(findings.errors.len(), 1);
    assert!(findings.errors[0].starts_with("demo::a: "), "{}", findings.errors[0]);
}

#[test]
fn a_module_and_its_own_submodules_may_import_each_other() {
    let findings = checked([
        ("src/lib.rs", "mod a;"),
        ("src/a.rs", "mod part; use part::Part; pub struct A(Part);"),
        ("src/a/part.rs", "use super::A; pub struct Part; fn f(_: A) {}"),
    ]);
    assert_eq!(findings.errors, [""; 0]);
    assert_eq!(findings.upward, 1);
}

#[test]
fn a_circle_that_a_parents_reexport_hides_is_found() {
    let findings = checked([
        ("src/lib.rs", "mod a;"),
        ("src/a.rs", "mod x; mod y; pub use x::X; pub use y::*;"),
        ("src/a/x.rs", "use super::Y; pub struct X;"),
        ("src/a/y.rs", "use super::X; pub struct Y;"),
    ]);
    assert_eq!(findings.errors.len(), 1);
    assert!(findings.errors[0].contains("x → y → x"), "{}", findings.errors[0]);
}

#[test]
fn nothing_imports_from_the_root_whether_defined_or_reexported_there() {
    let findings = checked([
        ("src/lib.rs", "mod a; mod b; pub use b::B; pub const ONE: u8 = 1;"),
        ("src/a.rs", "use crate::B;\nfn f() -> u8 { crate::ONE }"),
        ("src/b.rs", "pub struct B;"),
    ]);
    let [error] = &findings.errors[..] else { panic!("one error: {:?}", findings.errors) };
    assert!(error.contains("src/a.rs:1: crate::B"), "{error}");
    assert!(error.contains("src/a.rs:2: crate::ONE"), "{error}");
}

#[test]
fn imports_are_found_in_macros_and_attributes_and_behind_names() {
    let from_a = [
        "fn f() { println!(\"{}\", crate::b::ONE) }",
        "#[derive(Serialize)] struct A { #[serde(with = \"crate::b\")] one: u8 }",
        "use crate::{b as other}; fn f() -> u8 { other::ONE }",
        "fn f() { use super::b::ONE; }",
        "impl crate::b::B for () {}",
    ];
    for text in from_a {
        let findings = checked([
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", text),
            ("src/b.rs", "use crate::a; pub const ONE: u8 = 1; pub trait B {}"),
        ]);
        assert_eq!(findings.errors.len(), 1, "{text}");
    }
}

#[test]
fn tests_import_what_they_like() {
    let findings = checked([
        ("src/lib.rs", "mod a; mod b; pub use b::B;"),
        ("src/a.rs", "pub struct A; #[cfg(test)] use crate::B; #[cfg(test)] mod tests;"),
        ("src/a/tests.rs", "use crate::b::B;"),
        ("src/b.rs", "use crate::a::A; #[cfg(all(test, unix))] fn f() { crate::B }"),
    ]);
    assert_eq!(findings.errors, [""; 0]);
}

#[test]
fn visibility_and_documentation_are_no_imports() {
    let findings = checked([
        ("src/lib.rs", "mod a;"),
        ("src/a.rs", "mod b; mod c;"),
        ("src/a/b.rs", "use super::c::C; pub(in crate::a) struct B;"),
        ("src/a/c.rs", "/// Not as [`super::b::B`].\npub(super) struct C;"),
    ]);
    assert_eq!(findings.errors, [""; 0]);
    assert_eq!(findings.upward, 0);
}
