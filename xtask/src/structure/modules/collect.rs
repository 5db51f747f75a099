//! Every path that an item names: in `use`, in expressions and types, in the tokens of macros, and
//! in the strings of attributes such as `#[serde(with = "crate::name")]`.

use super::{Module, Reference, Use, attributes, is_for_tests};
use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Item, UseTree};

/// Collects into a module.
pub(super) struct Collector<'m> {
    module: &'m mut Module,
}

impl<'m> Collector<'m> {
    pub(super) fn new(module: &'m mut Module) -> Self {
        Self { module }
    }

    /// Notes the names that an item of the module itself defines or imports.
    pub(super) fn top_level(&mut self, item: &Item) {
        let name = match item {
            Item::Const(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Fn(item) => &item.sig.ident,
            Item::Static(item) => &item.ident,
            Item::Struct(item) => &item.ident,
            Item::Trait(item) => &item.ident,
            Item::TraitAlias(item) => &item.ident,
            Item::Type(item) => &item.ident,
            Item::Union(item) => &item.ident,
            Item::Macro(item) => {
                let exported = item.attrs.iter().any(|found| found.path().is_ident("macro_export"));
                if let (true, Some(name)) = (exported, &item.ident) {
                    self.module.exported_macros.insert(name.to_string());
                }
                return;
            }
            Item::Use(item) => {
                let uses = names(&item.tree, &[]);
                self.module.uses.extend(uses.into_iter().map(|(used, _)| used));
                return;
            }
            _ => return,
        };
        self.module.items.insert(name.to_string());
    }

    fn refer(&mut self, path: Vec<String>, line: usize) {
        if path.len() > 1 {
            self.module.references.push(Reference { path, line });
        }
    }

    fn scan(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = tokens.as_slice();
        while let Some((token, after)) = rest.split_first() {
            rest = after;
            match token {
                TokenTree::Group(group) => self.scan(group.stream()),
                TokenTree::Literal(literal) => self.literal(literal),
                TokenTree::Ident(first) => {
                    let mut path = vec![first.to_string()];
                    while let Some((word, after)) = next_segment(rest) {
                        path.push(word);
                        rest = after;
                    }
                    self.refer(path, first.span().start().line);
                }
                TokenTree::Punct(_) => {}
            }
        }
    }

    /// A string that is a path.
    fn literal(&mut self, literal: &proc_macro2::Literal) {
        let text = literal.to_string();
        let words: Vec<String> = text.trim_matches('"').split("::").map(str::to_owned).collect();
        if matches!(words[0].as_str(), "crate" | "super" | "self") {
            self.refer(words, literal.span().start().line);
        }
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for (used, line) in names(&item.tree, &[]) {
            let glob = used.name.is_none();
            if glob && used.path.len() == 1 {
                // `use super::*`: a path of one word otherwise names nothing of another module.
                self.module.references.push(Reference { path: used.path, line });
            } else {
                self.refer(used.path, line);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.refer(words, path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        visit::visit_macro(self, item);
        self.scan(item.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.scan(list.tokens.clone());
        }
    }

    /// `pub(in crate::name)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

/// The `::name` that tokens begin with, and what follows it.
fn next_segment(tokens: &[TokenTree]) -> Option<(String, &[TokenTree])> {
    match tokens {
        [TokenTree::Punct(a), TokenTree::Punct(b), TokenTree::Ident(word), rest @ ..]
            if a.as_char() == ':' && b.as_char() == ':' =>
        {
            Some((word.to_string(), rest))
        }
        _ => None,
    }
}

/// Each name of a `use`, and its line.
fn names(tree: &UseTree, before: &[String]) -> Vec<(Use, usize)> {
    let with = |word: &syn::Ident| [before, &[word.to_string()]].concat();
    match tree {
        UseTree::Path(path) => names(&path.tree, &with(&path.ident)),
        UseTree::Group(group) => group.items.iter().flat_map(|tree| names(tree, before)).collect(),
        UseTree::Glob(glob) => {
            vec![(Use { path: before.to_vec(), name: None }, glob.span().start().line)]
        }
        UseTree::Name(name) => {
            // `use a::{self}` names `a`.
            let path = if name.ident == "self" { before.to_vec() } else { with(&name.ident) };
            let line = name.ident.span().start().line;
            vec![(Use { name: path.last().cloned(), path }, line)]
        }
        UseTree::Rename(rename) => {
            let path = if rename.ident == "self" { before.to_vec() } else { with(&rename.ident) };
            let line = rename.ident.span().start().line;
            vec![(Use { path, name: Some(rename.rename.to_string()) }, line)]
        }
    }
}
