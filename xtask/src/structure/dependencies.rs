//! What packages depend on: circles between them, dependencies that nothing uses, and crates that
//! a package must do without.

#[cfg(test)]
mod tests;

use super::circles::{Graph, circles};
use super::packages::Package;
use super::sources::Sources;
use anyhow::{Context, Result};
use personaguard_cluster::capture;
use proc_macro2::{TokenStream, TokenTree};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// What a package must do without, however indirectly it would depend on it.
struct Boundary {
    package: &'static str,
    without: &'static [&'static str],
}

const BOUNDARIES: [Boundary; 2] = [
    // What decides knows neither HTTP nor the model nor Kubernetes.
    Boundary {
        package: "personaguard-guard",
        without: &[
            "axum",
            "candle-core",
            "http",
            "http-body",
            "hyper",
            "k8s-openapi",
            "kube",
            "kube-core",
            "minijinja",
            "personaguard-api",
            "personaguard-model",
            "personaguard-server",
            "reqwest",
            "tokenizers",
        ],
    },
    // What serves traffic holds nothing of the other commands, and no client of a cluster. It does
    // know the kinds: it also serves from plain manifests.
    Boundary {
        package: "personaguard-server",
        without: &[
            "clap",
            "indicatif",
            "kube-client",
            "kube-runtime",
            "parquet",
            "personaguard-lab",
            "rustyline",
            "snap",
            "zip",
            "zstd",
        ],
    },
];

/// Circles between packages: cargo allows them by dev-dependencies.
pub(super) fn circles_of(packages: &[Package]) -> Vec<String> {
    let mut graph = Graph::new();
    for package in packages {
        let uses = |other: &&Package| package.dependencies.iter().any(|used| used.is(other));
        let used = packages.iter().filter(uses).map(|other| (other.name.clone(), vec![()]));
        graph.insert(package.name.clone(), used.collect());
    }
    let describe = |circle: super::circles::Circle<()>| {
        let names: Vec<&str> = circle.0.iter().map(|(name, _)| name.as_str()).collect();
        format!("a circle of packages: {} → {}", names.join(" → "), names[0])
    };
    circles(graph).into_iter().map(describe).collect()
}

/// Dependencies that no source of their package names, and workspace dependencies that no package
/// has.
///
/// # Errors
/// The workspace's manifest is malformed.
pub(super) fn unused(
    packages: &[Package],
    sources: &Sources,
    manifest: &str,
) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Manifest {
        workspace: Workspace,
    }
    #[derive(Deserialize)]
    struct Workspace {
        #[serde(default)]
        dependencies: BTreeMap<String, toml::Value>,
    }
    let mut errors = Vec::new();
    for package in packages {
        let named = words(package, packages, sources);
        for dependency in &package.dependencies {
            if !named.contains(&dependency.ident()) {
                let (file, key) = (package.manifest().display(), dependency.key());
                errors.push(format!("{file}: no source of {} names {key}", package.name));
            }
        }
    }
    let manifest: Manifest = toml::from_str(manifest).context("Cargo.toml")?;
    let all = packages.iter().flat_map(|package| &package.dependencies);
    let used: BTreeSet<&str> = all.map(super::packages::Dependency::key).collect();
    for name in manifest.workspace.dependencies.keys() {
        if !used.contains(name.as_str()) {
            errors.push(format!("Cargo.toml: no member depends on {name}"));
        }
    }
    Ok(errors)
}

/// Every word in a package's sources, without comments and the insides of strings.
fn words(package: &Package, packages: &[Package], sources: &Sources) -> BTreeSet<String> {
    let nested = |path: &Path| {
        packages.iter().any(|other| {
            other.folder() != package.folder()
                && other.folder().starts_with(package.folder())
                && path.starts_with(other.folder())
        })
    };
    let mut found = BTreeSet::new();
    let files = sources.below(package.folder());
    for (_, text) in
        files.filter(|(path, _)| path.extension().is_some_and(|kind| kind == "rs") && !nested(path))
    {
        // A file that does not parse is an error of the compiler's.
        collect(text.parse().unwrap_or_default(), &mut found);
    }
    found
}

fn collect(tokens: TokenStream, found: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Ident(word) => {
                found.insert(word.to_string());
            }
            // `#[serde(with = "name::of::module")]`
            TokenTree::Literal(text) => {
                let text = text.to_string();
                if let Some((first, _)) = text.trim_matches('"').split_once("::") {
                    found.insert(first.to_owned());
                }
            }
            TokenTree::Punct(_) => {}
        }
    }
}

/// Crates that a package depends on, however indirectly, and must not.
///
/// # Errors
/// cargo cannot resolve the dependencies of a package.
pub(super) fn past_boundaries(packages: &[Package], root: &Path) -> Result<Vec<String>> {
    let mut errors = Vec::new();
    for boundary in &BOUNDARIES {
        if packages.iter().any(|package| package.name == boundary.package) {
            errors.extend(boundary.crossed_in(&tree(boundary.package, root)?));
        }
    }
    Ok(errors)
}

/// What a package is compiled with: one crate a line, its name first.
fn tree(package: &str, root: &Path) -> Result<String> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["tree", "--package", package, "--edges", "normal,build", "--prefix", "none"]);
    capture(command.current_dir(root))
}

impl Boundary {
    /// The crates in a tree of cargo's that the package must do without.
    fn crossed_in(&self, tree: &str) -> Vec<String> {
        let crates: BTreeSet<&str> =
            tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
        let package = self.package;
        let wrong = self.without.iter().filter(|name| crates.contains(**name));
        wrong
            .map(|name| {
                format!(
                    "{package} depends on {name}: cargo tree --package {package} --invert {name}"
                )
            })
            .collect()
    }
}
