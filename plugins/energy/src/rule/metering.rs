//! E4 and E5: profiles of meters, the sum over a quarter, and shared energy.
//!
//! Values of a household are derived for the household itself under personal metrics; of a sharing
//! community the public sees totals, and those only of enough participants.

use quartier_sdk::prelude::*;

use super::settings::Settings;
use crate::profile::{News, Origin, Peak, Profile, Slot};
use crate::sharing::{Balance, Key, allocate};
use crate::time::{QUARTER_MS, Span, day_span, local};

/// Quarters of an hour that wait for a member, at most: the longest gap that is closed, and a bit.
const WAITING: usize = 300;
/// Hours in a quarter of an hour.
const HOURS: f64 = 0.25;
/// A sharing community or a quarter is related to its members so.
const CONSUMES: &str = "supplies";
const GENERATES: &str = "generates";
const CONTAINS: &str = "contains";

/// Which stream of an asset a profile is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Source {
    /// Public meter, feeder, transformer.
    Public,
    /// Household.
    Household,
    /// Plant.
    Plant,
}

type Member = (AssetId, Source);

/// Values of all members of a group, until they are complete.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Group {
    waiting: BTreeMap<u64, BTreeMap<Member, (f64, bool)>>,
    peak: Peak,
    day: u64,
    balance: Balance,
}

/// State of E4 and E5.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Metering {
    profiles: BTreeMap<Member, Profile>,
    groups: BTreeMap<AssetId, Group>,
}

/// A quarter of an hour of which every member's value is there, kW; and whether it is a substitute.
type Complete = BTreeMap<Member, (f64, bool)>;

impl Group {
    /// Puts in one value. Members say their values in order of time, so a quarter of an hour before
    /// a complete one never gets complete.
    fn put(&mut self, member: Member, slot: &Slot, members: &[Member]) -> Option<Complete> {
        let value = (slot.kw, slot.origin != Origin::Measured);
        let values = self.waiting.entry(slot.end).or_default();
        values.insert(member, value);
        if members.iter().all(|member| values.contains_key(member)) {
            let rest = self.waiting.split_off(&(slot.end + 1));
            return std::mem::replace(&mut self.waiting, rest).remove(&slot.end);
        }
        if self.waiting.len() > WAITING {
            self.waiting.pop_first();
        }
        None
    }
}

impl Metering {
    pub(super) fn forget(&mut self, asset: AssetId) {
        self.profiles.retain(|(of, _), _| *of != asset);
        self.groups.remove(&asset);
    }

    /// A mean of a quarter of an hour, kW.
    pub(super) fn take(
        &mut self,
        set: &Settings,
        member: Member,
        (end, kw): (u64, f64),
        cx: &mut Context,
    ) {
        let profile = self.profiles.entry(member).or_default();
        let news = profile.take(end, kw, &set.policy);
        say(set, member, &news, end, cx);
        for slot in &news.slots {
            self.pass_on(set, member, slot, cx);
        }
    }

    fn pass_on(&mut self, set: &Settings, member: Member, slot: &Slot, cx: &mut Context) {
        let (asset, source) = member;
        let relation = match source {
            Source::Public => CONTAINS,
            Source::Household => CONSUMES,
            Source::Plant => GENERATES,
        };
        let assets = cx.assets();
        for group in assets.relating(asset, relation) {
            let members = match source {
                Source::Public => members(assets, group, CONTAINS, Source::Public),
                _ => community(assets, group),
            };
            let Some(values) = self
                .groups
                .entry(group)
                .or_default()
                .put(member, slot, &members)
            else {
                continue;
            };
            match source {
                Source::Public => self.sum(set, group, slot.end, &values, cx),
                _ => self.share(set, group, slot.end, &values, cx),
            }
        }
    }

    fn sum(
        &mut self,
        set: &Settings,
        area: AssetId,
        end: u64,
        values: &Complete,
        cx: &mut Context,
    ) {
        let sum: f64 = values.values().map(|(kw, _)| kw).sum();
        cx.derive(area, set.derived.net_load, sum, end);
        let measured = values.values().all(|(_, substituted)| !substituted);
        let peak = &mut self.groups.entry(area).or_default().peak;
        if let Some(peak) = measured.then(|| peak.raise(end, sum)).flatten() {
            cx.derive(area, set.derived.peak, peak, end);
        }
    }

    fn share(
        &mut self,
        set: &Settings,
        of: AssetId,
        end: u64,
        values: &Complete,
        cx: &mut Context,
    ) {
        let kwh = |source: Source| {
            let values = values.iter().filter(move |((_, s), _)| *s == source);
            values.map(|((asset, _), (kw, _))| (*asset, (kw * HOURS).max(0.0)))
        };
        let consumers: Vec<(AssetId, f64)> = kwh(Source::Household).collect();
        let consumption: Vec<f64> = consumers.iter().map(|(_, kwh)| *kwh).collect();
        let pool: f64 = kwh(Source::Plant).map(|(_, kwh)| kwh).sum();
        let public = consumers.len() >= set.min_participants;
        let ids: Vec<AssetId> = consumers.iter().map(|(id, _)| *id).collect();
        match contract(cx.assets(), of, &ids) {
            Ok(key) => {
                let found = allocate(&key, pool, &consumption);
                for (id, kwh) in ids.iter().zip(&found.shares) {
                    cx.derive(*id, set.derived.household_shared, *kwh, end);
                }
                if public {
                    let substitutes = values.values().filter(|(_, substituted)| *substituted);
                    let share = 100.0 * substitutes.count() as f64 / values.len() as f64;
                    cx.derive(of, set.derived.shared, found.shares.iter().sum(), end);
                    cx.derive(of, set.derived.residual, found.residual, end);
                    cx.derive(of, set.derived.shared_substituted, share, end);
                }
            }
            Err(problem) if local(end).second == 0 => {
                let urn = cx.assets().get(of).map_or("", |asset| asset.urn.as_str());
                cx.log(Level::Warn, format!("{urn}: nothing is shared: {problem}"));
            }
            Err(_) => {}
        }
        let group = self.groups.entry(of).or_default();
        let day = day_span(local(end.saturating_sub(QUARTER_MS)).day);
        let over = (group.day != day.start && group.day != 0).then_some(group.day);
        if let Some(day) = over {
            let balance = std::mem::take(&mut group.balance);
            settle(set, of, day_span(local(day).day), balance, public, cx);
        }
        group.day = day.start;
        group.balance.add(pool, consumption.iter().sum());
        if end == day.end {
            let balance = std::mem::take(&mut group.balance);
            group.day = 0;
            settle(set, of, day, balance, public, cx);
        }
    }
}

/// Says the day's self-consumption and autarky, where enough of the day is there.
fn settle(set: &Settings, of: AssetId, day: Span, sums: Balance, public: bool, cx: &mut Context) {
    let expected = (day.end - day.start) / QUARTER_MS;
    if !public || f64::from(sums.slots) < set.coverage * expected as f64 {
        return;
    }
    let figures = [
        (set.derived.self_consumption, sums.self_consumption()),
        (set.derived.autarky, sums.autarky()),
    ];
    for (metric, percent) in figures {
        if let Some(percent) = percent {
            cx.derive(of, metric, percent, day.end);
        }
    }
}

fn say(set: &Settings, (asset, source): Member, news: &News, end: u64, cx: &mut Context) {
    let named = &set.derived;
    let (profile, flag, peak) = match source {
        Source::Public => (named.profile, named.substituted, named.peak),
        Source::Household => {
            let flag = named.household_substituted;
            (named.household_profile, flag, named.household_peak)
        }
        Source::Plant => return,
    };
    for slot in &news.slots {
        cx.derive(asset, profile, slot.kw, slot.end);
        if news.slots.len() > 1 {
            cx.derive(asset, flag, f64::from(slot.origin as u8), slot.end);
        }
    }
    if let Some(kw) = news.peak {
        cx.derive(asset, peak, kw, end);
    }
    if source == Source::Public {
        for rate in &news.rates {
            cx.derive(asset, named.rate, rate.percent, rate.end);
        }
    }
}

fn members(assets: &Assets, group: AssetId, relation: &str, source: Source) -> Vec<Member> {
    assets
        .related(group, relation)
        .map(|id| (id, source))
        .collect()
}

fn community(assets: &Assets, group: AssetId) -> Vec<Member> {
    let mut all = members(assets, group, CONSUMES, Source::Household);
    all.extend(members(assets, group, GENERATES, Source::Plant));
    all
}

/// The key of a community. § 42b: equal where nothing is agreed. § 42c: the contract's, or none.
fn contract(
    assets: &Assets,
    community: AssetId,
    consumers: &[AssetId],
) -> Result<Key, &'static str> {
    let asset = assets.get(community).ok_or("the community is not there")?;
    let key = match (
        asset.attribute("basis").unwrap_or("42b"),
        asset.attribute("key"),
    ) {
        ("42b", None) => "equal",
        ("42b" | "42c", Some(key)) => key,
        ("42c", None) => {
            return Err("set the attribute key to the contract's: section 42c EnWG has no other");
        }
        _ => return Err("set the attribute basis to 42b or 42c"),
    };
    match key {
        "equal" => Ok(Key::Equal),
        "proportional" => Ok(Key::Proportional),
        "constant" => constant(assets, consumers),
        _ => Err("set the attribute key to constant, proportional or equal"),
    }
}

fn constant(assets: &Assets, consumers: &[AssetId]) -> Result<Key, &'static str> {
    let share = |id: &AssetId| {
        let share = assets.get(*id)?.number("share")?;
        (0.0..=1.0).contains(&share).then_some(share)
    };
    let shares: Option<Vec<f64>> = consumers.iter().map(share).collect();
    let shares = shares.ok_or("set the attribute share, 0 to 1, of every participant")?;
    if shares.iter().sum::<f64>() > 1.0 + 1e-9 {
        return Err("the shares of the participants are more than 1 together");
    }
    Ok(Key::Constant(shares))
}
