//! One batch to the server: sent, or halved until the field that is to blame stands alone.
//!
//! A server refuses a line as a whole for one of its fields, so a refused line is taken apart into
//! lines of one field each. The parts of a refused batch are tried widest first, so that when the 64 requests a batch may
//! cost are used up, little of it is left untold apart. What the server says it stored of a
//! refused part is not believed; writing a point again does no harm.

use std::collections::VecDeque;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::watch;

use super::config::InfluxConfig;
use super::lines::Lines;
use super::post::{Answer, Post};
use super::sink::DeadLetter;
use super::state::{SinkState, SinkStatus};
use crate::backoff::Backoff;

/// Requests a batch may cost once a part of it was refused.
const MAX_REQUESTS: u32 = 64;
/// Bytes of a request before compression, at most; a longer line goes alone.
const MAX_BYTES: usize = 8_000_000;

/// What became of a batch.
#[derive(Debug, PartialEq)]
pub(super) enum Delivered {
    /// Every line is in the server or among these.
    Done(Vec<DeadLetter>),
    /// The sink has to stop; anything may have arrived.
    Stopped,
    /// The server answers 500 to every line of it and says it is well. Only other lines that it
    /// takes would prove that these are to blame.
    Stuck,
}

/// Sends batches and remembers how the server behaves.
pub(super) struct Deliverer<P> {
    post: P,
    state: Arc<SinkState>,
    stop: watch::Receiver<bool>,
    backoff: Backoff,
    misconfigured_pause: Duration,
    /// Lines a request at most, as configured.
    batch_lines: usize,
    /// Lines a request: halved when the server finds one too large, then slowly more again.
    max_lines: usize,
    /// The login or the bucket was mended and nothing has been taken since.
    mended: bool,
}

/// Lines that go in one request.
#[derive(Debug)]
struct Part {
    /// The batch, or one of its lines taken apart.
    of: Arc<Lines>,
    lines: Range<usize>,
    /// Came out of a part that was refused.
    suspect: bool,
    /// Answered by 500 this often in a row.
    broken: u32,
}

/// A batch on its way.
struct Batch {
    parts: VecDeque<Part>,
    dead: Vec<DeadLetter>,
    /// Requests spent on parts that were refused and what came out of them.
    spent: u32,
    /// The server took some part.
    accepted: bool,
    /// A part was taken for refused because of 500.
    broken: bool,
    refusal: String,
}

/// What to do after an answer.
enum Step {
    Go,
    Stop,
    Stuck,
}

impl<P: Post> Deliverer<P> {
    pub(super) fn new(
        post: P,
        config: &InfluxConfig,
        state: Arc<SinkState>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            post,
            state,
            stop,
            backoff: Backoff::new(config.retry_first, config.retry_longest),
            misconfigured_pause: config.retry_misconfigured,
            batch_lines: config.batch_lines,
            max_lines: config.batch_lines,
            mended: false,
        }
    }

    /// Sends `lines` and does not return before it knows of each what became of it, unless it has
    /// to stop or is stuck.
    pub(super) async fn deliver(&mut self, lines: Arc<Lines>) -> Delivered {
        let mut batch = Batch::new(&lines, self.max_lines);
        while let Some(part) = batch.parts.pop_front() {
            if part.suspect && batch.spent >= MAX_REQUESTS {
                if batch.is_stuck() {
                    return Delivered::Stuck;
                }
                batch.park(&part);
                continue;
            }
            let Some(body) = compress(&part).await else {
                return Delivered::Stopped;
            };
            self.state.count_request(body.len());
            let answer = self.post.post(body).await;
            match self.react(&mut batch, part, answer).await {
                Step::Go => {}
                Step::Stop => return Delivered::Stopped,
                Step::Stuck => return Delivered::Stuck,
            }
        }
        if !batch.dead.is_empty() {
            let (dead, reason) = (batch.dead.len(), &batch.refusal);
            tracing::warn!(
                dead,
                of = lines.len(),
                reason,
                "InfluxDB refused lines for good"
            );
            self.state.note(format!("{dead} lines set aside: {reason}"));
        }
        Delivered::Done(batch.dead)
    }

    /// Waits as long as after any other failure; `false`: the sink has to stop.
    pub(super) async fn pause(&mut self, error: &str) -> bool {
        self.retry_later(error, None).await
    }

    async fn react(&mut self, batch: &mut Batch, mut part: Part, answer: Answer) -> Step {
        if part.suspect && answer.is_about_lines() {
            batch.spent += 1;
        }
        match answer {
            Answer::Accepted => {
                self.backoff.reset();
                self.state.well();
                self.state.count_lines(part.lines.len());
                self.mended = false;
                self.max_lines = (self.max_lines + self.max_lines / 8 + 1).min(self.batch_lines);
                batch.accepted = true;
                Step::Go
            }
            Answer::Refused(reason) => {
                self.backoff.reset();
                self.state.well();
                batch.refuse(part, reason)
            }
            Answer::TooLarge(reason) => {
                self.max_lines = self.max_lines.min(part.lines.len().div_ceil(2));
                batch.halve(part, reason);
                Step::Go
            }
            Answer::Later {
                reason,
                wish,
                broken,
            } => {
                part.broken = if broken { part.broken + 1 } else { 0 };
                if part.broken >= 2 && self.post.ping().await {
                    batch.broken = true;
                    return batch.refuse(part, reason);
                }
                batch.parts.push_front(part);
                go_if(self.retry_later(&reason, wish).await)
            }
            Answer::Misconfigured { reason, status } => {
                batch.parts.push_front(part);
                go_if(self.mend(&reason, status).await)
            }
        }
    }

    async fn retry_later(&mut self, reason: &str, wish: Option<Duration>) -> bool {
        self.state.count_retry();
        self.state.unwell(SinkStatus::Retrying, reason);
        let pause = self.backoff.next(wish);
        self.sleep(pause).await
    }

    async fn mend(&mut self, reason: &str, status: u16) -> bool {
        self.state.count_retry();
        let reloaded = self.post.reload();
        if let Err(error) = &reloaded {
            self.state
                .unwell(SinkStatus::Misconfigured, &format!("{reason}; {error}"));
        } else {
            self.state.unwell(SinkStatus::Misconfigured, reason);
        }
        // Once, so that a server that says so again and again is not asked without a pause.
        if !self.mended && (matches!(reloaded, Ok(true)) || self.post.mend(status, reason).await) {
            self.mended = true;
            return true;
        }
        self.sleep(self.misconfigured_pause).await
    }

    /// `false`: the sink has to stop.
    async fn sleep(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            _ = self.stop.wait_for(|stop| *stop) => false,
        }
    }
}

fn go_if(go: bool) -> Step {
    if go { Step::Go } else { Step::Stop }
}

impl Batch {
    fn new(lines: &Arc<Lines>, max_lines: usize) -> Self {
        let mut parts = VecDeque::new();
        let mut start = 0;
        while start < lines.len() {
            let mut end = (start + max_lines.max(1)).min(lines.len());
            while end - start > 1 && lines.part(&(start..end)).len() > MAX_BYTES {
                end = start + (end - start) / 2;
            }
            parts.push_back(Part {
                of: Arc::clone(lines),
                lines: start..end,
                suspect: false,
                broken: 0,
            });
            start = end;
        }
        Self {
            parts,
            dead: Vec::new(),
            spent: 0,
            accepted: false,
            broken: false,
            refusal: String::new(),
        }
    }

    /// No line can be blamed: each one was answered by 500, and none was taken.
    fn is_stuck(&self) -> bool {
        self.broken && !self.accepted
    }

    /// A part with a bad line in it: the line alone is dead, more lines are told apart.
    fn refuse(&mut self, part: Part, reason: String) -> Step {
        if !part.suspect {
            self.spent += 1;
        }
        self.halve(
            Part {
                suspect: true,
                ..part
            },
            reason,
        );
        if self.parts.is_empty() && self.is_stuck() {
            Step::Stuck
        } else {
            Step::Go
        }
    }

    /// Two halves instead of the part; of a single line its fields, and a single field is dead.
    fn halve(&mut self, mut part: Part, reason: String) {
        if part.lines.len() == 1
            && let Some(fields) = part.of.fields_apart(part.lines.start)
        {
            part.lines = 0..fields.len();
            part.of = Arc::new(fields);
        }
        let Range { start, end } = part.lines;
        if end - start == 1 {
            self.bury(&part, &reason);
        } else {
            let middle = start + (end - start) / 2;
            for lines in [start..middle, middle..end] {
                self.parts.push_back(Part {
                    of: Arc::clone(&part.of),
                    lines,
                    suspect: part.suspect,
                    broken: 0,
                });
            }
        }
        self.refusal = reason;
    }

    /// Gives a part up that cannot be told apart within the requests a batch may cost.
    fn park(&mut self, part: &Part) {
        let reason = format!(
            "parked with {} other lines after {MAX_REQUESTS} requests, the last refusal was {}",
            part.lines.len() - 1,
            self.refusal
        );
        self.bury(part, &reason);
    }

    fn bury(&mut self, part: &Part, reason: &str) {
        for line in part.lines.clone() {
            let bytes = part.of.part(&(line..line + 1));
            let text = String::from_utf8_lossy(bytes)
                .trim_end_matches('\n')
                .to_owned();
            self.dead.push(DeadLetter {
                line: text,
                reason: reason.to_owned(),
            });
        }
    }
}

/// The lines as gzip, made where it keeps nobody waiting; `None` where the runtime is going down.
async fn compress(part: &Part) -> Option<Vec<u8>> {
    let (of, lines) = (Arc::clone(&part.of), part.lines.clone());
    tokio::task::spawn_blocking(move || gzip(of.part(&lines)))
        .await
        .ok()
}

/// Level 1, measured at 0.22 us and 13 bytes a line of one metric, 0.08 us and 6.6 bytes a point in
/// lines of four.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(
        Vec::with_capacity(bytes.len() / 4 + 64),
        Compression::fast(),
    );
    // Writing to a vector cannot fail.
    let _infallible = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}
