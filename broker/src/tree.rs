//! Filters with wildcards that are matched here and not by the router, by their levels.
//!
//! One node a level, in one vector: neither the depth of a filter nor that of a topic is a depth of
//! calls. Invariant: every node but the root has somebody in it or below it.

use hashbrown::HashMap;

use crate::subscriptions::Seats;

const ROOT: usize = 0;

#[derive(Debug, Default)]
struct Node {
    parent: usize,
    /// Of the filter, its last one.
    level: Box<str>,
    children: HashMap<Box<str>, usize>,
    seats: Option<Box<Seats>>,
}

/// Subscribers by filter.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    free: Vec<usize>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            free: Vec::new(),
        }
    }
}

impl Tree {
    fn child(&self, node: usize, level: &str) -> Option<usize> {
        self.nodes.get(node)?.children.get(level).copied()
    }

    fn find(&self, filter: &str) -> Option<usize> {
        let mut levels = filter.split('/');
        levels.try_fold(ROOT, |node, level| self.child(node, level))
    }

    fn grow(&mut self, parent: usize, level: &str) -> usize {
        let node = Node {
            parent,
            level: level.into(),
            ..Node::default()
        };
        let at = self.free.pop().unwrap_or(self.nodes.len());
        match self.nodes.get_mut(at) {
            Some(free) => *free = node,
            None => self.nodes.push(node),
        }
        if let Some(parent) = self.nodes.get_mut(parent) {
            parent.children.insert(level.into(), at);
        }
        at
    }

    /// The seats of a filter, made where there are none; the flag says so.
    pub(crate) fn entry(&mut self, filter: &str) -> Option<(&mut Seats, bool)> {
        let mut node = ROOT;
        for level in filter.split('/') {
            node = match self.child(node, level) {
                Some(child) => child,
                None => self.grow(node, level),
            };
        }
        let seats = &mut self.nodes.get_mut(node)?.seats;
        let new = seats.is_none();
        let seats = seats.get_or_insert_with(|| Box::new(Seats::new(filter)));
        Some((seats, new))
    }

    /// The seats of a filter.
    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut Seats> {
        let node = self.find(filter)?;
        self.nodes.get_mut(node)?.seats.as_deref_mut()
    }

    /// Removes a filter.
    pub(crate) fn remove(&mut self, filter: &str) {
        let Some(mut at) = self.find(filter) else {
            return;
        };
        if let Some(node) = self.nodes.get_mut(at) {
            node.seats = None;
        }
        while at != ROOT
            && let Some(node) = self.nodes.get_mut(at)
            && node.seats.is_none()
            && node.children.is_empty()
        {
            let Node { parent, level, .. } = std::mem::take(node);
            self.free.push(at);
            if let Some(parent) = self.nodes.get_mut(parent) {
                parent.children.remove(&level);
            }
            at = parent;
        }
    }

    /// Calls `each` for every filter that matches `topic`.
    pub(crate) fn matching(&self, topic: &str, mut each: impl FnMut(&Seats)) {
        let mut visit = |node: Option<usize>| {
            let seats = node.and_then(|at| self.nodes.get(at)?.seats.as_deref());
            seats.into_iter().for_each(&mut each);
        };
        let mut reached = vec![ROOT];
        let mut wild = !topic.starts_with('$');
        for level in topic.split('/') {
            let mut next = Vec::new();
            for node in reached {
                next.extend(self.child(node, level));
                if wild {
                    next.extend(self.child(node, "+"));
                    visit(self.child(node, "#"));
                }
            }
            reached = next;
            wild = true;
        }
        for node in reached {
            visit(Some(node));
            // "a/#" matches "a" too.
            visit(self.child(node, "#"));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec;

    fn found(tree: &Tree, topic: &str) -> Vec<String> {
        let mut found = Vec::new();
        tree.matching(topic, |seats| found.push(seats.filter.to_string()));
        found.sort();
        found
    }

    proptest! {
        #[test]
        fn what_the_tree_finds_is_what_matches(
            filters in prop::collection::btree_set("([ab$]|\\+|)(/([ab]|\\+|)){0,3}(/#)?|#", 1..20),
            removed in any::<prop::sample::Index>(),
            topics in prop::collection::vec("[ab$]?(/[ab]?){0,4}", 1..20),
        ) {
            let mut tree = Tree::default();
            for filter in &filters {
                prop_assert!(tree.entry(filter).unwrap().1);
            }
            let gone = removed.get(&filters.iter().cloned().collect::<Vec<_>>()).clone();
            tree.remove(&gone);
            for topic in topics.iter().filter(|topic| !topic.is_empty()) {
                let matching = |f: &&String| **f != gone && codec::matches(f, topic);
                let want: Vec<String> = filters.iter().filter(matching).cloned().collect();
                prop_assert_eq!(found(&tree, topic), want, "{}", topic);
            }
            for filter in &filters {
                tree.remove(filter);
            }
            prop_assert_eq!(tree.nodes.len(), tree.free.len() + 1);
        }
    }

    #[test]
    fn a_filter_of_the_greatest_depth_is_found_and_removed() {
        let deep = vec!["+"; 32_768].join("/");
        let mut tree = Tree::default();
        tree.entry(&deep);
        assert_eq!(found(&tree, &vec![""; 32_768].join("/")), [deep.as_str()]);
        tree.remove(&deep);
        assert!(found(&tree, &vec![""; 32_768].join("/")).is_empty());
    }
}
