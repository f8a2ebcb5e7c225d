//! Retained twin topics, answered from the state.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use quartier_broker::{RetainedSource, topic_matches};

use super::{
    aggregate_json, alert_json, alert_topic, cell_topic, command_json, command_topic, downlink,
    may_show, stream_json, stream_topic,
};
use crate::edges::packages::Packages;
use crate::state::{Change, RESOLUTIONS, Stream, Twin};

/// Streams looked at under one lock, so that a wide filter does not hold up the fold.
const CHUNK: usize = 4096;

/// Answers new subscribers of twin, personal, cell, alert and command topics.
pub struct TwinTopics {
    twin: Arc<RwLock<Twin>>,
    packages: Packages,
}

impl TwinTopics {
    /// Over the twin that the fold owns, and the packages that boxes may ask for.
    pub fn new(twin: Arc<RwLock<Twin>>, packages: Packages) -> Self {
        Self { twin, packages }
    }

    fn streams(&self, filter: &str, emit: &mut dyn FnMut(String, Bytes)) {
        let levels: Vec<&str> = filter.split('/').collect();
        let literal = |index: usize| {
            levels
                .get(index)
                .copied()
                .filter(|level| !matches!(*level, "+" | "#"))
        };
        if let (Some(quarter), Some(asset)) = (literal(2), literal(4)) {
            let twin = self.twin.read();
            let index = twin
                .quarter_index(quarter)
                .and_then(|q| twin.asset_index(q, asset));
            let asset = index.and_then(|index| twin.assets().get(index as usize));
            for (_, stream) in asset.map(|a| a.streams.as_slice()).unwrap_or_default() {
                if let Some(stream) = twin.streams().get(*stream as usize) {
                    emit_stream(&twin, stream, filter, emit);
                }
            }
            return;
        }
        let mut next = 0;
        loop {
            let twin = self.twin.read();
            let Some(rest) = twin.streams().get(next..).filter(|rest| !rest.is_empty()) else {
                return;
            };
            for stream in rest.iter().take(CHUNK) {
                emit_stream(&twin, stream, filter, emit);
            }
            next += CHUNK;
        }
    }

    fn cells(&self, filter: &str, emit: &mut dyn FnMut(String, Bytes)) {
        for resolution in RESOLUTIONS {
            let twin = self.twin.read();
            for found in twin.aggregates(resolution, None) {
                let topic = cell_topic(&twin, found.cell, found.metric)
                    .filter(|_| may_show(&twin, found.metric, &found.aggregate));
                if let Some(topic) = topic.filter(|topic| topic_matches(filter, topic)) {
                    emit(topic, aggregate_json(&found.aggregate));
                }
            }
        }
    }

    fn commands(&self, filter: &str, emit: &mut dyn FnMut(String, Bytes)) {
        for command in self.twin.read().commands().sent() {
            let topic = command_topic(command);
            if topic_matches(filter, &topic) {
                emit(topic, command_json(command));
            }
        }
    }

    fn alerts(&self, filter: &str, emit: &mut dyn FnMut(String, Bytes)) {
        for (key, alert) in self.twin.read().alerts() {
            let topic = alert_topic(key);
            if topic_matches(filter, &topic) {
                emit(topic, alert_json(alert));
            }
        }
    }
}

fn emit_stream(twin: &Twin, stream: &Stream, filter: &str, emit: &mut dyn FnMut(String, Bytes)) {
    let newest = Change {
        stream: 0,
        value: stream.value,
        time: stream.time,
        quality: stream.quality,
        rev: stream.rev,
    };
    let Some(topic) = stream_topic(twin, stream).filter(|topic| topic_matches(filter, topic))
    else {
        return;
    };
    if let Some(metric) = twin.metric_of(stream).filter(|_| stream.rev > 0) {
        emit(topic, stream_json(&newest, &metric.unit));
    }
}

impl RetainedSource for TwinTopics {
    fn owns(&self, topic: &str) -> bool {
        matches!(
            topic.split('/').next(),
            Some("twin" | "personal" | "cell" | "alert" | "cmd" | "downlink")
        )
    }

    fn matching(&self, filter: &str, emit: &mut dyn FnMut(String, Bytes)) {
        let first = filter.split('/').next().unwrap_or_default();
        let wild = matches!(first, "+" | "#");
        if wild || matches!(first, "twin" | "personal") {
            self.streams(filter, emit);
        }
        if wild || first == "cell" {
            self.cells(filter, emit);
        }
        if wild || first == "alert" {
            self.alerts(filter, emit);
        }
        if wild || first == "cmd" {
            self.commands(filter, emit);
        }
        if let Some(chunk) = downlink::chunk(&self.packages, filter) {
            emit(filter.to_owned(), chunk);
        } else if wild || first == "downlink" {
            downlink::matching(&self.twin.read(), filter, emit);
        }
    }
}
