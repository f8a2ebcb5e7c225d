//! What a rule knows of the quarter's assets beside numbers. Iteration is by number ascending.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::AssetId;

/// An asset of a kind that the manifest names under `reads.kinds`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asset {
    /// Its number.
    pub id: AssetId,
    /// Its name in the quarter.
    pub urn: String,
    /// `meter`, `sensor_box`, ...
    pub kind: String,
    /// H3 cell; 0 where the position is not known.
    pub cell: u64,
    /// Facts that rarely change.
    pub attributes: Vec<(String, String)>,
    /// Kind and target: `feeds`, `part_of`. The target may be of a kind that the rule does not see.
    pub relations: Vec<(String, AssetId)>,
}

impl Asset {
    /// An attribute as it was given.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// An attribute as a finite number; `None` also where it is something else.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<f64> {
        let number = self.attribute(key)?.trim().parse::<f64>().ok()?;
        number.is_finite().then_some(number)
    }

    fn relates(&self, kind: &str, target: AssetId) -> bool {
        let mut relations = self.relations.iter();
        relations.any(|(name, to)| *to == target && name == kind)
    }
}

/// The assets of a plugin.
#[derive(Debug, Clone, Default)]
pub struct Assets {
    by_id: BTreeMap<AssetId, Asset>,
    /// Target and source of every relation of `by_id`.
    edges: BTreeSet<(AssetId, AssetId)>,
}

impl Assets {
    /// An asset; `None` where the rule does not see it.
    #[must_use]
    pub fn get(&self, id: AssetId) -> Option<&Asset> {
        self.by_id.get(&id)
    }

    /// All assets.
    pub fn iter(&self) -> impl Iterator<Item = &Asset> {
        self.by_id.values()
    }

    /// The assets of a kind. Walks through all: for ticks and changes, not for each row.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Asset> {
        self.iter().filter(move |asset| asset.kind == kind)
    }

    /// Where the relations of a kind lead that start at the asset, in the order they were given.
    pub fn related<'a>(&'a self, id: AssetId, kind: &'a str) -> impl Iterator<Item = AssetId> + 'a {
        let relations = self.get(id).into_iter().flat_map(|asset| &asset.relations);
        relations
            .filter(move |(name, _)| name == kind)
            .map(|(_, target)| *target)
    }

    /// Where the relations of a kind start that lead to the asset.
    pub fn relating<'a>(
        &'a self,
        id: AssetId,
        kind: &'a str,
    ) -> impl Iterator<Item = AssetId> + 'a {
        let edges = self.edges.range((id, AssetId(0))..=(id, AssetId(u32::MAX)));
        edges
            .map(|(_, source)| *source)
            .filter(move |source| self.get(*source).is_some_and(|a| a.relates(kind, id)))
    }

    /// Takes the asset as it is now; an empty kind: it is gone.
    pub(crate) fn change(&mut self, asset: Asset) {
        if let Some(old) = self.by_id.remove(&asset.id) {
            for (_, target) in &old.relations {
                self.edges.remove(&(*target, old.id));
            }
        }
        if !asset.kind.is_empty() {
            let targets = asset.relations.iter();
            self.edges
                .extend(targets.map(|(_, target)| (*target, asset.id)));
            self.by_id.insert(asset.id, asset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(id: u32, kind: &str, relations: &[(&str, u32)]) -> Asset {
        let relation = |&(name, to): &(&str, u32)| (name.to_owned(), AssetId(to));
        Asset {
            id: AssetId(id),
            kind: kind.to_owned(),
            attributes: vec![
                ("rated_kw".into(), " 11 ".into()),
                ("x".into(), "inf".into()),
            ],
            relations: relations.iter().map(relation).collect(),
            ..Asset::default()
        }
    }

    fn ids(found: impl Iterator<Item = AssetId>) -> Vec<u32> {
        found.map(|id| id.0).collect()
    }

    #[test]
    fn relations_are_followed_both_ways_and_by_kind() {
        let mut assets = Assets::default();
        assets.change(asset(
            1,
            "feeder",
            &[("feeds", 2), ("part_of", 3), ("feeds", 3)],
        ));
        assets.change(asset(2, "meter", &[]));
        assets.change(asset(4, "feeder", &[("feeds", 2)]));
        assert_eq!(ids(assets.related(AssetId(1), "feeds")), [2, 3]);
        assert_eq!(ids(assets.relating(AssetId(2), "feeds")), [1, 4]);
        assert_eq!(ids(assets.relating(AssetId(3), "part_of")), [1]);
        assert_eq!(ids(assets.relating(AssetId(2), "part_of")), [0; 0]);
        assert_eq!(ids(assets.of_kind("feeder").map(|a| a.id)), [1, 4]);
    }

    #[test]
    fn what_changed_or_went_is_related_no_more() {
        let mut assets = Assets::default();
        assets.change(asset(1, "feeder", &[("feeds", 2)]));
        assets.change(asset(4, "feeder", &[("feeds", 2)]));
        assets.change(asset(1, "feeder", &[("feeds", 5)]));
        assets.change(asset(4, "", &[]));
        assert_eq!(ids(assets.relating(AssetId(2), "feeds")), [0; 0]);
        assert_eq!(ids(assets.relating(AssetId(5), "feeds")), [1]);
        assert_eq!(assets.get(AssetId(4)), None);
        assert_eq!(assets.iter().count(), 1);
    }

    #[test]
    fn an_attribute_is_a_number_only_where_it_is_a_finite_one() {
        let asset = asset(1, "wallbox", &[]);
        assert_eq!(asset.attribute("rated_kw"), Some(" 11 "));
        assert_eq!(asset.number("rated_kw"), Some(11.0));
        assert_eq!(asset.number("x"), None);
        assert_eq!(asset.number("y"), None);
    }
}
