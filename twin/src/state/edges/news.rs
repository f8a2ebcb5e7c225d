//! News of a box in the city's twin: alerts, commands, orders, the newest values, health.
//!
//! News never touches the replica. What it says comes again with the ordered entries and then
//! changes nothing: values are equal by time, alerts and commands by `told`.

use super::{Edge, Standing, remember};
use crate::event::EdgeNews;
use crate::state::{Alert, AlertKey, Effects, Twin};
use crate::uplink::{Echo, News, NewsValue};

impl Twin {
    pub(in crate::state) fn edge_news(&mut self, said: &EdgeNews<'_>, effects: &mut Effects) {
        let Some((node, mut edge)) = self.edges.by_node.remove_entry(said.node) else {
            return;
        };
        if edge.standing != Standing::Retired {
            match edge.admit_news(said.news) {
                Ok(news) => self.hear(&mut edge, news, effects),
                Err(why) => edge.refuse(why),
            }
            effects.edges.push(node.clone());
        }
        self.edges.by_node.insert(node, edge);
    }

    fn hear(&mut self, edge: &mut Edge, news: News, effects: &mut Effects) {
        edge.heard = Some(Echo {
            sent: news.sent,
            taken: self.now,
        });
        edge.head = edge.head.max(news.head);
        if news.told >= edge.told {
            self.hear_alerts(edge, &news, effects);
            if news.whole {
                edge.ahead.clear();
            }
            edge.told = news.told;
            if edge.received() < edge.told {
                let ahead = news.commands.into_iter();
                edge.ahead
                    .extend(ahead.map(|command| (command.id, command)));
            }
        }
        for taken in &news.orders {
            edge.took(taken, effects);
        }
        for correction in &news.corrections {
            if !edge.corrections.contains(correction) {
                remember(&mut edge.corrections, *correction);
            }
        }
        for value in &news.values {
            self.hear_value(&edge.record.quarter, value, effects);
        }
        if news.health.is_some() {
            edge.health = news.health;
        }
    }

    fn hear_alerts(&mut self, edge: &Edge, news: &News, effects: &mut Effects) {
        let quarter = &edge.record.quarter;
        if news.whole {
            let said = |key: &AlertKey| {
                let mut told = news.alerts.iter();
                told.any(|(told, alert)| told == key && alert.is_some())
            };
            self.end_alerts(&edge.record.node, said, effects);
        }
        for (key, alert) in news
            .alerts
            .iter()
            .filter(|(key, _)| key.quarter == *quarter)
        {
            self.put_alert(&edge.record.node, key.clone(), alert.clone(), effects);
        }
    }

    /// Ends the alerts of a box that are not `active` any more.
    pub(super) fn end_alerts(
        &mut self,
        node: &str,
        active: impl Fn(&AlertKey) -> bool,
        effects: &mut Effects,
    ) {
        let is_over = |(key, alert): &(&AlertKey, &Alert)| {
            alert.node.as_deref() == Some(node) && !active(key)
        };
        let over = self.alerts.iter().filter(is_over);
        let over: Vec<_> = over.map(|(key, _)| key.clone()).collect();
        for key in over {
            self.put_alert(node, key, None, effects);
        }
    }

    /// Raises an alert of a box as it is, or ends it.
    pub(super) fn put_alert(
        &mut self,
        node: &str,
        key: AlertKey,
        alert: Option<Alert>,
        effects: &mut Effects,
    ) {
        let alert = alert.map(|alert| Alert {
            node: Some(node.to_owned()),
            ..alert
        });
        let changed = match &alert {
            Some(alert) => self.alerts.insert(key.clone(), alert.clone()).as_ref() != Some(alert),
            None => self.alerts.remove(&key).is_some(),
        };
        if changed {
            effects.alerts.push((key, alert));
        }
    }

    fn hear_value(&mut self, quarter: &str, value: &NewsValue, effects: &mut Effects) {
        let asset = self
            .quarter_index(quarter)
            .and_then(|quarter| self.intern_asset(quarter, &value.asset));
        let Some(asset) = asset else {
            return;
        };
        if value.place.is_some() {
            self.move_asset(asset, value.place);
        }
        let stream = self
            .intern_metric(&value.metric, value.unit.as_deref())
            .and_then(|metric| self.intern_stream(asset, metric));
        if let Some(stream) = stream {
            self.take(stream, value.value, value.time, value.quality, effects);
        }
    }
}

impl Edge {
    fn admit_news(&self, payload: &[u8]) -> Result<News, String> {
        let news = News::decode(payload).map_err(|error| format!("news {error}"))?;
        match self.journal {
            Some(journal) if journal != news.journal => Err(format!(
                "the box has another journal ({}) than before; retire it and enrol it anew",
                news.journal
            )),
            _ => Ok(news),
        }
    }
}
