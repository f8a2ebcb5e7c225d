//! `quartier replay`: publishes a recorded file as devices would have.
//!
//! Every row becomes one flat JSON object with its time, at QoS 1; the command ends well only
//! when the broker has acknowledged all of them.

mod mapping;
mod plan;
mod report;
mod source;
#[cfg(test)]
mod tests;
mod time;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;
use csv::StringRecord;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::publish::{MqttArgs, Publisher, Target};
use super::serve::runtime;
use super::{Failure, Outcome};
use crate::rerun::Injected;
use mapping::{Format, MappingFile};
use plan::{Plan, Publish, columns_of};
use report::Report;
use source::{Next, Source};

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Time between two looks of the progress bar.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Publish a recorded file.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Recorded file: CSV or JSON lines.
    file: PathBuf,
    /// Which columns are what; see deploy/replay.
    #[arg(long, value_name = "MAP.toml")]
    mapping: PathBuf,
    #[command(flatten)]
    mqtt: MqttArgs,
    /// So many times as fast as the events came, in the order of their times; otherwise as fast
    /// as possible, in the order of the file.
    #[arg(long, value_name = "X", value_parser = speed)]
    speed: Option<f64>,
    /// Quarter of all assets, instead of the mapping's.
    #[arg(long)]
    quarter: Option<String>,
    /// A column with one value for the whole file, such as asset=dresden-nord.
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text
        .parse::<f64>()
        .ok()
        .filter(|speed| speed.is_finite() && *speed > 0.0);
    speed.ok_or_else(|| "must be a number above 0".to_owned())
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) fn run(args: &ReplayArgs) -> Outcome {
    let target = args.mqtt.target().map_err(Failure::usage)?;
    let mut replay = Replay::open(args).map_err(Failure::usage)?;
    let report = runtime()?
        .block_on(replay.run(target, args.speed))
        .map_err(Failure::fault)?;
    if args.json {
        println!(
            "{}",
            serde_json::to_string(&report).map_err(Failure::fault)?
        );
    } else {
        println!("{}", report.text());
    }
    match report.messages {
        0 => Err(Failure::fault(anyhow!(
            "{}: no row could be published",
            args.file.display()
        ))),
        _ => Ok(()),
    }
}

/// What devices would have published of a recorded file; rows that cannot be used are left out, and
/// stderr tells of them.
pub(super) fn recorded_messages(
    file: &Path,
    mapping: &Path,
    set: &[(String, String)],
    quarter: Option<&str>,
) -> anyhow::Result<Vec<Injected>> {
    let mut replay = Replay::of(file, mapping, set, quarter)?;
    let mut messages = Vec::new();
    while let Some(publish) = replay.next()? {
        messages.push(Injected {
            topic: publish.topic,
            payload: publish.payload,
            time: publish.time,
        });
    }
    replay.progress.bar.finish_and_clear();
    // The first line tells of a broker.
    replay
        .report
        .text()
        .lines()
        .skip(1)
        .for_each(|line| eprintln!("{line}"));
    Ok(messages)
}

struct Replay {
    source: Source,
    plan: Plan,
    report: Report,
    progress: Progress,
}

impl Replay {
    fn open(args: &ReplayArgs) -> anyhow::Result<Self> {
        let quarter = args.quarter.as_deref();
        Self::of(&args.file, &args.mapping, &args.set, quarter)
    }

    fn of(
        file: &Path,
        mapping: &Path,
        set: &[(String, String)],
        quarter: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mapping = MappingFile::load(mapping)?;
        let delimiter = mapping
            .mapping
            .delimiter
            .as_ref()
            .map_or(',', |d| *d.get_ref());
        let format = mapping.mapping.format;
        let named = match format {
            Format::Csv => Vec::new(),
            Format::Jsonl => columns_of(&mapping.mapping, set),
        };
        let delimiter = u8::try_from(delimiter).unwrap_or(b',');
        let (source, read) = Source::open(file, format, delimiter, named)?;
        let plan = Plan::new(&mapping, file, source.columns(), set, quarter)?;
        let progress = Progress::new(file, read);
        Ok(Self {
            source,
            plan,
            report: Report::default(),
            progress,
        })
    }

    async fn run(&mut self, target: Target, speed: Option<f64>) -> anyhow::Result<Report> {
        let started = Instant::now();
        let client = format!("quartier-replay-{}", std::process::id());
        let publisher = Publisher::start(target, client);
        match speed {
            None => {
                while let Some(publish) = self.next()? {
                    self.progress.show(&publisher, self.report.messages);
                    publisher
                        .publish(publish.topic, publish.payload.into_bytes())
                        .await?;
                }
            }
            Some(speed) => self.paced(&publisher, speed).await?,
        }
        let total = self.report.messages;
        let acknowledged = self.progress.until_finished(publisher, total).await?;
        self.report.messages = acknowledged;
        self.report.ended(started.elapsed().as_secs_f64());
        Ok(std::mem::take(&mut self.report))
    }

    fn next(&mut self) -> anyhow::Result<Option<Publish>> {
        let mut row = StringRecord::new();
        loop {
            match self.source.next(&mut row)? {
                Next::End => return Ok(None),
                Next::Bad(reason) => {
                    self.report.rows += 1;
                    let start: Vec<_> = row.iter().take(3).collect();
                    self.report
                        .reject(self.source.line(), reason, &start.join(","));
                }
                Next::Row => {
                    self.report.rows += 1;
                    let line = self.source.line();
                    if let Some(publish) = self.plan.publish(line, &row, &mut self.report) {
                        return Ok(Some(publish));
                    }
                }
            }
        }
    }

    /// Reads all, sorts by event time, and sends each message when its time has come.
    async fn paced(&mut self, publisher: &Publisher, speed: f64) -> anyhow::Result<()> {
        let mut all = Vec::new();
        while let Some(publish) = self.next()? {
            all.push(publish);
        }
        all.sort_by_key(|publish| publish.time);
        let Some(first) = all.first().map(|publish| publish.time) else {
            return Ok(());
        };
        self.progress.count(all.len() as u64);
        let started = tokio::time::Instant::now();
        for (sent, publish) in (0..).zip(all) {
            #[expect(clippy::cast_precision_loss, reason = "a span of recorded time")]
            let after = publish.time.since(first) as f64 / 1000.0 / speed;
            let due = started + Duration::try_from_secs_f64(after)?;
            while tokio::time::Instant::now() < due {
                self.progress.show(publisher, sent);
                let next = tokio::time::Instant::now() + DRAW_EVERY;
                tokio::time::sleep_until(due.min(next)).await;
            }
            self.progress.show(publisher, sent);
            publisher
                .publish(publish.topic, publish.payload.into_bytes())
                .await?;
        }
        Ok(())
    }
}

/// A bar on the terminal, or a line every few seconds where there is none; both on stderr.
struct Progress {
    bar: ProgressBar,
    read: Option<Arc<AtomicU64>>,
    started: Instant,
    shown: Instant,
}

impl Progress {
    fn new(file: &Path, read: Arc<AtomicU64>) -> Self {
        let bar = ProgressBar::new(std::fs::metadata(file).map_or(0, |file| file.len()));
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent:>3}% {msg} {elapsed}")
        {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self {
            bar,
            read: Some(read),
            started: now,
            shown: now,
        }
    }

    /// Counts messages instead of bytes read.
    fn count(&mut self, messages: u64) {
        self.read = None;
        self.bar.set_length(messages);
    }

    fn show(&mut self, publisher: &Publisher, sent: u64) {
        let pause = if self.bar.is_hidden() {
            LINE_EVERY
        } else {
            DRAW_EVERY
        };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let (acknowledged, seconds) = (
            publisher.acknowledged(),
            self.started.elapsed().as_secs_f64(),
        );
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate for people"
        )]
        let rate = HumanCount((acknowledged as f64 / seconds) as u64);
        let mut message = format!(
            "{} sent, {} acknowledged, {rate}/s",
            HumanCount(sent),
            HumanCount(acknowledged)
        );
        if let Some(trouble) = publisher.trouble() {
            message = format!("{message}; {trouble}");
        }
        if self.bar.is_hidden() {
            eprintln!("{message}");
        }
        self.bar.set_position(
            self.read
                .as_ref()
                .map_or(sent, |read| read.load(Ordering::Relaxed)),
        );
        self.bar.set_message(message);
    }

    async fn until_finished(&mut self, publisher: Publisher, sent: u64) -> anyhow::Result<u64> {
        while publisher.acknowledged() < sent && !publisher.gave_up() {
            self.show(&publisher, sent);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let acknowledged = publisher.finish().await;
        self.bar.finish_and_clear();
        acknowledged
    }
}
