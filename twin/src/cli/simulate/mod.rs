//! `quartier simulate`: devices of a quarter over real MQTT.

mod curves;
mod fleet;

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;
use indicatif::{HumanCount, ProgressBar};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::publish::{GIVE_UP, MqttArgs, Publisher, Target};
use super::serve::runtime;
use super::{Failure, Outcome};
use crate::model::{Millis, Place, is_name};
pub(super) use fleet::Fleet;

/// Connections that share the devices; a device stays with one, so that its order is kept.
const CONNECTIONS: usize = 4;
/// Time between two bursts.
const TICK: Duration = Duration::from_millis(20);
/// Readings that may be owed to a slow broker, seconds of the rate; the rest is not sent.
const OWED_S: f64 = 1.0;
/// Time between two lines where there is no terminal, and where there is one.
const LINE_EVERY: Duration = Duration::from_secs(5);
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// Centres of the quarters that are known by name.
pub(super) const CENTRES: [(&str, &str, f64, f64); 3] = [
    ("johannstadt", "Johannstadt", 51.05456, 13.76997),
    ("friedrichstadt", "Friedrichstadt", 51.06176, 13.70973),
    ("dresden-ost", "Dresden-Ost", 51.02431, 13.78017),
];

/// Publish as simulated devices.
#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// Id of the quarter.
    #[arg(long, value_name = "NAME")]
    quarter: String,
    /// Number of devices.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    devices: u32,
    /// Readings a second, of all devices together.
    #[arg(long, value_name = "R", default_value_t = 100.0, value_parser = rate)]
    rate: f64,
    #[command(flatten)]
    mqtt: MqttArgs,
    /// End after so many seconds; otherwise with Ctrl-C.
    #[arg(long, value_name = "S")]
    duration: Option<u64>,
    /// The same seed places the same devices.
    #[arg(long, value_name = "K", default_value_t = 1)]
    seed: u64,
    /// Centre of a quarter that is not known by name.
    #[arg(long, value_name = "LAT,LON", value_parser = super::area::place, allow_hyphen_values = true)]
    centre: Option<Place>,
}

/// A number of readings a second, as an argument.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate = text
        .parse::<f64>()
        .ok()
        .filter(|rate| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "must be a number above 0".to_owned())
}

pub(super) fn run(args: &SimulateArgs) -> Outcome {
    let target = args.mqtt.target().map_err(Failure::usage)?;
    if !is_name(&args.quarter) {
        return Err(Failure::usage(anyhow!(
            "--quarter {:?} is not one topic level",
            args.quarter
        )));
    }
    let Some(centre) = args.centre.or_else(|| centre_of(&args.quarter)) else {
        let known: Vec<_> = CENTRES.iter().map(|centre| centre.0).collect();
        return Err(Failure::usage(anyhow!(
            "the centre of {} is not known, only those of {}; say --centre LAT,LON",
            args.quarter,
            known.join(", ")
        )));
    };
    let fleet = Fleet::new(&args.quarter, centre, args.devices as usize, args.seed);
    runtime()?.block_on(async {
        let mut terminated = signal(SignalKind::terminate()).map_err(Failure::fault)?;
        let mut interrupted = signal(SignalKind::interrupt()).map_err(Failure::fault)?;
        let ended = async {
            let span = args.duration.map(Duration::from_secs);
            tokio::select! {
                _ = terminated.recv() => {}
                _ = interrupted.recv() => {}
                () = async { match span {
                    Some(span) => tokio::time::sleep(span).await,
                    None => std::future::pending().await,
                } } => {}
            }
        };
        let simulation = Simulation::start(fleet.devices().len(), &target, "quartier-simulate");
        live(simulation, fleet, args.rate, ended).await
    })
}

/// Centre of a quarter that is known by name.
pub(super) fn centre_of(quarter: &str) -> Option<Place> {
    let centre = CENTRES.iter().find(|centre| centre.0 == quarter)?;
    Place::new(centre.2, centre.3)
}

/// The connections of simulated devices, and what went over them.
pub(super) struct Simulation {
    publishers: Vec<Publisher>,
    messages: AtomicU64,
    readings: AtomicU64,
}

impl Simulation {
    /// Starts to connect, for so many devices; needs a runtime.
    pub(super) fn start(devices: usize, target: &Target, client: &str) -> Self {
        let name = |number| format!("{client}-{}-{number}", std::process::id());
        let connections = CONNECTIONS.min(devices.max(1));
        let publishers = (0..connections)
            .map(|number| Publisher::start(target.clone(), name(number)))
            .collect();
        Self {
            publishers,
            messages: AtomicU64::new(0),
            readings: AtomicU64::new(0),
        }
    }

    /// Publishes `rate` readings a second until it is dropped.
    ///
    /// # Errors
    /// The broker was given up.
    pub(super) async fn run(&self, fleet: &mut Fleet, rate: f64) -> anyhow::Result<()> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut owed, mut before) = (0.0, Instant::now());
        loop {
            ticks.tick().await;
            owed += before.elapsed().as_secs_f64() * rate;
            before = Instant::now();
            owed = f64::min(owed, (rate * OWED_S).max(1.0));
            while owed >= 1.0 {
                let Some(publish) = fleet.publish(Millis::now()) else {
                    return Ok(());
                };
                let connection = publish.device % self.publishers.len();
                let Some(publisher) = self.publishers.get(connection) else {
                    return Ok(());
                };
                publisher
                    .publish(publish.topic, publish.payload.into_bytes())
                    .await?;
                self.messages.fetch_add(1, Ordering::Relaxed);
                self.readings.fetch_add(publish.readings, Ordering::Relaxed);
                #[expect(clippy::cast_precision_loss, reason = "a few readings")]
                let sent = publish.readings as f64;
                owed -= sent;
            }
        }
    }

    /// Waits for what is in flight; what was done.
    ///
    /// # Errors
    /// The broker did not acknowledge all.
    pub(super) async fn finish(self) -> anyhow::Result<String> {
        let mut acknowledged = 0;
        for publisher in self.publishers {
            match timeout(GIVE_UP, publisher.finish()).await {
                Ok(count) => acknowledged += count?,
                Err(_) => anyhow::bail!("the broker did not acknowledge what was in flight"),
            }
        }
        let readings = self.readings.into_inner();
        Ok(format!(
            "{} readings in {} messages, all acknowledged",
            HumanCount(readings),
            HumanCount(acknowledged)
        ))
    }

    fn acknowledged(&self) -> u64 {
        self.publishers.iter().map(Publisher::acknowledged).sum()
    }
}

/// Runs with a live line until `ended`.
async fn live(
    simulation: Simulation,
    mut fleet: Fleet,
    rate: f64,
    ended: impl Future<Output = ()>,
) -> Outcome {
    let bar = ProgressBar::new_spinner();
    let every = if bar.is_hidden() {
        LINE_EVERY
    } else {
        DRAW_EVERY
    };
    let showing = async {
        let mut shown = (Instant::now(), 0);
        loop {
            tokio::time::sleep(every).await;
            shown = show(&bar, &simulation, shown);
        }
    };
    let stopped = tokio::select! {
        () = ended => Ok(()),
        stopped = simulation.run(&mut fleet, rate) => stopped,
        () = showing => Ok(()),
    };
    bar.finish_and_clear();
    stopped.map_err(Failure::fault)?;
    println!("{}", simulation.finish().await.map_err(Failure::fault)?);
    Ok(())
}

/// Prints how it goes; when, and how many readings there were.
fn show(bar: &ProgressBar, simulation: &Simulation, before: (Instant, u64)) -> (Instant, u64) {
    let readings = simulation.readings.load(Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = (readings - before.1) as f64 / before.0.elapsed().as_secs_f64();
    let mut message = format!(
        "{rate:.0} readings/s, {} readings, {} of {} messages acknowledged",
        HumanCount(readings),
        HumanCount(simulation.acknowledged()),
        HumanCount(simulation.messages.load(Ordering::Relaxed)),
    );
    if let Some(trouble) = simulation.publishers.iter().find_map(Publisher::trouble) {
        message = format!("{message}; {trouble}");
    }
    if bar.is_hidden() {
        eprintln!("{message}");
    }
    bar.set_message(message);
    bar.tick();
    (Instant::now(), readings)
}
