//! What a path means: the module that defines what it names, and the modules that re-export it.

#[cfg(test)]
mod tests;

use super::modules::Module;

/// How far re-exports of re-exports are followed.
const DEPTH: usize = 16;

/// What a path names.
pub(super) struct Resolved<'c> {
    /// The module that it names, or the one that defines the item.
    pub(super) definition: &'c Module,
    /// The modules whose re-exports lead there.
    pub(super) through: Vec<&'c Module>,
    /// Whether the path names a module, not an item in one.
    is_module: bool,
}

/// Resolves a path as it is written in `from`. `None` for another crate's, or an item's own.
pub(super) fn resolve<'c>(
    root: &'c Module,
    from: &'c Module,
    path: &[String],
) -> Option<Resolved<'c>> {
    path_from(root, from, path, DEPTH)
}

fn path_from<'c>(
    root: &'c Module,
    from: &'c Module,
    path: &[String],
    depth: usize,
) -> Option<Resolved<'c>> {
    let (first, mut rest) = path.split_first()?;
    let depth = depth.checked_sub(1)?;
    let start = match first.as_str() {
        "crate" => root,
        "self" => from,
        "super" => {
            let mut module = parent(root, from)?;
            while let Some(("super", after)) =
                rest.split_first().map(|(word, after)| (word.as_str(), after))
            {
                module = parent(root, module)?;
                rest = after;
            }
            module
        }
        name => {
            if let Some(child) = from.children.get(name) {
                child
            } else {
                // A name that this module imports: what the import leads to, and on from there.
                let used = from.uses.iter().find(|used| used.name.as_deref() == Some(name))?;
                if used.path.first() == Some(first) && used.path.len() == 1 {
                    return None;
                }
                let found = path_from(root, from, &used.path, depth)?;
                return follow(root, found, rest, depth);
            }
        }
    };
    let start = Resolved { definition: start, through: Vec::new(), is_module: true };
    follow(root, start, rest, depth)
}

/// Goes on from a module by the rest of a path.
fn follow<'c>(
    root: &'c Module,
    mut found: Resolved<'c>,
    rest: &[String],
    depth: usize,
) -> Option<Resolved<'c>> {
    for name in rest {
        if !found.is_module {
            break;
        }
        if let Some(child) = found.definition.children.get(name) {
            found.definition = child;
            continue;
        }
        let Some(next) = exported(root, found.definition, name, depth) else {
            // Its own item, or one of another crate.
            found.is_module = false;
            continue;
        };
        if !std::ptr::eq(next.definition, found.definition) {
            found.through.push(found.definition);
        }
        found.through.extend(next.through);
        found.definition = next.definition;
        found.is_module = next.is_module;
    }
    Some(found)
}

/// What a module re-exports under a name.
fn exported<'c>(
    root: &'c Module,
    module: &'c Module,
    name: &str,
    depth: usize,
) -> Option<Resolved<'c>> {
    if module.items.contains(name) {
        return None;
    }
    if module.path.is_empty()
        && let Some(definition) =
            root.all().into_iter().find(|module| module.exported_macros.contains(name))
    {
        return Some(Resolved { definition, through: Vec::new(), is_module: false });
    }
    let depth = depth.checked_sub(1)?;
    if let Some(used) = module.uses.iter().find(|used| used.name.as_deref() == Some(name)) {
        return path_from(root, module, &used.path, depth);
    }
    module.uses.iter().filter(|used| used.name.is_none()).find_map(|glob| {
        let globbed = path_from(root, module, &glob.path, depth)?;
        let source = globbed.definition;
        if std::ptr::eq(source, module) || !globbed.is_module {
            return None;
        }
        if let Some(child) = source.children.get(name) {
            return Some(Resolved { definition: child, through: Vec::new(), is_module: true });
        }
        if source.items.contains(name) {
            return Some(Resolved { definition: source, through: Vec::new(), is_module: false });
        }
        exported(root, source, name, depth)
    })
}

fn parent<'c>(root: &'c Module, module: &Module) -> Option<&'c Module> {
    root.descendant(module.path.split_last()?.1)
}
