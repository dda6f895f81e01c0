//! Makes the picture and the tables of docs/architecture.md from the list of edges that the command
//! checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::drawing::{self, Node};

const PAGE: &str = "docs/architecture.md";
const PICTURE: &str = "docs/architecture.svg";
const BEGIN: &str = "<!-- Made by `cargo xtask edges --write` from xtask/src/edges.rs. -->\n";
const END: &str = "<!-- Made until here. -->\n";
/// The beginning of every crate's name.
const PREFIX: &str = "lanyard-";
/// The crates that are not shipped: they measure, stand in for others, and test.
const NEVER_SHIPPED: [&str; 6] = [
    "lanyard-bench",
    "lanyard-rig",
    "lanyard-testkit",
    "lanyard-tests",
    "lanyard-in-process",
    "xtask",
];

/// A crate of the workspace, as cargo describes it.
pub(crate) struct Crate {
    pub(crate) name: String,
    /// The description in the crate's Cargo.toml.
    pub(crate) what: String,
    /// The crates of the workspace that this crate may depend on.
    pub(crate) needs: BTreeSet<String>,
}

impl Crate {
    fn is_shipped(&self) -> bool {
        !NEVER_SHIPPED.contains(&self.name.as_str())
    }
}

/// Writes the picture, and the part of the page between the marks.
///
/// # Errors
/// When the page cannot be read, lacks the marks, or cannot be written.
pub(super) fn write(crates: &[Crate]) -> Result<()> {
    let page = std::fs::read_to_string(PAGE).context(PAGE)?;
    std::fs::write(PAGE, with_part(&page, &part(crates))?).context(PAGE)?;
    std::fs::write(PICTURE, picture(crates)).context(PICTURE)?;
    println!("edges: {PAGE} and {PICTURE} are written");
    Ok(())
}

/// Compares the written picture and page with what [`write()`] would make.
///
/// # Errors
/// When the page or the picture differs.
pub(super) fn fresh(crates: &[Crate]) -> Result<()> {
    let page = std::fs::read_to_string(PAGE).context(PAGE)?;
    let is_fresh = with_part(&page, &part(crates))? == page
        && std::fs::read_to_string(Path::new(PICTURE)).unwrap_or_default() == picture(crates);
    if !is_fresh {
        bail!("{PAGE} or {PICTURE} is not what the edges are: run `cargo xtask edges --write`");
    }
    Ok(())
}

/// Replaces everything between the page's marks.
fn with_part(page: &str, part: &str) -> Result<String> {
    let lacks = || format!("{PAGE} lacks the line `{}`", BEGIN.trim_end());
    let (before, rest) = page.split_once(BEGIN).with_context(lacks)?;
    let lacks = || format!("{PAGE} lacks the line `{}`", END.trim_end());
    let (_, after) = rest.split_once(END).with_context(lacks)?;
    Ok(format!("{before}{BEGIN}{part}{END}{after}"))
}

fn part(crates: &[Crate]) -> String {
    let needs = crates.iter().map(|it| (it.name.clone(), it.needs.clone()));
    let layers = drawing::layers(&needs.collect());
    let mut sorted: Vec<&Crate> = crates.iter().collect();
    let layer_of = |it: &Crate| layers.get(&it.name).copied().unwrap_or_default();
    sorted.sort_by_key(|it| (usize::MAX - layer_of(it), &it.name));
    let (shipped, others): (Vec<&Crate>, Vec<&Crate>) =
        sorted.into_iter().partition(|it| it.is_shipped());
    let mut text = String::from(
        "\n![The crates, each above those that it depends on](architecture.svg)\n\n\
         An edge that follows from others is left out of the picture: the server depends on the core,\n\
         too. The tables have all of them.\n\n",
    );
    table(&shipped, &mut text);
    text.push_str("\nNever shipped, and not in the picture:\n\n");
    table(&others, &mut text);
    text.push('\n');
    text
}

fn table(crates: &[&Crate], text: &mut String) {
    text.push_str("| crate | what it does | depends on |\n|---|---|---|\n");
    for it in crates {
        let needs: Vec<&str> = it.needs.iter().map(|name| short(name)).collect();
        let needs = match needs.as_slice() {
            [] => "no other crate".to_owned(),
            needs => needs.join(", "),
        };
        writeln!(text, "| `{}` | {} | {needs} |", it.name, it.what).ok();
    }
}

fn short(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

fn picture(crates: &[Crate]) -> String {
    let shipped = crates.iter().filter(|it| it.is_shipped());
    let edges: BTreeMap<String, BTreeSet<String>> = shipped
        .map(|it| {
            let needs = it.needs.iter().map(|name| short(name).to_owned());
            (short(&it.name).to_owned(), needs.collect())
        })
        .collect();
    drawing::svg(&alike_together(&reduced(&edges)), "The crates of Lanyard")
}

/// Removes the edges that follow from others.
fn reduced(edges: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    let mut reached: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for _ in 0..edges.len() {
        for (from, targets) in edges {
            let mut all: BTreeSet<&String> = targets.iter().collect();
            for target in targets {
                all.extend(reached.get(target).into_iter().flatten());
            }
            reached.insert(from, all);
        }
    }
    let follows = |target: &String, targets: &BTreeSet<String>| {
        let mut others = targets.iter().filter(|other| *other != target);
        others.any(|other| reached.get(other).is_some_and(|all| all.contains(target)))
    };
    let kept = |targets: &BTreeSet<String>| {
        let kept = targets.iter().filter(|target| !follows(target, targets));
        kept.cloned().collect()
    };
    let edges = edges.iter();
    edges
        .map(|(from, targets)| (from.clone(), kept(targets)))
        .collect()
}

/// Gives the crates of one family (`provider-…`) that have the same edges a box together.
fn alike_together(edges: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, Node> {
    let above = |name: &String| {
        let from = edges.iter().filter(|(_, targets)| targets.contains(name));
        from.map(|(from, _)| from.clone())
            .collect::<BTreeSet<String>>()
    };
    let family = |name: &str| {
        name.split_once('-')
            .map_or(name, |(family, _)| family)
            .to_owned()
    };
    let mut boxes: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (name, targets) in edges {
        let alike = (family(name), targets.clone(), above(name));
        boxes.entry(alike).or_default().push(name.clone());
    }
    let key_of: BTreeMap<&String, &String> = boxes
        .values()
        .flat_map(|names| {
            names
                .iter()
                .map(move |name| (name, names.first().unwrap_or(name)))
        })
        .collect();
    let node = |(_, targets, _): &(_, BTreeSet<String>, _), names: &Vec<String>| Node {
        lines: names.clone(),
        below: targets
            .iter()
            .filter_map(|target| key_of.get(target).map(|key| (*key).clone()))
            .collect(),
    };
    boxes
        .iter()
        .filter_map(|(alike, names)| Some((names.first()?.clone(), node(alike, names))))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{BEGIN, END, alike_together, reduced, with_part};

    fn edges(list: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let set = |targets: &[&str]| targets.iter().map(|&to| to.to_owned()).collect();
        let entry = |(from, targets): &(&str, &[&str])| ((*from).to_owned(), set(targets));
        list.iter().map(entry).collect()
    }

    #[test]
    fn an_edge_that_follows_from_others_is_not_drawn() {
        let all = edges(&[
            ("a", &["b", "c", "d"]),
            ("b", &["c"]),
            ("c", &["d"]),
            ("d", &[]),
        ]);
        let drawn = edges(&[("a", &["b"]), ("b", &["c"]), ("c", &["d"]), ("d", &[])]);
        assert_eq!(reduced(&all), drawn);
    }

    #[test]
    fn a_family_with_the_same_edges_is_one_box_and_others_are_their_own() {
        let all = edges(&[
            ("server", &["provider-a", "provider-b", "provider-c"]),
            ("cli", &["provider-c"]),
            ("provider-a", &["core"]),
            ("provider-b", &["core"]),
            ("provider-c", &["core"]),
            ("core", &[]),
        ]);
        let boxes = alike_together(&all);
        let lines: Vec<Vec<String>> = boxes.values().map(|node| node.lines.clone()).collect();
        assert!(lines.contains(&vec!["provider-a".to_owned(), "provider-b".to_owned()]));
        assert!(lines.contains(&vec!["provider-c".to_owned()]));
        let below = boxes.get("server").map(|node| node.below.len());
        assert_eq!(below, Some(2));
    }

    #[test]
    fn what_is_around_the_marks_stays() {
        let page = format!("# Title\n{BEGIN}old\n{END}text\n");
        let written = with_part(&page, "new\n").ok();
        assert_eq!(written, Some(format!("# Title\n{BEGIN}new\n{END}text\n")));
        assert!(with_part("# Title\n", "new\n").is_err());
    }
}
