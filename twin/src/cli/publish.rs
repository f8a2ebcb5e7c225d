//! Publishing at QoS 1 with many messages in flight, for `replay`, `simulate` and `demo`.
//!
//! Invariant: a message leaves the ledger only with its PUBACK. After a lost connection everything
//! in the ledger is sent again, in its first order. Each connection has an event loop of its own:
//! rumqttc keeps unacknowledged messages only where the broker kept the session.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use hashbrown::HashMap;
use parking_lot::Mutex;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Outgoing,
    Packet, QoS,
};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Messages that may wait for their PUBACK.
const WINDOW: u32 = 2048;
/// Packet identifiers in use before they are used again; far more than [`WINDOW`], so that a
/// broker may acknowledge out of order.
const IDENTIFIERS: u16 = 16_384;
/// Time without any acknowledgement after which the broker is given up.
pub(super) const GIVE_UP: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Pause before the next attempt to connect.
const RETRY: Duration = Duration::from_millis(250);
/// Time for a last word to the broker.
const GOODBYE: Duration = Duration::from_secs(2);
const MAX_PACKET: usize = 1024 * 1024;

/// Where to publish, and as whom.
#[derive(Debug, Clone, Args)]
pub(super) struct MqttArgs {
    /// Broker, mqtt://HOST[:PORT].
    #[arg(long, value_name = "URL", default_value = "mqtt://127.0.0.1:1883")]
    mqtt: String,
    /// User name.
    #[arg(long)]
    user: Option<String>,
    /// File with the password in its first line.
    #[arg(long, requires = "user")]
    password_file: Option<PathBuf>,
}

impl MqttArgs {
    /// # Errors
    /// The URL is none, or the password cannot be read.
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        let (host, port) = address(&self.mqtt)?;
        let login = match (&self.user, &self.password_file) {
            (None, _) => None,
            (Some(user), None) => Some((user.clone(), String::new())),
            (Some(user), Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("{}: the password cannot be read", path.display()))?;
                let password = text.lines().next().unwrap_or_default().to_owned();
                Some((user.clone(), password))
            }
        };
        Ok(Target { host, port, login })
    }
}

fn address(url: &str) -> anyhow::Result<(String, u16)> {
    let rest = match url.split_once("://") {
        None => url,
        Some(("mqtt" | "tcp", rest)) => rest,
        Some((scheme, _)) => bail!("--mqtt {url}: {scheme} is not supported; use mqtt://HOST:PORT"),
    };
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => {
            let port = port.parse().ok().filter(|port| *port > 0);
            (
                host,
                port.with_context(|| format!("--mqtt {url}: the port is not a number"))?,
            )
        }
        _ => (rest, 1883),
    };
    if host.is_empty() || host.contains(['/', '@', ' ']) {
        bail!("--mqtt {url}: expected mqtt://HOST[:PORT]; the login goes to --user");
    }
    Ok((host.to_owned(), port))
}

/// A broker and a login.
#[derive(Clone)]
pub(super) struct Target {
    host: String,
    port: u16,
    login: Option<(String, String)>,
}

impl Target {
    /// A broker on this machine that needs no login.
    pub(super) fn local(port: u16) -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port,
            login: None,
        }
    }

    /// `host:port`, for messages.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn options(&self, client: &str) -> MqttOptions {
        let mut options = MqttOptions::new(client, &self.host, self.port);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_inflight(IDENTIFIERS);
        options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
        if let Some((user, password)) = &self.login {
            options.set_credentials(user, password);
        }
        options
    }
}

struct Message {
    number: u64,
    topic: String,
    payload: Vec<u8>,
}

#[derive(Default)]
struct Ledger {
    client: Option<AsyncClient>,
    /// Given to the client, without a packet identifier yet; in the order of the client's queue.
    queued: VecDeque<Message>,
    /// On the wire, by packet identifier.
    sent: HashMap<u16, Message>,
    next: u64,
}

impl Ledger {
    fn submit(&mut self, message: Message) {
        if let Some(client) = &self.client {
            let (topic, payload) = (message.topic.as_str(), message.payload.clone());
            // The queue has room for all that may be in flight; a client that is gone is replaced
            // by the driver, which submits everything again.
            let _ = client.try_publish(topic, QoS::AtLeastOnce, false, payload);
        }
        self.queued.push_back(message);
    }

    fn reconnect(&mut self, options: MqttOptions) -> EventLoop {
        let (client, events) = AsyncClient::new(options, WINDOW as usize + 8);
        self.client = Some(client);
        let mut again: Vec<_> = self.sent.drain().map(|(_, message)| message).collect();
        again.extend(self.queued.drain(..));
        again.sort_unstable_by_key(|message| message.number);
        for message in again {
            self.submit(message);
        }
        events
    }
}

struct Shared {
    ledger: Mutex<Ledger>,
    room: Semaphore,
    acknowledged: AtomicU64,
    trouble: Mutex<Option<String>>,
}

/// A connection that publishes at QoS 1.
pub(super) struct Publisher {
    shared: Arc<Shared>,
    driver: JoinHandle<()>,
}

impl Publisher {
    /// Starts to connect; needs a runtime. `client` is the client identifier.
    pub(super) fn start(target: Target, client: String) -> Self {
        let shared = Arc::new(Shared {
            ledger: Mutex::default(),
            room: Semaphore::new(WINDOW as usize),
            acknowledged: AtomicU64::new(0),
            trouble: Mutex::new(None),
        });
        let driver = tokio::spawn(drive(target, client, Arc::clone(&shared)));
        Self { shared, driver }
    }

    /// Sends a message as soon as there is room in flight.
    ///
    /// # Errors
    /// The broker was given up.
    pub(super) async fn publish(&self, topic: String, payload: Vec<u8>) -> anyhow::Result<()> {
        match self.shared.room.acquire().await {
            Ok(permit) => permit.forget(),
            Err(_) => return Err(self.shared.given_up()),
        }
        let mut ledger = self.shared.ledger.lock();
        let number = ledger.next;
        ledger.next += 1;
        ledger.submit(Message {
            number,
            topic,
            payload,
        });
        Ok(())
    }

    /// Messages with a PUBACK.
    pub(super) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Why there is no connection at the moment.
    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().clone()
    }

    /// Whether the broker was given up; publishing fails from then on.
    pub(super) fn gave_up(&self) -> bool {
        self.shared.room.is_closed()
    }

    /// Waits for every PUBACK and says goodbye; how many there were.
    ///
    /// # Errors
    /// The broker was given up before it had acknowledged all.
    pub(super) async fn finish(self) -> anyhow::Result<u64> {
        if self.shared.room.acquire_many(WINDOW).await.is_err() {
            return Err(self.shared.given_up());
        }
        if let Some(client) = &self.shared.ledger.lock().client {
            let _ = client.try_disconnect();
        }
        let abort = self.driver.abort_handle();
        if timeout(GOODBYE, self.driver).await.is_err() {
            abort.abort();
        }
        Ok(self.shared.acknowledged.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn sent(&self, identifier: u16) {
        let mut ledger = self.ledger.lock();
        if let Some(message) = ledger.queued.pop_front() {
            ledger.sent.insert(identifier, message);
        }
    }

    fn acknowledge(&self, identifier: u16) {
        if self.ledger.lock().sent.remove(&identifier).is_some() {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
            self.room.add_permits(1);
        }
    }

    fn idle(&self) -> bool {
        self.room.available_permits() == WINDOW as usize
    }

    fn give_up(&self, why: String) {
        *self.trouble.lock() = Some(why);
        self.room.close();
    }

    fn given_up(&self) -> anyhow::Error {
        let why = self
            .trouble
            .lock()
            .clone()
            .unwrap_or_else(|| "the broker is gone".to_owned());
        anyhow!(
            "{why}; {} messages were acknowledged",
            self.acknowledged.load(Ordering::Relaxed)
        )
    }
}

/// Keeps a connection until the last message is acknowledged or the broker is given up.
async fn drive(target: Target, client: String, shared: Arc<Shared>) {
    let mut progress = Instant::now();
    loop {
        let mut events = shared.ledger.lock().reconnect(target.options(&client));
        let why = match connection(&mut events, &shared, &mut progress).await {
            Ended::Done => return,
            Ended::Refused(code) => {
                return shared.give_up(format!("{} refuses the login: {code:?}", target.name()));
            }
            Ended::Lost(why) => why,
        };
        if progress.elapsed() > GIVE_UP {
            let seconds = GIVE_UP.as_secs();
            let name = target.name();
            return shared.give_up(format!("{name} took nothing for {seconds} s ({why})"));
        }
        *shared.trouble.lock() = Some(format!("{} does not answer: {why}", target.name()));
        tokio::time::sleep(RETRY).await;
    }
}

enum Ended {
    Done,
    Refused(ConnectReturnCode),
    Lost(String),
}

async fn connection(events: &mut EventLoop, shared: &Shared, progress: &mut Instant) -> Ended {
    let mut connected = false;
    loop {
        match timeout(GIVE_UP, events.poll()).await {
            Ok(Ok(Event::Incoming(Packet::ConnAck(_)))) => {
                connected = true;
                *shared.trouble.lock() = None;
            }
            Ok(Ok(Event::Incoming(Packet::PubAck(ack)))) => {
                shared.acknowledge(ack.pkid);
                *progress = Instant::now();
            }
            Ok(Ok(Event::Outgoing(Outgoing::Publish(identifier)))) => shared.sent(identifier),
            Ok(Ok(Event::Outgoing(Outgoing::Disconnect))) => return Ended::Done,
            Ok(Ok(Event::Outgoing(Outgoing::AwaitAck(_)))) => {
                return Ended::Lost("an acknowledgement is missing".to_owned());
            }
            Ok(Ok(_)) => {}
            Ok(Err(ConnectionError::ConnectionRefused(
                code @ (ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized),
            ))) => return Ended::Refused(code),
            Ok(Err(error)) => return Ended::Lost(error.to_string()),
            Err(_) => return Ended::Lost("no answer".to_owned()),
        }
        if connected && shared.idle() {
            *progress = Instant::now();
        } else if progress.elapsed() > GIVE_UP {
            return Ended::Lost("no acknowledgement".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet, PubAck};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::{GIVE_UP, Publisher, Target, WINDOW, address, timeout};

    #[test]
    fn a_broker_is_named_with_or_without_scheme_and_port() {
        for (url, host, port) in [
            ("mqtt://127.0.0.1:1884", "127.0.0.1", 1884),
            ("localhost", "localhost", 1883),
            ("tcp://box.local/", "box.local", 1883),
            ("mqtt://[::1]:1883", "[::1]", 1883),
        ] {
            assert_eq!(address(url).unwrap(), (host.to_owned(), port), "{url}");
        }
        for url in ["mqtts://a", "mqtt://", "mqtt://a:b", "mqtt://u@a", "a:0"] {
            assert!(address(url).is_err(), "{url}");
        }
    }

    /// Acknowledges `count` publishes of a connection and then drops it; the topics it saw.
    async fn serve(mut socket: TcpStream, code: ConnectReturnCode, count: usize) -> Vec<String> {
        let (mut input, mut topics, mut acknowledged) = (BytesMut::new(), Vec::new(), 0);
        while socket.read_buf(&mut input).await.unwrap_or(0) > 0 {
            let mut output = BytesMut::new();
            while let Ok(packet) = Packet::read(&mut input, 1024 * 1024) {
                match packet {
                    Packet::Connect(_) => {
                        ConnAck::new(code, false).write(&mut output).unwrap();
                    }
                    Packet::Publish(publish) => {
                        topics.push(publish.topic);
                        if acknowledged < count {
                            acknowledged += 1;
                            PubAck::new(publish.pkid).write(&mut output).unwrap();
                        }
                    }
                    Packet::Disconnect => return topics,
                    _ => {}
                }
            }
            if socket.write_all(&output).await.is_err() || acknowledged == count {
                break;
            }
        }
        topics
    }

    #[tokio::test]
    async fn what_a_lost_connection_left_unacknowledged_is_sent_again_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let broker = tokio::spawn(async move {
            let mut seen = Vec::new();
            for count in [100, 0, 700, usize::MAX] {
                let (socket, _) = listener.accept().await.unwrap();
                seen.push(serve(socket, ConnectReturnCode::Success, count).await);
            }
            seen
        });
        let publisher = Publisher::start(Target::local(port), "test".to_owned());
        let total = WINDOW as usize * 2;
        for number in 0..total {
            publisher
                .publish(format!("t/{number}"), vec![b'1'])
                .await
                .unwrap();
        }
        let finished = timeout(GIVE_UP, publisher.finish())
            .await
            .expect("all are acknowledged");
        assert_eq!(finished.unwrap(), total as u64);
        let mut seen = broker.await.unwrap();
        let last = seen.pop().unwrap();
        // A PUBACK can get lost with its connection: then the message comes twice, never not at all.
        let first = total.checked_sub(last.len()).unwrap();
        assert!(first <= 800, "{first} was not acknowledged");
        assert!(
            (first..)
                .zip(last)
                .all(|(number, topic)| topic == format!("t/{number}"))
        );
    }

    #[tokio::test]
    async fn a_refused_login_ends_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            serve(socket, ConnectReturnCode::NotAuthorized, 0).await
        });
        let publisher = Publisher::start(Target::local(port), "test".to_owned());
        let error = async {
            publisher.publish("t".to_owned(), Vec::new()).await?;
            publisher.finish().await
        };
        let error = error.await.unwrap_err().to_string();
        assert!(error.contains("refuses the login"), "{error}");
    }
}
