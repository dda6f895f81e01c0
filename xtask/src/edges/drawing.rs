//! Draws a graph of layers as SVG: a box for each node, below whatever depends on it.
//!
//! The file knows no crate. The method is the usual one for layered graphs: an edge that passes a
//! layer has a bend there, each layer is ordered by where its neighbours are, and boxes are moved
//! apart where they overlap.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The width of a letter of the font, in units of the drawing.
const LETTER_WIDTH: f64 = 7.3;
const LINE_HEIGHT: f64 = 16.0;
const PADDING: f64 = 9.0;
/// The space between two boxes of a layer.
const BOX_GAP: f64 = 22.0;
/// The width that an edge takes where it passes a layer.
const BEND_WIDTH: f64 = 2.0;
const LAYER_GAP: f64 = 58.0;
const MARGIN: f64 = 18.0;
/// The number of ordering passes; more of them change nothing in a graph of this size.
const PASSES: usize = 40;

/// A box, before it has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) lines: Vec<String>,
    /// The boxes that this one points to, by their keys.
    pub(super) below: BTreeSet<String>,
}

/// A box, or a bend of an edge, with its place.
struct Placed {
    layer: usize,
    /// The middle of the box, in units of the drawing.
    x: f64,
    width: f64,
    lines: Vec<String>,
}

struct Drawing {
    placed: BTreeMap<String, Placed>,
    /// The keys of each edge, from a box over its bends to the box that it points to.
    edges: Vec<Vec<String>>,
}

/// Finds the layer of each node: 0 for those that point to nothing, and otherwise one above the
/// highest node that they point to.
///
/// The graph has no circle, because cargo refuses one.
pub(super) fn layers(below: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, usize> {
    let mut layers: BTreeMap<String, usize> = below.keys().map(|key| (key.clone(), 0)).collect();
    for _ in 0..below.len() {
        for (key, targets) in below {
            let least = targets
                .iter()
                .filter_map(|target| layers.get(target))
                .max()
                .map_or(0, |highest| highest + 1);
            layers.insert(key.clone(), least);
        }
    }
    layers
}

/// Draws the graph as an SVG file.
pub(super) fn svg(nodes: &BTreeMap<String, Node>, title: &str) -> String {
    let mut drawing = Drawing::new(nodes);
    for pass in 0..PASSES {
        drawing.order(pass % 2 == 0);
    }
    drawing.written(title)
}

impl Drawing {
    fn new(nodes: &BTreeMap<String, Node>) -> Self {
        let below = nodes
            .iter()
            .map(|(key, node)| (key.clone(), node.below.clone()));
        let layers = layers(&below.collect());
        let layer_of = |key: &str| layers.get(key).copied().unwrap_or_default();
        let mut drawing = Self {
            placed: BTreeMap::new(),
            edges: Vec::new(),
        };
        for (key, node) in nodes {
            let letters = node.lines.iter().map(|line| line.chars().count()).max();
            let placed = Placed {
                layer: layer_of(key),
                x: 0.0,
                width: letters.unwrap_or_default() as f64 * LETTER_WIDTH + 2.0 * PADDING,
                lines: node.lines.clone(),
            };
            drawing.placed.insert(key.clone(), placed);
        }
        for (key, node) in nodes {
            for target in node
                .below
                .iter()
                .filter(|target| nodes.contains_key(*target))
            {
                let mut edge = vec![key.clone()];
                for layer in (layer_of(target) + 1..layer_of(key)).rev() {
                    let bend = format!("{key} > {target} at {layer}");
                    let placed = Placed {
                        layer,
                        x: 0.0,
                        width: BEND_WIDTH,
                        lines: Vec::new(),
                    };
                    drawing.placed.insert(bend.clone(), placed);
                    edge.push(bend);
                }
                edge.push(target.clone());
                drawing.edges.push(edge);
            }
        }
        let top = drawing.top();
        for layer in 0..=top {
            let keys: Vec<String> = drawing.keys_of(layer).cloned().collect();
            drawing.set_apart(keys.into_iter().map(|key| (key, 0.0)).collect());
        }
        drawing
    }

    fn top(&self) -> usize {
        let layers = self.placed.values().map(|placed| placed.layer);
        layers.max().unwrap_or_default()
    }

    fn keys_of(&self, layer: usize) -> impl Iterator<Item = &String> {
        let placed = self.placed.iter();
        placed.filter_map(move |(key, placed)| (placed.layer == layer).then_some(key))
    }

    /// Passes once over all layers, and moves each node to the middle of its neighbours in the
    /// layer above, or below.
    fn order(&mut self, downwards: bool) {
        let top = self.top();
        let layers: Vec<usize> = if downwards {
            (0..top).rev().collect()
        } else {
            (1..=top).collect()
        };
        for layer in layers {
            let keys: Vec<String> = self.keys_of(layer).cloned().collect();
            let wanted = keys.into_iter().map(|key| {
                let x = self.middle_of_neighbours(&key, downwards);
                let x = x.or_else(|| self.placed.get(&key).map(|placed| placed.x));
                (key, x.unwrap_or_default())
            });
            let wanted = wanted.collect();
            self.set_apart(wanted);
        }
    }

    fn middle_of_neighbours(&self, key: &str, above: bool) -> Option<f64> {
        let mut places = Vec::new();
        for edge in &self.edges {
            for (upper, lower) in edge.iter().zip(edge.iter().skip(1)) {
                let neighbour = match above {
                    true if lower == key => upper,
                    false if upper == key => lower,
                    true | false => continue,
                };
                places.extend(self.placed.get(neighbour).map(|placed| placed.x));
            }
        }
        let count = places.len() as f64;
        (!places.is_empty()).then(|| places.iter().sum::<f64>() / count)
    }

    /// Puts the nodes of one layer where they want to be, in that order, and moves those that
    /// overlap apart.
    fn set_apart(&mut self, mut wanted: Vec<(String, f64)>) {
        wanted.sort_by(|(one, x), (other, y)| x.total_cmp(y).then_with(|| one.cmp(other)));
        let (mut from, mut moved) = (f64::NEG_INFINITY, 0.0);
        let mut places = Vec::new();
        for (key, x) in &wanted {
            let width = self.placed.get(key).map_or(0.0, |placed| placed.width);
            let place = x.max(from + width / 2.0);
            from = place + width / 2.0 + BOX_GAP;
            moved += place - x;
            places.push(place);
        }
        // All nodes share the move to the right, so that no layer drifts.
        let shift = moved / (wanted.len().max(1) as f64);
        for ((key, _), place) in wanted.iter().zip(places) {
            if let Some(placed) = self.placed.get_mut(key) {
                placed.x = place - shift;
            }
        }
    }

    /// Returns the top and the height of each layer, from the highest layer down.
    fn heights(&self) -> BTreeMap<usize, (f64, f64)> {
        let mut y = MARGIN;
        let mut heights = BTreeMap::new();
        for layer in (0..=self.top()).rev() {
            let of_layer = self.placed.values().filter(|placed| placed.layer == layer);
            let lines = of_layer.map(|placed| placed.lines.len()).max();
            let height = lines.unwrap_or_default().max(1) as f64 * LINE_HEIGHT + 2.0 * PADDING;
            heights.insert(layer, (y, height));
            y += height + LAYER_GAP;
        }
        heights
    }

    fn written(&self, title: &str) -> String {
        let left = self
            .placed
            .values()
            .map(|placed| placed.x - placed.width / 2.0);
        let left = left.fold(f64::INFINITY, f64::min) - MARGIN;
        let right = self
            .placed
            .values()
            .map(|placed| placed.x + placed.width / 2.0);
        let width = right.fold(f64::NEG_INFINITY, f64::max) + MARGIN - left;
        let heights = self.heights();
        let ends = heights.values().map(|(y, height)| y + height);
        let height = ends.fold(0.0, f64::max) + MARGIN;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" aria-label=\"{title}\">\n\
             <style>\n  \
             text {{ font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, \"DejaVu Sans Mono\", monospace; \
             fill: #1c2733; text-anchor: middle; }}\n  \
             path {{ fill: none; stroke: #7c8aa0; stroke-width: 1.2; }}\n  \
             rect.box {{ fill: #f4f7fb; stroke: #4a5d78; }}\n  \
             rect.leaf {{ fill: #e3eefc; }}\n  rect.program {{ fill: #dff3e4; }}\n\
             </style>\n\
             <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" \
             markerHeight=\"7\" orient=\"auto\"><path d=\"M0 1 L7 4 L0 7 z\" style=\"fill: #7c8aa0; \
             stroke: none\"/></marker></defs>\n\
             <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#ffffff\"/>\n"
        );
        for edge in &self.edges {
            self.write_edge(edge, left, &heights, &mut text);
        }
        for (key, placed) in &self.placed {
            if !placed.lines.is_empty() {
                self.write_box(key, placed, left, &heights, &mut text);
            }
        }
        text.push_str("</svg>\n");
        text
    }

    fn write_edge(
        &self,
        edge: &[String],
        left: f64,
        heights: &BTreeMap<usize, (f64, f64)>,
        text: &mut String,
    ) {
        let mut line = String::new();
        let mut from: Option<(f64, f64)> = None;
        for (at, key) in edge.iter().enumerate() {
            let Some(placed) = self.placed.get(key) else {
                continue;
            };
            let (top, height) = heights.get(&placed.layer).copied().unwrap_or_default();
            let x = placed.x - left;
            if let Some((before, y)) = from {
                let half = (y + top) / 2.0;
                // The curves leave and arrive upright, so that two lines that cross can be told
                // apart.
                write!(
                    line,
                    " C{before:.0} {half:.0} {x:.0} {half:.0} {x:.0} {top:.0}"
                )
                .ok();
            } else {
                write!(line, "M{x:.0} {:.0}", top + height).ok();
            }
            if at > 0 && at + 1 < edge.len() {
                write!(line, " V{:.0}", top + height).ok();
            }
            from = Some((x, top + height));
        }
        writeln!(text, "<path d=\"{line}\" marker-end=\"url(#head)\"/>").ok();
    }

    fn write_box(
        &self,
        key: &str,
        placed: &Placed,
        left: f64,
        heights: &BTreeMap<usize, (f64, f64)>,
        text: &mut String,
    ) {
        let (top, height) = heights.get(&placed.layer).copied().unwrap_or_default();
        let is_pointed_to = self
            .edges
            .iter()
            .any(|edge| edge.last().is_some_and(|last| last == key));
        let class = match (placed.layer, is_pointed_to) {
            (0, _) => "box leaf",
            (_, false) => "box program",
            (_, true) => "box",
        };
        let x = placed.x - left;
        writeln!(
            text,
            "<rect class=\"{class}\" x=\"{:.0}\" y=\"{top:.0}\" width=\"{:.0}\" height=\"{height:.0}\" rx=\"4\"/>",
            x - placed.width / 2.0,
            placed.width
        )
        .ok();
        let used = placed.lines.len() as f64 * LINE_HEIGHT;
        let mut y = top + (height - used) / 2.0 + LINE_HEIGHT * 0.75;
        for line in &placed.lines {
            writeln!(text, "<text x=\"{x:.0}\" y=\"{y:.0}\">{line}</text>").ok();
            y += LINE_HEIGHT;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{Drawing, Node, layers, svg};

    fn graph(edges: &[(&str, &[&str])]) -> BTreeMap<String, Node> {
        let node = |(key, below): &(&str, &[&str])| {
            let node = Node {
                lines: vec![(*key).to_owned()],
                below: below.iter().map(|&target| target.to_owned()).collect(),
            };
            ((*key).to_owned(), node)
        };
        edges.iter().map(node).collect()
    }

    #[test]
    fn a_layer_is_above_everything_that_it_points_to() {
        let graph = graph(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[]), ("d", &["c"])]);
        let below = graph
            .iter()
            .map(|(key, node)| (key.clone(), node.below.clone()));
        let layers = layers(&below.collect());
        let layers: Vec<usize> = layers.into_values().collect();
        assert_eq!(layers, [2, 1, 0, 1]);
    }

    #[test]
    fn no_two_boxes_of_a_layer_overlap() {
        let graph = graph(&[
            ("a", &["x", "y", "z"]),
            ("b", &["x"]),
            ("c", &["x", "z"]),
            ("x", &[]),
            ("y", &[]),
            ("z", &[]),
        ]);
        let mut drawing = Drawing::new(&graph);
        for pass in 0..9 {
            drawing.order(pass % 2 == 0);
        }
        for layer in 0..=drawing.top() {
            let keys: BTreeSet<&String> = drawing.keys_of(layer).collect();
            let mut spans: Vec<(f64, f64)> = keys
                .iter()
                .filter_map(|key| drawing.placed.get(*key))
                .map(|placed| (placed.x - placed.width / 2.0, placed.x + placed.width / 2.0))
                .collect();
            spans.sort_by(|one, other| one.0.total_cmp(&other.0));
            for (one, other) in spans.iter().zip(spans.iter().skip(1)) {
                assert!(one.1 < other.0, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn an_edge_that_passes_a_layer_bends_there() {
        let graph = graph(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]);
        let drawing = Drawing::new(&graph);
        let bends = drawing
            .placed
            .values()
            .filter(|placed| placed.lines.is_empty());
        assert_eq!(bends.count(), 1);
        assert_eq!(svg(&graph, "t").matches("<path d=\"M").count(), 4);
    }
}
