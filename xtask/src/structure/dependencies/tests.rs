use super::super::packages::Package;
use super::super::sources::Sources;
use super::{BOUNDARIES, Boundary, circles_of, unused};

/// A package in the folder of its name, and what its manifest depends on.
fn package(name: &str, dependencies: &[&str]) -> Package {
    let dependencies: Vec<_> = dependencies
        .iter()
        .map(|name| serde_json::json!({"name": name, "rename": null, "path": name}))
        .collect();
    let manifest = format!("{name}/Cargo.toml");
    let package = serde_json::json!({
        "name": name, "manifest_path": manifest, "dependencies": dependencies, "targets": [],
    });
    serde_json::from_value(package).expect("a package")
}

#[test]
fn a_circle_of_packages_is_found() {
    let packages = [package("a", &["b"]), package("b", &["c"]), package("c", &["a"])];
    assert_eq!(circles_of(&packages), ["a circle of packages: a → b → c → a"]);
    assert!(circles_of(&packages[..2]).is_empty());
}

#[test]
fn a_dependency_that_only_comments_and_strings_name_is_unused() {
    let packages = [package("a", &["by-path", "by-attribute", "in-a-comment", "nowhere"])];
    let sources = Sources::from([(
        "a/src/lib.rs",
        "// in_a_comment\nuse by_path::X; #[serde(with = \"by_attribute::y\")] struct S;",
    )]);
    let errors = unused(&packages, &sources, "[workspace]").expect("a manifest");
    let expected = ["in-a-comment", "nowhere"]
        .map(|name| format!("a/Cargo.toml: no source of a names {name}"));
    assert_eq!(errors, expected);
}

#[test]
fn sources_of_a_package_within_a_package_do_not_count() {
    let packages = [package("a", &["used"]), package("a/b", &[])];
    let sources = Sources::from([("a/src/lib.rs", ""), ("a/b/src/lib.rs", "use used::X;")]);
    assert_eq!(unused(&packages, &sources, "[workspace]").expect("a manifest").len(), 1);
}

#[test]
fn a_workspace_dependency_without_a_user_is_unused() {
    let packages = [package("a", &["used"])];
    let sources = Sources::from([("a/src/lib.rs", "use used::X;")]);
    let manifest = "[workspace.dependencies]\nused = \"1\"\ndead = { version = \"1\" }";
    let errors = unused(&packages, &sources, manifest).expect("a manifest");
    assert_eq!(errors, ["Cargo.toml: no member depends on dead"]);
}

#[test]
fn a_crate_that_a_package_must_do_without_is_found_however_deep_it_lies() {
    let boundary = Boundary { package: "a", without: &["kube", "zip"] };
    let tree = "a v0.1.0 (/a)\nb v1.0.0\nzip v9.8.0\nzipped v1.0.0\nzip v9.8.0 (*)";
    let error = "a depends on zip: cargo tree --package a --invert zip";
    assert_eq!(boundary.crossed_in(tree), [error]);
    assert!(boundary.crossed_in("a v0.1.0 (/a)\nb v1.0.0\nzipped v1.0.0").is_empty());
}

#[test]
fn what_serves_traffic_holds_nothing_of_the_other_commands() {
    let server = BOUNDARIES.iter().find(|boundary| boundary.package == "personaguard-server");
    let without = server.expect("the server has a boundary").without;
    for name in ["indicatif", "parquet", "rustyline", "zip", "zstd"] {
        assert!(without.contains(&name), "{name}");
    }
}
