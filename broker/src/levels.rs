//! Which first levels of topics filters can match: asked once a publish, before anything is done
//! for it.

use hashbrown::HashMap;

/// Filters counted by their first level.
#[derive(Debug, Default)]
pub(crate) struct FirstLevels {
    named: HashMap<Box<str>, usize>,
    /// Those that begin with a wildcard: they match every first level that begins not with `$`.
    any: usize,
}

impl FirstLevels {
    /// Counts a filter.
    pub(crate) fn add(&mut self, filter: &str) {
        match first_level(filter) {
            "+" | "#" => self.any += 1,
            level => *self.named.entry(level.into()).or_default() += 1,
        }
    }

    /// Counts a filter no more.
    pub(crate) fn remove(&mut self, filter: &str) {
        match first_level(filter) {
            "+" | "#" => self.any = self.any.saturating_sub(1),
            level => {
                if let Some(count) = self.named.get_mut(level) {
                    *count -= 1;
                    if *count == 0 {
                        self.named.remove(level);
                    }
                }
            }
        }
    }

    /// Whether one of the filters may match topics with this first level.
    pub(crate) fn may_match(&self, level: &str) -> bool {
        (self.any > 0 && !level.starts_with('$')) || self.named.contains_key(level)
    }
}

/// The part of a topic or filter before its first `/`.
pub(crate) fn first_level(topic: &str) -> &str {
    topic.split('/').next().unwrap_or_default()
}
