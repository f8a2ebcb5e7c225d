//! `quartier demo`: three quarters with simulated devices, everything in one process, the devices
//! over real MQTT on the loopback.

mod prepare;
mod scene;
mod view;

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;

use super::publish::Target;
use super::serve::{runtime, start_logging, start_metrics};
use super::simulate::{CENTRES, Fleet, Simulation, centre_of, rate};
use super::{Failure, Outcome, because};
use crate::config::Config;
use crate::node::{Node, Outfit};
use crate::status::Status;
use prepare::{CERTIFICATES, Ports, SEED, prepare};
use scene::Camera;
use view::Frameset;

const PORTS: Ports = Ports {
    mqtt: 1883,
    mqtts: 8883,
    http: 8080,
};
/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Time between two pictures, and between two looks at the keyboard.
const DRAW_EVERY: Duration = Duration::from_millis(500);
const KEYS_EVERY: Duration = Duration::from_millis(50);

/// Run three quarters with simulated devices.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// MQTT on port N, over TLS on N+1 and HTTP on N+2, instead of 1883, 8883 and 8080.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=65_533))]
    port_base: Option<u16>,
    /// Folder of configuration and data; what is there is used.
    #[arg(long, value_name = "DIR", default_value = "data/demo")]
    data: PathBuf,
    /// Number of devices, in all quarters together.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(3..=1_000_000))]
    devices: u32,
    /// Readings a second, of all devices together.
    #[arg(long, value_name = "R", default_value_t = 1000.0, value_parser = rate)]
    rate: f64,
    /// End after so many seconds; otherwise with q, Ctrl-C or SIGTERM.
    #[arg(long, value_name = "S")]
    duration: Option<u64>,
}

pub(super) fn run(args: &DemoArgs) -> Outcome {
    let base = args.port_base;
    let ports = base.map_or(PORTS, |mqtt| Ports {
        mqtt,
        mqtts: mqtt.saturating_add(1),
        http: mqtt.saturating_add(2),
    });
    let prepared = prepare(&args.data, ports)
        .map_err(because(format!(
            "{}: cannot be written",
            args.data.display()
        )))
        .map_err(Failure::usage)?;
    let mut config = Config::load(&prepared.config).map_err(Failure::usage)?;
    if base.is_some() {
        config.mqtt.listen.set_port(ports.mqtt);
        config.http.listen.set_port(ports.http);
        let over_tls = config.mqtt.tls_listen.iter_mut();
        over_tls.for_each(|address| address.set_port(ports.mqtts));
    }
    let terminal = std::io::stdout().is_terminal();
    if terminal {
        log_to_file(&args.data.join("quartier.log")).map_err(Failure::usage)?;
    } else {
        start_logging("warn");
    }
    let figures = start_metrics()?;
    runtime()?.block_on(async {
        let node = Node::start(&config, figures, Outfit::city())
            .await
            .map_err(Failure::usage)?;
        let mqtt = node.mqtt_address().unwrap_or(config.mqtt.listen);
        let mut hints = hints(mqtt, node.http_address(), prepared.note);
        hints.extend(node.mqtts_address().map(|at| tls_hint(at, &args.data)));
        let shown = simulate_and_show(&node, mqtt, args, hints, terminal).await;
        node.stop().await;
        shown.map_err(Failure::fault)
    })
}

/// Commands that work as printed while the demo runs.
fn hints(mqtt: SocketAddr, http: SocketAddr, note: Option<String>) -> Vec<String> {
    let (host, port) = (mqtt.ip(), mqtt.port());
    let mut hints = vec![
        format!("mosquitto_sub -h {host} -p {port} -v -t 'twin/v1/johannstadt/#'"),
        format!(
            "mosquitto_pub -h {host} -p {port} -q 1 -t dt/johannstadt/my-sensor -m \
            '{{\"temperature\":21.5,\"lat\":51.0546,\"lon\":13.77}}'"
        ),
        format!("curl 'http://{http}/api/v1/assets?near=51.0546,13.77&radius_m=300'"),
    ];
    hints.extend(note);
    hints
}

/// The same over TLS.
fn tls_hint(mqtts: SocketAddr, data: &Path) -> String {
    let (host, port, folder) = (mqtts.ip(), mqtts.port(), data.join(CERTIFICATES));
    format!(
        "mosquitto_sub -h {host} -p {port} --cafile {}/ca.crt -v -t 'twin/v1/johannstadt/#'",
        folder.display()
    )
}

fn log_to_file(path: &Path) -> anyhow::Result<()> {
    let file = std::fs::File::create(path)
        .with_context(|| format!("{}: cannot be written", path.display()))?;
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,rumqttd=off,fjall=warn,lsm_tree=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Arc::new(file))
        .init();
    Ok(())
}

async fn simulate_and_show(
    node: &Node,
    mqtt: SocketAddr,
    args: &DemoArgs,
    hints: Vec<String>,
    terminal: bool,
) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut devices = JoinSet::new();
    for (id, _, _, _) in CENTRES {
        let Some(centre) = centre_of(id) else {
            continue;
        };
        let fleet = Fleet::new(id, centre, args.devices as usize / CENTRES.len(), SEED);
        let target = Target::local(mqtt.port());
        #[expect(clippy::cast_precision_loss, reason = "three")]
        let rate = args.rate / CENTRES.len() as f64;
        devices.spawn(simulated(
            fleet,
            rate,
            target,
            format!("demo-{id}"),
            stopped.clone(),
        ));
    }
    let status = node.status();
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let span = args.duration.map(Duration::from_secs);
    let ended = tokio::select! {
        _ = terminated.recv() => Ok(()),
        _ = interrupted.recv() => Ok(()),
        () = lasts(span) => Ok(()),
        shown = show(&status, hints, terminal) => shown,
        failed = devices.join_next() => failed.unwrap_or(Ok(Ok(()))).unwrap_or(Ok(())),
    };
    stop.send_replace(true);
    while devices.join_next().await.is_some() {}
    if !terminal {
        print(&format!(
            "ended; {} readings in the twin",
            status.counts().readings
        ))?;
    }
    ended
}

async fn lasts(span: Option<Duration>) {
    match span {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}

/// One quarter's devices until they are stopped; what is in flight then is waited for.
async fn simulated(
    mut fleet: Fleet,
    rate: f64,
    target: Target,
    client: String,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let simulation = Simulation::start(fleet.devices().len(), &target, &client);
    tokio::select! {
        _ = stopped.wait_for(|stopped| *stopped) => {}
        ran = simulation.run(&mut fleet, rate) => ran?,
    }
    let finished = simulation.finish().await?;
    tracing::info!(%client, "{finished}");
    Ok(())
}

async fn show(status: &Status, hints: Vec<String>, terminal: bool) -> anyhow::Result<()> {
    if terminal {
        Screen::open()?.show(status, hints).await
    } else {
        lines(status, &hints).await
    }
}

async fn lines(status: &Status, hints: &[String]) -> anyhow::Result<()> {
    print(&format!(
        "Three quarters run. Try:\n  {}",
        hints.join("\n  ")
    ))?;
    let mut camera = Camera::new();
    camera.take(status);
    loop {
        tokio::time::sleep(LINE_EVERY).await;
        print(&camera.take(status).line())?;
    }
}

fn print(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// The terminal, given back as it was when it is dropped.
struct Screen(DefaultTerminal);

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

impl Screen {
    fn open() -> anyhow::Result<Self> {
        Ok(Self(
            ratatui::try_init().context("the terminal cannot show the live view")?,
        ))
    }

    /// Shows the node until q or Ctrl-C is pressed.
    async fn show(mut self, status: &Status, hints: Vec<String>) -> anyhow::Result<()> {
        let fixed = Frameset {
            title: format!("Quartier, node {}", status.node),
            hints,
        };
        let mut camera = Camera::new();
        loop {
            let scene = camera.take(status);
            self.0.draw(|frame| view::draw(frame, &fixed, &scene))?;
            let next = tokio::time::Instant::now() + DRAW_EVERY;
            while tokio::time::Instant::now() < next {
                tokio::time::sleep(KEYS_EVERY).await;
                match pressed()? {
                    Pressed::Nothing => {}
                    Pressed::End => return Ok(()),
                    Pressed::Redraw => break,
                }
            }
        }
    }
}

enum Pressed {
    Nothing,
    Redraw,
    End,
}

fn pressed() -> std::io::Result<Pressed> {
    while event::poll(Duration::ZERO)? {
        match event::read()? {
            Event::Key(key) if key.is_press() => match key.code {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(Pressed::End),
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                    return Ok(Pressed::End);
                }
                _ => {}
            },
            Event::Resize(..) => return Ok(Pressed::Redraw),
            _ => {}
        }
    }
    Ok(Pressed::Nothing)
}
