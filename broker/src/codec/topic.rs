//! Topics and topic filters (MQTT 5, section 4.7).

const SHARE: &str = "$share";

/// Whether a message may be published to `topic`: 1 to 65,535 bytes, no wildcard, no NUL.
pub(crate) fn valid_topic(topic: &str) -> bool {
    (1..=usize::from(u16::MAX)).contains(&topic.len())
        && !topic.bytes().any(|byte| matches!(byte, 0 | b'+' | b'#'))
}

/// Whether one may subscribe to `filter`: 1 to 65,535 bytes, no NUL, `#` only as the whole last
/// level, `+` only as a whole level; `$share` only with a group and a filter that is not itself
/// shared.
pub(crate) fn valid_filter(filter: &str) -> bool {
    if filter.len() > usize::from(u16::MAX) || filter.contains('\0') {
        return false;
    }
    if !is_share(filter) {
        return valid_levels(filter);
    }
    shared(filter).is_some_and(|(group, filter)| {
        !group.is_empty()
            && !group.contains(['+', '#'])
            && !is_share(filter)
            && valid_levels(filter)
    })
}

/// Whether `topic` matches `filter`, both valid. A filter that begins with a wildcard does not
/// match topics that begin with `$`. For `$share` pass the filter that [`shared`] gives.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.as_bytes().split(|byte| *byte == b'/');
    for wanted in filter.as_bytes().split(|byte| *byte == b'/') {
        if wanted == b"#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == b"+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Whether `rule` matches every topic that `filter` matches, both valid and neither shared. A topic
/// is a filter that matches itself.
pub(crate) fn covers(rule: &str, filter: &str) -> bool {
    if filter.starts_with('$') && rule.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = filter.as_bytes().split(|byte| *byte == b'/');
    for allowed in rule.as_bytes().split(|byte| *byte == b'/') {
        if allowed == b"#" {
            return true;
        }
        match levels.next() {
            Some(b"#") | None => return false,
            Some(level) if allowed == b"+" || allowed == level => {}
            Some(_) => return false,
        }
    }
    levels.next().is_none()
}

/// Whether some topic may match both filters, valid and neither shared.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    let (mut ones, mut others) = (one.split('/'), other.split('/'));
    loop {
        match (ones.next(), others.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(one), Some(other)) if one == other || one == "+" || other == "+" => {}
            _ => return false,
        }
    }
}

/// Group and filter of `$share/{group}/{filter}`; `None` for every other filter.
pub(crate) fn shared(filter: &str) -> Option<(&str, &str)> {
    filter
        .strip_prefix(SHARE)?
        .strip_prefix('/')?
        .split_once('/')
}

fn is_share(filter: &str) -> bool {
    filter
        .strip_prefix(SHARE)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn valid_levels(filter: &str) -> bool {
    let mut levels = filter.split('/');
    let last = levels.next_back().unwrap_or_default();
    let whole = |level: &str| level == "+" || !level.contains('+');
    !filter.is_empty()
        && (last == "#" || (!last.contains('#') && whole(last)))
        && levels.all(|level| !level.contains('#') && whole(level))
}
