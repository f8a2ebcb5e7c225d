//! Gathers what a payload's values become: readings in the metric's unit, or rejections.
//!
//! Invariant until [`Collector::finish`]: a reading without a time of its own carries
//! [`UNTIMED`], which no checked time can be; one whose time is relative to a guess carries its
//! distance to that, from [`FROM_GUESS`] on, which is none either.

use std::borrow::Cow;

use hashbrown::HashSet;

use super::json::{Scalar, Sent};
use super::{Decoded, MAX_VALUES, Reason, Received, Rejection, time};
use crate::model::{Millis, Observed, Place, Quality, Reading, is_name};
use crate::vocabulary::Vocabulary;

/// Stands for the time of the whole payload, which may come after its values.
pub(super) const UNTIMED: Millis = Millis(i64::MIN);

/// Distances to a guessed time are added to this.
const FROM_GUESS: i64 = i64::MIN / 2;

/// The longest unit of an unknown metric, bytes.
const MAX_UNIT: usize = 32;

/// Up to this many readings are compared pair by pair, which is faster than hashing them.
const FEW: usize = 16;

/// Names and units that nothing of topic, payload and vocabulary spells out.
#[derive(Debug, Default)]
pub struct Texts(Vec<String>);

/// Which part of a reading waits for a text.
enum Part {
    Metric,
    Unit,
}

/// See the module.
pub(super) struct Collector<'a> {
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) received: Received,
    /// The time of all values without their own, once it was seen; the error names what is wrong.
    pub(super) common: Option<Result<Millis, String>>,
    /// Ends the whole payload.
    pub(super) fatal: Option<Rejection>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    readings: Vec<Reading<'a>>,
    rejected: Vec<Rejection>,
    /// Number of the reading, its part, the text.
    waiting: Vec<(usize, Part, String)>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(vocabulary: &'a Vocabulary, received: Received) -> Self {
        Self {
            vocabulary,
            received,
            common: None,
            fatal: None,
            latitude: None,
            longitude: None,
            readings: Vec::new(),
            rejected: Vec::new(),
            waiting: Vec::new(),
        }
    }

    pub(super) fn reject(&mut self, reason: Reason, detail: String) {
        self.rejected.push(Rejection::new(reason, detail));
    }

    /// Whether the payload has more values than are accepted; then that is fatal.
    pub(super) fn overflows(&mut self) -> bool {
        let over = self.readings.len() + self.rejected.len() > MAX_VALUES;
        if over {
            let detail = format!("more than {MAX_VALUES} values; send several payloads");
            self.fatal = Some(Rejection::new(Reason::TooLarge, detail));
        }
        over
    }

    /// The time of all values that have none of their own; null counts as none.
    pub(super) fn common_time(&mut self, sent: &Scalar<'_>) {
        self.common = match sent {
            Scalar::Null => None,
            sent => Some(time::read(sent, self.received)),
        };
    }

    pub(super) fn latitude(&mut self, sent: &Scalar<'_>) {
        self.latitude = self.coordinate("lat", sent);
    }

    pub(super) fn longitude(&mut self, sent: &Scalar<'_>) {
        self.longitude = self.coordinate("lon", sent);
    }

    fn coordinate(&mut self, name: &str, sent: &Scalar<'_>) -> Option<f64> {
        match sent.number() {
            Ok(number) => Some(number),
            Err(what) => {
                self.reject(Reason::Place, format!("{name}: {what}"));
                None
            }
        }
    }

    /// A checked time that the sender said relative to its receipt.
    pub(super) fn relative(&self, time: Millis) -> Millis {
        match self.received.guessed {
            true => Millis(FROM_GUESS + time.since(self.received.time)),
            false => time,
        }
    }

    /// Takes a value of the metric that the sender calls `name`.
    pub(super) fn take(&mut self, name: Cow<'a, str>, sent: Sent<'a>) {
        let time = match &sent.time {
            None | Some(Scalar::Null) => UNTIMED,
            Some(sent) => match time::read(sent, self.received) {
                Ok(time) => time,
                Err(what) => return self.reject(Reason::Time, format!("{name}: {what}")),
            },
        };
        let unit = match sent.unit {
            None | Some(Scalar::Null) => None,
            Some(Scalar::Text(unit)) => Some(unit),
            Some(_) => return self.reject(Reason::Unit, format!("{name}: the unit is no text")),
        };
        match sent.value.as_ref().map(Scalar::number) {
            Some(Ok(value)) => self.push(name, value, unit, time),
            Some(Err(what)) => self.reject(Reason::NotANumber, format!("{name}: {what}")),
            None => self.reject(Reason::NotANumber, format!("{name}: there is no value")),
        }
    }

    /// Takes a finite value whose time was checked.
    pub(super) fn push(
        &mut self,
        name: Cow<'a, str>,
        sent: f64,
        unit: Option<Cow<'a, str>>,
        time: Millis,
    ) {
        let unit = unit.filter(|unit| !unit.is_empty());
        let Some(known) = self.vocabulary.resolve(&name) else {
            return self.push_unknown(name, sent, unit, time);
        };
        let metric = &known.metric;
        let value = match &unit {
            None => sent,
            Some(unit) => match known.target.convert(sent, unit) {
                Some(value) => value,
                None => {
                    let detail = format!(
                        "{name}: unit {unit:?} is unknown or cannot be converted to {:?}",
                        metric.unit
                    );
                    return self.reject(Reason::Unit, detail);
                }
            },
        };
        if !value.is_finite() {
            let detail = format!("{name}: {sent} is not finite in {:?}", metric.unit);
            return self.reject(Reason::NotANumber, detail);
        }
        let (low, high) = metric.range;
        let quality = if (low..=high).contains(&value) {
            Quality::Good
        } else {
            Quality::Bad
        };
        self.readings.push(Reading {
            metric: &metric.name,
            value,
            time,
            quality,
            unit: None,
        });
    }

    fn push_unknown(
        &mut self,
        name: Cow<'a, str>,
        value: f64,
        unit: Option<Cow<'a, str>>,
        time: Millis,
    ) {
        if !is_name(&name) {
            return self.reject(
                Reason::Name,
                format!("{name:?} cannot be the name of a metric"),
            );
        }
        if unit
            .as_ref()
            .is_some_and(|u| u.len() > MAX_UNIT || u.contains(char::is_control))
        {
            return self.reject(Reason::Unit, format!("{name}: the unit is no unit"));
        }
        let metric = self.borrowed(name, Part::Metric);
        let unit = unit.map(|unit| self.borrowed(unit, Part::Unit));
        self.readings.push(Reading {
            metric,
            value,
            time,
            quality: Quality::Uncertain,
            unit,
        });
    }

    /// `text` for the reading that is pushed next; an owned one is filled in at the end.
    fn borrowed(&mut self, text: Cow<'a, str>, part: Part) -> &'a str {
        match text {
            Cow::Borrowed(text) => text,
            Cow::Owned(text) => {
                self.waiting.push((self.readings.len(), part, text));
                ""
            }
        }
    }

    /// Settles texts, common time, duplicates and place.
    ///
    /// # Errors
    /// There was nothing in the payload.
    pub(super) fn finish(
        mut self,
        quarter: &'a str,
        asset: &'a str,
        texts: &'a mut Texts,
    ) -> Result<Decoded<'a>, Rejection> {
        if !self.waiting.is_empty() {
            self.fill_in(texts);
        }
        let mut untimed = self.take_untimed();
        self.settle_times();
        self.drop_duplicates();
        if !untimed.is_empty() {
            std::mem::swap(&mut untimed, &mut self.readings);
            self.drop_duplicates();
            std::mem::swap(&mut untimed, &mut self.readings);
        }
        let place = self.place();
        let nothing = self.readings.is_empty() && untimed.is_empty();
        if nothing && self.rejected.is_empty() && place.is_none() {
            return Err(Rejection::new(
                Reason::Empty,
                "there is no value in it".to_owned(),
            ));
        }
        let observed = Observed {
            quarter,
            asset,
            place,
            readings: self.readings,
        };
        Ok(Decoded {
            observed,
            untimed,
            rejected: self.rejected,
        })
    }

    fn fill_in(&mut self, texts: &'a mut Texts) {
        texts.0.clear();
        let mut parts = Vec::with_capacity(self.waiting.len());
        for (reading, part, text) in self.waiting.drain(..) {
            parts.push((reading, part));
            texts.0.push(text);
        }
        let texts: &'a [String] = &texts.0;
        for ((reading, part), text) in parts.into_iter().zip(texts) {
            if let Some(reading) = self.readings.get_mut(reading) {
                match part {
                    Part::Metric => reading.metric = text,
                    Part::Unit => reading.unit = Some(text),
                }
            }
        }
    }

    /// The readings whose time is only the node's guess.
    fn take_untimed(&mut self) -> Vec<Reading<'a>> {
        if !self.received.guessed {
            return Vec::new();
        }
        let none = self.common.is_none();
        // No checked time is before 1990.
        let is_guess = |time: Millis| time.0 < 0 && (none || time != UNTIMED);
        let all = std::mem::take(&mut self.readings).into_iter();
        let (mut untimed, timed): (Vec<_>, Vec<_>) = all.partition(|r| is_guess(r.time));
        self.readings = timed;
        for reading in &mut untimed {
            let distance = match reading.time {
                UNTIMED => 0,
                Millis(time) => time - FROM_GUESS,
            };
            reading.time = self.received.time.plus(distance);
            reading.quality = reading.quality.max(Quality::Uncertain);
        }
        untimed
    }

    fn settle_times(&mut self) {
        let time = match self.common.take() {
            None => self.received.time,
            Some(Ok(time)) => time,
            Some(Err(what)) => {
                let before = self.readings.len();
                let rejected = &mut self.rejected;
                self.readings.retain(|reading| {
                    if reading.time == UNTIMED {
                        let detail = format!("{}: {what}", reading.metric);
                        rejected.push(Rejection::new(Reason::Time, detail));
                    }
                    reading.time != UNTIMED
                });
                if self.readings.len() == before {
                    self.reject(Reason::Time, what);
                }
                return;
            }
        };
        for reading in self
            .readings
            .iter_mut()
            .filter(|reading| reading.time == UNTIMED)
        {
            reading.time = time;
        }
    }

    fn drop_duplicates(&mut self) {
        if self.readings.len() < 2 {
            return;
        }
        let superseded: Vec<usize> = if self.readings.len() <= FEW {
            let same = |a: &Reading<'_>, b: &Reading<'_>| a.time == b.time && a.metric == b.metric;
            let later = |i: usize| self.readings.iter().skip(i + 1);
            let all = self.readings.iter().enumerate();
            all.filter(|(i, a)| later(*i).any(|b| same(a, b)))
                .map(|(i, _)| i)
                .rev()
                .collect()
        } else {
            let mut seen = HashSet::with_capacity(self.readings.len());
            let from_the_end = self.readings.iter().enumerate().rev();
            from_the_end
                .filter(|(_, a)| !seen.insert((a.time, a.metric)))
                .map(|(i, _)| i)
                .collect()
        };
        for i in superseded {
            let gone = self.readings.remove(i);
            let detail = format!("{}: another value for {} follows", gone.metric, gone.time);
            self.reject(Reason::Duplicate, detail);
        }
    }

    fn place(&mut self) -> Option<Place> {
        match (self.latitude, self.longitude) {
            (None, None) => None,
            (Some(latitude), Some(longitude)) => {
                let place = Place::new(latitude, longitude);
                if place.is_none() {
                    let detail = format!("lat {latitude}, lon {longitude} is not on Earth");
                    self.reject(Reason::Place, detail);
                }
                place
            }
            (Some(_), None) => {
                self.reject(Reason::Place, "lat without lon".to_owned());
                None
            }
            (None, Some(_)) => {
                self.reject(Reason::Place, "lon without lat".to_owned());
                None
            }
        }
    }
}
