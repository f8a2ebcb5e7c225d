//! SUBSCRIBE and UNSUBSCRIBE.

use std::sync::Arc;

use super::{Connection, End};
use crate::Message;
use crate::codec::{
    QoS, ReasonCode, RetainHandling, Subscribe, Unsubscribe, encode_sub_ack, encode_unsub_ack,
    shared,
};
use crate::publisher::draft;
use crate::session::{Ids, Out, Terms};
use crate::subscriptions::{Added, Subscriber, has_wildcard};

/// A SUBSCRIBE with everything that outlives the read buffer.
pub(super) struct Request {
    pkid: u16,
    filters: Vec<Wanted>,
}

struct Wanted {
    filter: String,
    terms: Terms,
    retain_handling: RetainHandling,
}

impl Request {
    pub(super) fn new(subscribe: &Subscribe<'_>) -> Self {
        let wanted = |filter: &crate::codec::Filter<'_>| Wanted {
            filter: filter.filter.to_owned(),
            terms: Terms {
                qos: filter.qos,
                no_local: filter.no_local,
                retain_as_published: filter.retain_as_published,
                subscription_id: subscribe.subscription_id.unwrap_or(0),
            },
            retain_handling: filter.retain_handling,
        };
        Self {
            pkid: subscribe.pkid,
            filters: subscribe.filters.iter().map(wanted).collect(),
        }
    }
}

impl Connection {
    /// Subscribes, answers once messages are sure to come, and queues the retained ones.
    pub(super) async fn subscribe(&mut self, request: Request) -> Result<(), End> {
        self.can_take_codes(request.filters.len())?;
        let mut codes = Vec::with_capacity(request.filters.len());
        for wanted in request.filters {
            let added = self.add(&wanted).await?;
            codes.push(added.map_or_else(|refused| refused, |_| granted(wanted.terms.qos)));
            let send = match (added, wanted.retain_handling) {
                (Err(_), _) | (_, RetainHandling::DoNotSend) => false,
                // MQTT 5, 4.8.2: a shared subscription gets no retained messages.
                _ if shared(&wanted.filter).is_some() => false,
                (Ok(existed), RetainHandling::SendIfNew) => !existed,
                (Ok(_), RetainHandling::Send) => true,
            };
            if send {
                self.queue_retained(&wanted).await?;
            }
        }
        self.until_kept().await;
        encode_sub_ack(request.pkid, &codes, self.terms.version, &mut self.write);
        Ok(())
    }

    /// Waits until what was changed in a kept session is on disk, or the broker shuts down.
    async fn until_kept(&mut self) {
        let Some(kept) = &self.session.kept else {
            return;
        };
        let latest = kept.latest();
        let mut closing = self.hub.closing.subscribe();
        tokio::select! {
            _ = self.written.wait_for(|written| *written >= latest) => {}
            _ = closing.wait_for(Option::is_some) => {}
        }
    }

    /// Adds one subscription; whether it was there, or why it is refused.
    async fn add(&mut self, wanted: &Wanted) -> Result<Result<bool, ReasonCode>, End> {
        let filter = wanted.filter.as_str();
        if let Some(reason) = self.filter_refusal(filter) {
            return Ok(Err(reason));
        }
        let (existed, attached) = {
            // Held over both, so that the end of the session finds the filter.
            let mut subscriptions = self.hub.subscriptions.write();
            let mut state = self.own()?;
            let config = &self.hub.config;
            if (!state.filters().contains_key(filter)
                && state.filters().len() >= config.max_subscriptions)
                || state.retained.len() > config.max_queue_messages
            {
                return Ok(Err(ReasonCode::QuotaExceeded));
            }
            state.subscribe(filter, wanted.terms);
            self.session.changed();
            drop(state);
            let subscriber = Subscriber {
                session: self.session.clone(),
                terms: wanted.terms,
            };
            let Added { existed, feed } = subscriptions.add(filter, subscriber);
            (existed, feed.map(|feed| self.hub.router.attach(feed)))
        };
        if let Some(attached) = attached
            && !matches!(attached.await, Ok(Ok(())))
        {
            self.remove(filter)?;
            return Ok(Err(ReasonCode::QuotaExceeded));
        }
        Ok(Ok(existed))
    }

    /// Ends one subscription; whether it was there.
    pub(super) fn remove(&self, filter: &str) -> Result<bool, End> {
        let mut subscriptions = self.hub.subscriptions.write();
        self.own()?.unsubscribe(filter);
        self.session.changed();
        let removed = subscriptions.remove(filter, &self.session);
        if let Some(feed) = removed.feed {
            self.hub.router.detach(feed);
        }
        Ok(removed.existed)
    }

    /// Queues the retained messages of a filter, from the broker's store and the host's.
    async fn queue_retained(&mut self, wanted: &Wanted) -> Result<(), End> {
        let terms = wanted.terms;
        let mut found: Vec<Out> = Vec::new();
        let keep = |message: crate::envelope::Envelope| {
            let qos = terms.qos.min(message.qos());
            Out::new(message, qos, true, Ids::of([terms.subscription_id]))
        };
        self.hub
            .retained
            .matching(&wanted.filter, |message| found.push(keep(message.clone())));
        self.hub
            .sys
            .matching(&wanted.filter, |message| found.push(keep(message.clone())));
        if has_wildcard(&wanted.filter) || self.hub.hooks.retained.owns(&wanted.filter) {
            let source = Arc::clone(&self.hub.hooks.retained);
            let filter = wanted.filter.clone();
            // The host may have to look at and to format many.
            let from_host = tokio::task::spawn_blocking(move || {
                let mut messages = Vec::new();
                source.matching(&filter, &mut |topic, payload| {
                    messages.push(
                        draft(&Message {
                            topic,
                            payload,
                            retain: true,
                        })
                        .seal(0),
                    );
                });
                messages
            });
            match from_host.await {
                Ok(messages) => found.extend(messages.into_iter().map(keep)),
                Err(error) => tracing::error!(%error, "retained messages of the host"),
            }
        }
        if !found.is_empty() {
            self.own()?.queue_retained(&self.session, found);
        }
        Ok(())
    }

    /// Whether a SUBACK or UNSUBACK with so many codes is not too large for the client.
    fn can_take_codes(&self, count: usize) -> Result<(), End> {
        // Fixed header, packet identifier, no properties.
        const REST: usize = 5 + 2 + 1;
        match count + REST <= self.terms.max_packet {
            true => Ok(()),
            false => Err(End::Reason(ReasonCode::PacketTooLarge, "too many filters")),
        }
    }

    /// Ends subscriptions and answers.
    pub(super) fn unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>) -> Result<(), End> {
        self.can_take_codes(unsubscribe.filters.len())?;
        let mut codes = Vec::with_capacity(unsubscribe.filters.len());
        for filter in &unsubscribe.filters {
            codes.push(match self.remove(filter)? {
                true => ReasonCode::Success,
                false => ReasonCode::NoSubscriptionExisted,
            });
        }
        encode_unsub_ack(
            unsubscribe.pkid,
            &codes,
            self.terms.version,
            &mut self.write,
        );
        Ok(())
    }
}

fn granted(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQos1,
        QoS::ExactlyOnce => ReasonCode::GrantedQos2,
    }
}
