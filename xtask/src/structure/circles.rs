//! Circles in a graph of imports.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Who imports whom, and by what: `graph[a][b]` are a's imports from b.
pub(super) type Graph<I> = BTreeMap<String, BTreeMap<String, Vec<I>>>;

/// Nodes that import each other all around, each with its imports from the next.
#[derive(Debug, PartialEq)]
pub(super) struct Circle<I>(pub(super) Vec<(String, Vec<I>)>);

impl<I> Circle<I> {
    /// The step with the fewest imports: without it, there is no circle.
    pub(super) fn weakest(&self) -> usize {
        let steps = self.0.iter().enumerate();
        steps.min_by_key(|(_, (_, imports))| imports.len()).map_or(0, |(index, _)| index)
    }
}

/// The circles of a graph, shortest first; each is taken to be cut at its weakest step before the
/// next one is looked for. Empty if and only if imports run one way.
pub(super) fn circles<I: Clone>(mut graph: Graph<I>) -> Vec<Circle<I>> {
    let mut found = Vec::new();
    while let Some(nodes) =
        graph.keys().filter_map(|node| shortest(&graph, node)).min_by_key(Vec::len)
    {
        let next = nodes.iter().skip(1).chain(nodes.first());
        let steps = nodes.iter().zip(next);
        let circle =
            Circle(steps.map(|(from, to)| (from.clone(), graph[from][to].clone())).collect());
        let cut = circle.weakest();
        let next = &nodes[(cut + 1) % nodes.len()];
        if let Some(imports) = graph.get_mut(&nodes[cut]) {
            imports.remove(next);
        }
        found.push(circle);
    }
    found
}

/// The shortest way from a node back to itself.
fn shortest<I>(graph: &Graph<I>, start: &String) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut queue = VecDeque::from([vec![start.clone()]]);
    while let Some(way) = queue.pop_front() {
        for next in way.last().and_then(|last| graph.get(last)).into_iter().flat_map(BTreeMap::keys)
        {
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                queue.push_back([way.clone(), vec![next.clone()]].concat());
            }
        }
    }
    None
}
