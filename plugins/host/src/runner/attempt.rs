//! Attempts at a batch, and what becomes of the state.

use super::{CHECKPOINT, Runner};
use crate::answer::{Answer, Level};
use crate::bindings::quartier::rule::types as raw;
use crate::check::Check;
use crate::digest::Digest;
use crate::instance::{Failure, Instance};
use crate::types::Batch;

/// A batch answered, not yet part of the runner's state.
pub(super) struct Done {
    answer: Answer,
    /// Of a checkpoint: what `snapshot` gave behind the batch.
    state: Option<Vec<u8>>,
}

/// What failed, and what the plugin said before.
pub(super) type Lost = (Failure, Vec<(Level, String)>);

impl Runner {
    pub(super) fn attempt(&mut self, batch: &Batch, input: Digest) -> Result<Done, Lost> {
        self.try_batch(batch, input).map_err(|failure| {
            let log = self.instance.as_mut().map(Instance::take_log);
            self.lose();
            (failure, log.unwrap_or_default())
        })
    }

    pub(super) fn lose(&mut self) {
        self.instance = None;
        self.stats.traps += 1;
    }

    fn try_batch(&mut self, batch: &Batch, input: Digest) -> Result<Done, Failure> {
        self.live()?;
        let Some(instance) = self.instance.as_mut() else {
            return Err(Failure::NoRoom);
        };
        let mut check = Check::new(&self.allowed, &self.known, batch.rows());
        let fuel = feed(instance, batch, |answer, by_time| {
            check.take(answer, by_time)
        })?;
        let mut chain = Digest::link(&[&self.saved.chain, &input]);
        let mut state = None;
        if (self.saved.answered + 1).is_multiple_of(CHECKPOINT) {
            let bytes = instance.snapshot()?;
            chain = Digest::link(&[&self.saved.chain, &input, &Digest::of(&bytes)]);
            state = Some(bytes);
        }
        let dropped: Vec<_> = check.dropped.into_iter().collect();
        let answer = Answer {
            output_hash: Digest::of_value(&(&check.output, &dropped)),
            output: check.output,
            dropped,
            fuel,
            failure: None,
            input,
            state_before: self.saved.chain,
            state_after: chain,
            log: instance.take_log(),
            wall_clock: false,
        };
        Ok(Done { answer, state })
    }

    pub(super) fn answered(&mut self, batch: Batch, done: Done) -> Answer {
        for &(reason, rows) in &done.answer.dropped {
            *self.dropped.entry(reason).or_default() += u64::from(rows);
        }
        self.saved.owed.clear();
        self.saved.failed = 0;
        self.saved.since.push(batch);
        self.saved.chain = done.answer.state_after;
        self.saved.answered += 1;
        if let Some(state) = done.state {
            self.advance(state);
        }
        done.answer
    }

    pub(super) fn set_aside(
        &mut self,
        batch: Batch,
        input: Digest,
        failure: &Failure,
        log: Vec<(Level, String)>,
    ) -> Answer {
        *self.failures.entry(failure.kind()).or_default() += 1;
        self.saved.owed = batch.changed;
        self.saved.failed += 1;
        Answer {
            log,
            wall_clock: matches!(failure, Failure::Deadline(..) | Failure::NoRoom),
            ..self.nothing(input, failure.to_string())
        }
    }

    /// Saves the plugin's state and forgets the batches before it.
    pub(super) fn save(&mut self) -> Result<(), Failure> {
        self.live()?;
        let Some(instance) = self.instance.as_mut() else {
            return Err(Failure::NoRoom);
        };
        let state = instance.snapshot()?;
        self.advance(state);
        Ok(())
    }

    fn advance(&mut self, state: Vec<u8>) {
        let asked: &[u32] = match self.plugin.asks() {
            true => &self.allowed.props,
            false => &[],
        };
        self.saved.advance(state, asked);
    }

    fn live(&mut self) -> Result<(), Failure> {
        if self.instance.is_none() {
            self.recover()
        } else {
            Ok(())
        }
    }

    /// A new instance in the state after the last batch answered.
    pub(super) fn recover(&mut self) -> Result<(), Failure> {
        self.instance = None;
        let saved = &self.saved;
        let mut instance = Instance::new(&self.plugin, &self.allowed.props, &saved.newest)?;
        instance.init(&self.dict, &self.config)?;
        if !saved.assets.is_empty() {
            instance.on_assets(&saved.assets.values().collect::<Vec<_>>())?;
        }
        if let Some(state) = &saved.state {
            instance.restore(state)?;
        }
        for batch in &saved.since {
            feed(&mut instance, batch, |_, _| {})?;
        }
        // Said before, and heard then.
        instance.take_log();
        self.instance = Some(instance);
        Ok(())
    }
}

/// Gives a batch to an instance: changed assets, rows, then the tick; the sum of the fuel.
fn feed(
    instance: &mut Instance,
    batch: &Batch,
    mut take: impl FnMut(raw::Output, bool),
) -> Result<u64, Failure> {
    let mut fuel = 0;
    if !batch.changed.is_empty() {
        fuel += instance
            .on_assets(&batch.changed.iter().collect::<Vec<_>>())?
            .1;
    }
    if batch.rows() > 0 {
        let (answer, used) = instance.on_batch(batch)?;
        fuel += used;
        take(answer, false);
    }
    if batch.tick {
        let (answer, used) = instance.on_tick(batch.now_ms)?;
        fuel += used;
        take(answer, true);
    }
    Ok(fuel)
}
