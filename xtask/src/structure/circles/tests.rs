use super::{Circle, Graph, circles};
use std::collections::BTreeMap;

/// A graph of edges, each with how many imports it stands for.
fn graph(edges: &[(&str, &str, usize)]) -> Graph<()> {
    let mut graph: Graph<()> = BTreeMap::new();
    for (from, to, imports) in edges {
        let steps = graph.entry((*from).into()).or_default();
        steps.insert((*to).into(), vec![(); *imports]);
    }
    graph
}

fn names(circle: &Circle<()>) -> String {
    circle.0.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_graph_without_circles_has_none() {
    assert!(circles(graph(&[("a", "b", 1), ("a", "c", 1), ("b", "c", 1)])).is_empty());
}

#[test]
fn the_shortest_circle_comes_first_and_is_cut_where_it_is_weakest() {
    let found = circles(graph(&[("a", "b", 3), ("b", "a", 1), ("b", "c", 1), ("c", "a", 1)]));
    assert_eq!(found.iter().map(names).collect::<Vec<_>>(), ["ab", "abc"]);
    assert_eq!(found[0].weakest(), 1);
}

#[test]
fn a_node_that_imports_itself_is_a_circle() {
    assert_eq!(circles(graph(&[("a", "a", 1)])).len(), 1);
}
