//! Whether the modules of a crate import one way.
//!
//! At every module, its submodules (each with everything below it) must not import each other in a
//! circle, and nothing may import from the crate's root file, which declares them all. A module and
//! its own submodules may import each other.

#[cfg(test)]
mod tests;

use super::circles::{Circle, Graph, circles};
use super::modules::{Module, Reference};
use super::resolve::resolve;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Imports that are shown of each step of a circle, except of the one to cut.
const SHOWN: usize = 4;

/// What the check found.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<String>,
    /// Imports by a submodule from a module above it, which are allowed.
    pub(super) upward: usize,
}

/// One import of a module from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Import {
    from: Vec<String>,
    to: Vec<String>,
    file: PathBuf,
    line: usize,
    path: String,
}

impl Import {
    fn new(from: &Module, to: &Module, reference: &Reference) -> Self {
        Self {
            from: from.path.clone(),
            to: to.path.clone(),
            file: from.file.clone(),
            line: reference.line,
            path: reference.path.join("::"),
        }
    }
}

/// Checks the crate with this root module.
pub(super) fn check(name: &str, root: &Module) -> Findings {
    let imports = imports(root);
    let mut findings = Findings::default();
    let (from_root, rest): (BTreeSet<Import>, BTreeSet<Import>) =
        imports.into_iter().partition(|import| import.to.is_empty());
    if !from_root.is_empty() {
        let mut error = format!(
            "{name}: {} is imported by modules that it declares; import from the defining module",
            root.file.display()
        );
        from_root.iter().for_each(|import| add_line(&mut error, import));
        findings.errors.push(error);
    }
    findings.upward = rest.iter().filter(|import| import.from.starts_with(&import.to)).count();
    for module in root.all() {
        for circle in circles(graph(&module.path, &rest)) {
            findings.errors.push(describe(name, &module.path, &circle));
        }
    }
    findings
}

/// Every import of one file from another.
fn imports(root: &Module) -> BTreeSet<Import> {
    let mut found = BTreeSet::new();
    let mut known = BTreeSet::new();
    // Paths that start at an imported name come last: most lead where the `use` itself leads.
    for by_name in [false, true] {
        for module in root.all() {
            let from = file_module(root, module);
            let references = module.references.iter();
            for reference in references.filter(|reference| reference.is_by_name() == by_name) {
                for to in targets(root, module, reference) {
                    let pair = (from.path.clone(), to.path.clone());
                    if !(to.path.starts_with(&from.path) || by_name && known.contains(&pair)) {
                        known.insert(pair);
                        found.insert(Import::new(from, to, reference));
                    }
                }
            }
        }
    }
    found
}

/// The file modules that a reference leads to.
fn targets<'c>(root: &'c Module, module: &'c Module, reference: &Reference) -> Vec<&'c Module> {
    let resolved = resolve(root, module, &reference.path).into_iter();
    resolved
        .flat_map(|resolved| resolved.through.into_iter().chain([resolved.definition]))
        .map(|target| file_module(root, target))
        .collect()
}

/// The module of the file that holds a module.
fn file_module<'c>(root: &'c Module, module: &'c Module) -> &'c Module {
    let above = |length: usize| root.descendant(&module.path[..length]);
    (0..=module.path.len()).rev().filter_map(above).find(|found| found.whole_file).unwrap_or(root)
}

/// Who imports whom among the submodules of a module.
fn graph<'i>(parent: &[String], imports: &'i BTreeSet<Import>) -> Graph<&'i Import> {
    let mut graph = Graph::new();
    let below = |path: &'i [String]| path.strip_prefix(parent)?.first();
    for import in imports {
        if let (Some(from), Some(to)) = (below(&import.from), below(&import.to))
            && from != to
        {
            let steps: &mut BTreeMap<_, Vec<_>> = graph.entry(from.clone()).or_default();
            steps.entry(to.clone()).or_default().push(import);
        }
    }
    graph
}

fn describe(name: &str, parent: &[String], circle: &Circle<&Import>) -> String {
    let nodes: Vec<&str> = circle.0.iter().map(|(node, _)| node.as_str()).collect();
    let scope = [&[name.to_owned()], parent].concat().join("::");
    let mut text = format!("{scope}: a circle of imports: {} → {}", nodes.join(" → "), nodes[0]);
    for (index, (from, imports)) in circle.0.iter().enumerate() {
        let to = nodes[(index + 1) % nodes.len()];
        let weakest = index == circle.weakest();
        let hint = if weakest { "; without these there is no such circle" } else { "" };
        let _ = write!(text, "\n  {from} imports from {to} ({}{hint}):", imports.len());
        let shown = if weakest { imports.len() } else { SHOWN };
        imports.iter().take(shown).for_each(|import| add_line(&mut text, import));
        if imports.len() > shown {
            let _ = write!(text, "\n    … and {} more", imports.len() - shown);
        }
    }
    text
}

fn add_line(text: &mut String, import: &Import) {
    let _ = write!(text, "\n    {}:{}: {}", import.file.display(), import.line, import.path);
}
