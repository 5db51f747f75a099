//! The modules of one crate as its sources declare them, with every path that they name.

mod collect;
#[cfg(test)]
mod tests;

use super::sources::Sources;
use anyhow::{Context, Result};
use collect::Collector;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::Visit;
use syn::{Attribute, Item, Meta};

/// A module: a file, or a part of one.
#[derive(Debug)]
pub(super) struct Module {
    /// Names from the crate's root to this module; empty for the root.
    pub(super) path: Vec<String>,
    /// The file that holds it.
    pub(super) file: PathBuf,
    /// Whether it is the file itself, not a `mod NAME { … }` in one.
    pub(super) whole_file: bool,
    /// What it defines, except modules.
    pub(super) items: BTreeSet<String>,
    /// Macros that it exports to the crate's root.
    pub(super) exported_macros: BTreeSet<String>,
    /// What it imports, and perhaps re-exports.
    pub(super) uses: Vec<Use>,
    /// Every path that it names, those of `uses` among them.
    pub(super) references: Vec<Reference>,
    /// Its submodules, without those for tests.
    pub(super) children: BTreeMap<String, Self>,
}

/// One name of a `use` at the top of a module.
#[derive(Debug)]
pub(super) struct Use {
    /// As it is written.
    pub(super) path: Vec<String>,
    /// The name it has here; `None` for a glob.
    pub(super) name: Option<String>,
}

/// A path somewhere in a module.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    /// As it is written.
    pub(super) path: Vec<String>,
    pub(super) line: usize,
}

impl Reference {
    /// Whether it starts at a name that the module imports or declares.
    pub(super) fn is_by_name(&self) -> bool {
        !matches!(self.path[0].as_str(), "crate" | "super" | "self")
    }
}

impl Module {
    /// The modules of the crate with this root file.
    ///
    /// # Errors
    /// A file is missing or does not parse.
    pub(super) fn of_crate(sources: &Sources, root: &Path) -> Result<Self> {
        let folder = root.parent().unwrap_or(Path::new(""));
        read(sources, Vec::new(), root, folder)
    }

    fn empty(path: Vec<String>, file: &Path, whole_file: bool) -> Self {
        Self {
            path,
            file: file.to_owned(),
            whole_file,
            items: BTreeSet::new(),
            exported_macros: BTreeSet::new(),
            uses: Vec::new(),
            references: Vec::new(),
            children: BTreeMap::new(),
        }
    }

    /// This module and all below it.
    pub(super) fn all(&self) -> Vec<&Self> {
        let below = self.children.values().flat_map(Self::all);
        std::iter::once(self).chain(below).collect()
    }

    /// The module with this path from here.
    pub(super) fn descendant(&self, path: &[String]) -> Option<&Self> {
        path.iter().try_fold(self, |module, name| module.children.get(name))
    }
}

/// Reads a file module whose submodules lie in `folder`.
fn read(sources: &Sources, path: Vec<String>, file: &Path, folder: &Path) -> Result<Module> {
    let text = sources.get(file).with_context(|| format!("{} is missing", file.display()))?;
    let parsed = syn::parse_file(text).with_context(|| format!("parsing {}", file.display()))?;
    let mut module = Module::empty(path, file, true);
    fill(sources, &mut module, &parsed.items, folder)?;
    Ok(module)
}

/// Adds items to a module whose submodules lie in `folder`.
fn fill(sources: &Sources, module: &mut Module, items: &[Item], folder: &Path) -> Result<()> {
    for item in items.iter().filter(|item| !is_for_tests(attributes(item))) {
        let Item::Mod(declared) = item else {
            let mut collector = Collector::new(module);
            collector.top_level(item);
            collector.visit_item(item);
            continue;
        };
        let name = declared.ident.to_string();
        let path = [module.path.clone(), vec![name.clone()]].concat();
        let child = if let Some((_, items)) = &declared.content {
            let mut child = Module::empty(path, &module.file, false);
            fill(sources, &mut child, items, &folder.join(&name))?;
            child
        } else {
            let (file, folder) = file_of(sources, module, declared, folder)?;
            read(sources, path, &file, &folder)?
        };
        module.children.insert(name, child);
    }
    Ok(())
}

/// The file of `mod NAME;`, and the folder of its submodules.
fn file_of(
    sources: &Sources,
    parent: &Module,
    declared: &syn::ItemMod,
    folder: &Path,
) -> Result<(PathBuf, PathBuf)> {
    let name = declared.ident.to_string();
    let beside = folder.join(format!("{name}.rs"));
    let within = folder.join(&name);
    let given = declared.attrs.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    if let Some(given) = given {
        let base = if parent.whole_file { parent.file.parent() } else { Some(folder) };
        let file = lexical(&base.unwrap_or(Path::new("")).join(given));
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        return Ok((file, folder));
    }
    let older = within.join("mod.rs");
    let found = [beside, older].into_iter().find(|file| sources.get(file).is_some());
    let found = found.with_context(|| {
        format!("{} declares `mod {name}`, which has no file", parent.file.display())
    })?;
    Ok((found, within))
}

/// A path without `..`, by its words alone.
fn lexical(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut done, part| {
        match part {
            std::path::Component::ParentDir => {
                done.pop();
            }
            other => done.push(other),
        }
        done
    })
}

/// The attributes of an item.
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether an item is compiled for tests alone.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.parse_args::<Meta>().is_ok_and(|condition| needs_test(&condition))
    })
}

fn needs_test(condition: &Meta) -> bool {
    let Meta::List(list) = condition else { return condition.path().is_ident("test") };
    let inner =
        list.parse_args_with(syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated);
    let Ok(inner) = inner else { return false };
    if list.path.is_ident("all") {
        inner.iter().any(needs_test)
    } else {
        list.path.is_ident("any") && inner.iter().all(needs_test)
    }
}
