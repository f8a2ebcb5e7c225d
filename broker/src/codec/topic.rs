//! Topics and topic filters (MQTT 5, section 4.7).

/// Whether a message may be published to `topic`: 1 to 65,535 bytes, no wildcard, no NUL.
pub(crate) fn valid_topic(topic: &str) -> bool {
    todo!()
}

/// Whether one may subscribe to `filter`: 1 to 65,535 bytes, no NUL, `#` only as the whole last
/// level, `+` only as a whole level; `$share` with group and filter.
pub(crate) fn valid_filter(filter: &str) -> bool {
    todo!()
}

/// Whether `topic` matches `filter`, both valid. A filter that begins with a wildcard does not
/// match topics that begin with `$`. For `$share` pass the filter that [`shared`] gives.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    todo!()
}

/// Group and filter of `$share/{group}/{filter}`; `None` for every other filter.
pub(crate) fn shared(filter: &str) -> Option<(&str, &str)> {
    todo!()
}
