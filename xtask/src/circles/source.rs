//! The modules of one crate, and the paths that each of them names. Code that only tests compile is
//! left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use syn::visit::{self, Visit};

/// The path of a module below the crate's root; that of the root is empty.
pub(super) type Module = Vec<String>;

/// The modules of a crate.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) modules: BTreeMap<Module, Named>,
}

/// The paths that a module names, from the crate's root.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) paths: BTreeSet<Module>,
    /// The names that `use` brings into the module, and where each comes from.
    pub(super) imported: BTreeMap<String, Module>,
}

impl Sources {
    /// Reads a crate by its root, and its modules by their declarations.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut sources = Self::default();
        let folder = root.parent().unwrap_or(root).to_path_buf();
        sources.add(Vec::new(), root, &folder)?;
        Ok(sources)
    }

    /// Reads a module's file; the files of its children are in `folder`.
    fn add(&mut self, module: Module, file: &Path, folder: &Path) -> Result<()> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let parsed = syn::parse_file(&text).with_context(|| file.display().to_string())?;
        for child in children(&parsed) {
            let mut below = module.clone();
            below.push(child.clone());
            let file = folder.join(format!("{child}.rs"));
            if file.exists() {
                self.add(below, &file, &folder.join(&child))?;
            }
        }
        self.parsed(module, &parsed);
        Ok(())
    }

    /// Takes in a module that is parsed.
    pub(super) fn parsed(&mut self, module: Module, file: &syn::File) {
        let mut reader = Reader {
            module: &module,
            children: children(file).into_iter().collect(),
            named: Named::default(),
        };
        reader.visit_file(file);
        let named = reader.named;
        self.modules.insert(module, named);
    }
}

/// The children that a file declares, but for those of tests.
fn children(file: &syn::File) -> Vec<String> {
    let declared = file.items.iter().filter_map(|item| {
        let syn::Item::Mod(child) = item else {
            return None;
        };
        let is_declared = child.content.is_none() && !is_of_tests(&child.attrs);
        is_declared.then(|| child.ident.to_string())
    });
    declared.collect()
}

fn is_of_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg") && (condition == "test" || condition.starts_with("all (test"))
    })
}

struct Reader<'a> {
    module: &'a Module,
    children: BTreeSet<String>,
    named: Named,
}

impl Reader<'_> {
    /// The path from the crate's root; `None` for a path into another crate.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let mut rest = path;
        let mut module = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            child if self.children.contains(child) => {
                let own = self.module.iter().chain(path);
                return Some(own.cloned().collect());
            }
            _ => return None,
        };
        if path.first().is_some_and(|first| first != "super") {
            rest = rest.get(1..)?;
        }
        while let Some((first, below)) = rest.split_first()
            && first == "super"
        {
            module.pop()?;
            rest = below;
        }
        module.extend(rest.iter().cloned());
        Some(module)
    }

    fn note(&mut self, path: &[String]) {
        self.named.paths.extend(self.absolute(path));
    }

    fn import(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Name(name) => {
                let name = name.ident.to_string();
                self.imported(before, &name, &name);
            }
            syn::UseTree::Rename(renamed) => {
                let (name, alias) = (renamed.ident.to_string(), renamed.rename.to_string());
                self.imported(before, &name, &alias);
            }
            syn::UseTree::Glob(_) => self.note(before),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, before);
                }
            }
        }
    }

    fn imported(&mut self, before: &[String], name: &str, alias: &str) {
        let mut path = before.to_vec();
        if name != "self" {
            path.push(name.to_owned());
        }
        let alias = if alias == "self" {
            path.last().cloned()
        } else {
            Some(alias.to_owned())
        };
        if let (Some(path), Some(alias)) = (self.absolute(&path), alias) {
            self.named.paths.insert(path.clone());
            self.named.imported.insert(alias, path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_of_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_of_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_of_tests(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_of_tests(&item.attrs) {
            self.import(&item.tree, &mut Vec::new());
        }
    }

    // `pub(in crate::a)` depends on nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path
            .segments
            .iter()
            .map(|it| it.ident.to_string())
            .collect();
        if segments.len() > 1 {
            self.note(&segments);
        }
        visit::visit_path(self, path);
    }

    // The tokens of a macro are no syntax tree: its paths are found by their form.
    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        for path in paths(&called.tokens.to_string()) {
            self.note(&path);
        }
        visit::visit_macro(self, called);
    }
}

/// The paths of several names in tokens, which stand apart by spaces.
fn paths(tokens: &str) -> Vec<Vec<String>> {
    let is_name = |word: &str| word.chars().all(|c| c.is_alphanumeric() || c == '_');
    let (mut found, mut path, mut is_joined) = (Vec::new(), Vec::new(), false);
    for word in tokens.split([' ', '(', ')', '{', '}', '[', ']', ',', ';', '&']) {
        if word == "::" {
            is_joined = !path.is_empty();
            continue;
        }
        if !is_joined {
            found.push(std::mem::take(&mut path));
        }
        if is_name(word) && !word.is_empty() {
            path.push(word.to_owned());
        }
        is_joined = false;
    }
    found.push(path);
    found.retain(|path| path.len() > 1);
    found
}
