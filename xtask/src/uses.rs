//! Which files of a crate use which others.
//!
//! A file uses another if it names something that lies there, by `use` or by a path. A name that is
//! re-exported counts where it is defined; `mod` and a re-export are no use, and tests are left out.
//! Calls of methods name no file, so they are not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Item, Token, UseTree, Visibility};

use crate::error::{Error, Result};

/// By file, the files that it uses, each with something that it names there.
pub(crate) type Uses = BTreeMap<String, BTreeMap<String, String>>;

/// Reads the crate whose root lies in the directory `source`. Files are relative to that.
pub(crate) fn uses(source: &Path) -> Result<Uses> {
    let mut krate = Crate { source, modules: Vec::new() };
    let library = source.join("lib.rs");
    let root = if library.exists() { library } else { source.join("main.rs") };
    krate.read(&root, source, None)?;
    let mut uses = Uses::new();
    for (index, module) in krate.modules.iter().enumerate() {
        for path in &module.paths {
            let Some((target, _)) = krate.resolve(index, path, 0) else { continue };
            let target = &krate.modules[target].file;
            if *target != module.file {
                let used = uses.entry(module.file.clone()).or_default();
                used.insert(target.clone(), path.join("::"));
            }
        }
    }
    Ok(uses)
}

struct Crate<'a> {
    source: &'a Path,
    modules: Vec<Module>,
}

#[derive(Default)]
struct Module {
    file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    /// Names that stand for what lies elsewhere.
    names: BTreeMap<String, Vec<String>>,
    /// Everything that is named.
    paths: BTreeSet<Vec<String>>,
}

impl Crate<'_> {
    /// Reads a file, and those of its modules, which lie in `folder`.
    fn read(&mut self, file: &Path, folder: &Path, parent: Option<usize>) -> Result<usize> {
        let text = fs::read_to_string(file).map_err(Error::file("read", file))?;
        let parsed = syn::parse_file(&text)
            .map_err(|source| Error::Parse { path: file.to_owned(), source })?;
        let name = file.strip_prefix(self.source).unwrap_or(file).display().to_string();
        self.take_in(parsed.items, name, folder, parent)
    }

    fn take_in(
        &mut self,
        items: Vec<Item>,
        file: String,
        folder: &Path,
        parent: Option<usize>,
    ) -> Result<usize> {
        let this = self.modules.len();
        self.modules.push(Module { file: file.clone(), parent, ..Module::default() });
        for item in items {
            let Item::Mod(item) = item else {
                self.modules[this].visit_item(&item);
                continue;
            };
            if is_for_tests(&item.attrs) {
                continue;
            }
            let name = item.ident.to_string();
            let folder = folder.join(&name);
            let child = match item.content {
                Some((_, items)) => self.take_in(items, file.clone(), &folder, Some(this))?,
                None => {
                    let flat = folder.with_extension("rs");
                    let path = if flat.exists() { flat } else { folder.join("mod.rs") };
                    self.read(&path, &folder, Some(this))?
                }
            };
            self.modules[this].children.insert(name, child);
        }
        Ok(this)
    }

    /// The module that `path` names in the module `at`, and true; or the module where what it names
    /// lies, and false. None if that is another crate.
    fn resolve(&self, mut at: usize, path: &[String], depth: u32) -> Option<(usize, bool)> {
        for (index, name) in path.iter().enumerate() {
            let module = &self.modules[at];
            at = match (name.as_str(), module.children.get(name), module.names.get(name)) {
                ("crate", ..) => 0,
                ("self", ..) => at,
                ("super", ..) => module.parent?,
                (_, Some(&child), _) => child,
                // A name that stands for itself is one of another crate.
                (.., Some(elsewhere)) if depth < 16 => {
                    match self.resolve(at, elsewhere, depth + 1)? {
                        (found, true) => found,
                        item => return Some(item),
                    }
                }
                _ => return (index > 0).then_some((at, false)),
            };
        }
        Some((at, true))
    }
}

impl Module {
    fn import(&mut self, tree: &UseTree, mut path: Vec<String>, is_exported: bool) {
        let (name, original) = match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                return self.import(&tree.tree, path, is_exported);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|t| self.import(t, path.clone(), is_exported));
            }
            // The module itself, whatever is named by it.
            UseTree::Glob(_) => ("self".to_owned(), "self".to_owned()),
            UseTree::Name(tree) => (tree.ident.to_string(), tree.ident.to_string()),
            UseTree::Rename(tree) => (tree.rename.to_string(), tree.ident.to_string()),
        };
        let of_module = path.last().filter(|_| name == "self").cloned();
        if original != "self" {
            path.push(original);
        }
        if !is_exported {
            self.paths.insert(path.clone());
        }
        self.names.insert(of_module.unwrap_or(name), path);
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.import(&item.tree, Vec::new(), !matches!(item.vis, Visibility::Inherited));
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // One name alone is imported, or lies in this file.
        if path.segments.len() > 1 {
            self.paths.insert(path.segments.iter().map(|part| part.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    /// A path in a visibility (`pub(in path)`) is not a use of that path.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    /// Most macros take expressions.
    fn visit_macro(&mut self, invoked: &'ast syn::Macro) {
        let arguments = Punctuated::<Expr, Token![,]>::parse_terminated;
        if let Ok(arguments) = invoked.parse_body_with(arguments) {
            // What was parsed just now does not live as long as the file.
            let mut found = Self::default();
            arguments.iter().for_each(|argument| found.visit_expr(argument));
            self.paths.append(&mut found.paths);
        }
        visit::visit_macro(self, invoked);
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}
