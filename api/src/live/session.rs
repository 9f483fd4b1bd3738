//! One WebSocket: greets, brings the client to a T, and then sends it every moment, whole and once.
//!
//! A session takes what waits for it: one moment as it is, more than `conflate_after` as one conflated moment.
//! A send that takes longer than `send_timeout` ends the session; so does a silent client. When the queue ran
//! over, the client is told to resynchronise and gets a snapshot. The server's stop closes with a close frame.

use std::sync::Arc;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use model::time::T;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use warp::ws::{Message, WebSocket};

use super::moment::{Format, Moment, Wording, conflated};
use super::protocol::{self, Request};
use super::subscription::{Subscription, channels_by_name, zones_by_name};
use super::{Hub, Seat, Start};
use crate::error::Error;

/// What a client asked for when it connected.
pub(crate) struct Opening {
    /// The zone or zones, as the client wrote them, in lower case.
    pub(crate) market_zone: String,
    /// What really backs the live state.
    pub(crate) storage_backend: &'static str,
    pub(crate) subscription: Subscription,
    pub(crate) format: Format,
    /// Resume after this T.
    pub(crate) since: Option<T>,
}

/// Why a session ended: the close code and reason the client sees, and the metric's label.
enum End {
    /// The client left, or the connection broke.
    Gone,
    Slow,
    Idle,
    Stopping,
}

impl End {
    fn close(&self) -> Option<(u16, &'static str, &'static str)> {
        match self {
            Self::Gone => None,
            Self::Slow => Some((1008, "slow", "too slow: messages were not accepted in time")),
            Self::Idle => Some((1001, "idle", "idle: no message or pong for too long")),
            Self::Stopping => Some((1001, "stopping", "the server is stopping")),
        }
    }
}

struct Session {
    hub: Arc<Hub>,
    sink: SplitSink<WebSocket, Message>,
    moments: broadcast::Receiver<Arc<Moment>>,
    subscription: Subscription,
    format: Format,
    /// Everything up to here was sent.
    position: T,
    stop: CancellationToken,
}

/// Serves a socket until it ends.
pub(crate) async fn run(hub: Arc<Hub>, seat: Seat, socket: WebSocket, opening: Opening, stop: CancellationToken) {
    // Subscribed before the snapshot is taken, so that nothing can fall between them.
    let moments = hub.subscribe();
    let (sink, stream) = socket.split();
    let Opening { market_zone, storage_backend, subscription, format, since } = opening;
    let mut session = Session { hub, sink, moments, subscription, format, position: 0, stop };
    let id = uuid::Uuid::new_v4().to_string();
    let hello = protocol::established(&id, &market_zone, storage_backend);
    tracing::debug!(connection = %id, %market_zone, "websocket opened");
    let Err(end) = session.serve(stream, hello, since).await;
    if let Some((code, label, reason)) = end.close() {
        session.hub.metrics.websocket_disconnects.with_label_values(&[label]).inc();
        let goodbye = session.sink.send(Message::close_with(code, reason));
        // A client that does not read cannot be told; it is dropped all the same.
        let _ = timeout(std::time::Duration::from_millis(500), goodbye).await;
    }
    tracing::debug!(connection = %id, "websocket closed");
    drop(seat);
}

type Ended<V> = Result<V, End>;

impl Session {
    async fn serve(
        &mut self,
        mut stream: SplitStream<WebSocket>,
        hello: String,
        since: Option<T>,
    ) -> Ended<std::convert::Infallible> {
        self.send(&[hello.into()]).await?;
        self.start(since).await?;
        let config = self.hub.config.clone();
        let mut stopped = std::pin::pin!(self.stop.clone().cancelled_owned());
        let mut heartbeat = interval(config.heartbeat.0.max(std::time::Duration::from_millis(1)));
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                () = &mut stopped => return Err(End::Stopping),
                moment = self.moments.recv() => self.moment(moment).await?,
                message = stream.next() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(message)) if message.is_close() => return Err(End::Gone),
                        Some(Ok(message)) => self.message(&message).await?,
                        Some(Err(_)) | None => return Err(End::Gone),
                    }
                }
                _ = heartbeat.tick() => {
                    if heard.elapsed() > config.idle_timeout.0 {
                        return Err(End::Idle);
                    }
                    let text = protocol::heartbeat(self.reached());
                    self.write(vec![Message::text(text), Message::ping(Vec::new())]).await?;
                }
            }
        }
    }

    /// Brings the client to a T: by the moments it missed, or by a snapshot.
    async fn start(&mut self, since: Option<T>) -> Ended<()> {
        match since.map(|since| (since, self.hub.resume(since))) {
            Some((since, Start::Resume(missed))) => {
                self.position = since;
                self.subscription.restart(since);
                self.deliver(missed).await
            }
            Some((_, Start::TooOld)) => self.resync("since is too old").await,
            None => self.snapshot(0).await,
        }
    }

    /// The T up to which the client has everything, so that it may resume from there. Moves on in quiet markets too.
    fn reached(&mut self) -> T {
        let handed_out = self.hub.handed_out();
        if self.moments.is_empty() {
            self.position = self.position.max(handed_out);
        }
        self.position
    }

    async fn resync(&mut self, reason: &str) -> Ended<()> {
        self.hub.metrics.websocket_resyncs.inc();
        self.send(&[protocol::resync(reason).into()]).await?;
        self.snapshot(self.position).await
    }

    async fn snapshot(&mut self, not_before: T) -> Ended<()> {
        let (t, frame) = self.hub.snapshot(&self.subscription, None, not_before);
        self.position = t;
        self.subscription.restart(t);
        self.send(&[frame]).await?;
        // A shared snapshot may be a little old, and moments may have been sent out before we subscribed.
        let missed = self.hub.after(t);
        self.deliver(missed).await
    }

    async fn moment(&mut self, received: Result<Arc<Moment>, RecvError>) -> Ended<()> {
        let first = match received {
            Ok(moment) => moment,
            Err(RecvError::Lagged(_)) => return self.resync("too slow: moments were dropped").await,
            Err(RecvError::Closed) => return Err(End::Stopping),
        };
        let mut waiting = vec![first];
        // Take all that waits: either it is conflated, or it goes out in one write.
        while let Ok(next) = self.moments.try_recv() {
            waiting.push(next);
        }
        if waiting.iter().any(|moment| moment.resync) {
            return self.resync("the server fell behind").await;
        }
        self.deliver(waiting).await
    }

    async fn deliver(&mut self, mut moments: Vec<Arc<Moment>>) -> Ended<()> {
        moments.retain(|moment| moment.t > self.position);
        let Some(last) = moments.last() else { return Ok(()) };
        let (position, arrived) = (last.t, last.arrived);
        let wording = Wording { labels: &self.hub.labels, spellings: &self.hub.spellings };
        let format = self.format;
        let messages = if moments.len() > self.hub.config.conflate_after {
            self.hub.metrics.websocket_conflated.inc_by(moments.len() as u64 - 1);
            conflated(&moments, wording, &self.subscription, format)
        } else {
            moments.iter().flat_map(|moment| moment.messages(wording, &self.subscription, format)).collect()
        };
        self.position = position;
        if messages.is_empty() {
            return Ok(());
        }
        self.send(&messages).await?;
        self.hub.metrics.websocket_send_seconds.observe(arrived.elapsed().as_secs_f64());
        Ok(())
    }

    async fn message(&mut self, message: &Message) -> Ended<()> {
        if message.is_ping() || message.is_pong() {
            return Ok(());
        }
        let text = message.to_str().map_err(|()| Error::BadBody("send text, not binary".to_owned()));
        let answer = match text.and_then(Request::parse) {
            Ok(Request::Ping) => protocol::pong(),
            Ok(Request::Pong) => return Ok(()),
            Ok(Request::Subscribe { zones, channels }) => return self.subscribe(&zones, &channels).await,
            Ok(Request::Unsubscribe { zones, channels }) => match self.resolve(&zones, &channels) {
                Ok((zones, channels)) => {
                    self.subscription.remove(&zones, &channels);
                    self.subscribed("unsubscribed")
                }
                Err(error) => protocol::error(&error),
            },
            Err(error) => protocol::error(&error),
        };
        self.send(&[answer.into()]).await
    }

    async fn subscribe(&mut self, zones: &[String], channels: &[String]) -> Ended<()> {
        let (zones, channels) = match self.resolve(zones, channels) {
            Ok(found) => found,
            Err(error) => return self.send(&[protocol::error(&error).into()]).await,
        };
        let before = self.subscription.clone();
        let mut wanted = before.clone();
        wanted.add(0, &zones, &channels);
        let (t, frame) = self.hub.snapshot(&wanted, Some(&before), 0);
        // What is new counts after its snapshot, what was there goes on where it is.
        self.subscription.add(t, &zones, &channels);
        let answer = self.subscribed("subscribed");
        self.send(&[answer.into(), frame]).await
    }

    #[allow(clippy::type_complexity, reason = "a pair of lists, taken apart at once")]
    fn resolve(
        &self,
        zones: &[String],
        channels: &[String],
    ) -> Result<(Vec<(u16, u8)>, Vec<super::event::Channel>), Error> {
        let zones = zones_by_name(&self.hub.labels.zones, &self.hub.spellings, zones)?;
        Ok((zones, channels_by_name(channels)?))
    }

    fn subscribed(&self, kind: &str) -> String {
        let zones = self.subscription.zone_names(&self.hub.spellings).collect();
        protocol::subscribed(kind, zones, self.subscription.channel_names().collect())
    }

    async fn send(&mut self, texts: &[Arc<str>]) -> Ended<()> {
        let metrics = &self.hub.metrics;
        metrics.websocket_frames.inc_by(texts.len() as u64);
        metrics.websocket_bytes.inc_by(texts.iter().map(|text| text.len() as u64).sum());
        self.write(texts.iter().map(|text| Message::text(&**text)).collect()).await
    }

    /// Writes messages as one flush, or ends the session when the client does not take them.
    async fn write(&mut self, messages: Vec<Message>) -> Ended<()> {
        let stopped = self.stop.clone().cancelled_owned();
        let sink = &mut self.sink;
        let write = async {
            for message in messages {
                sink.feed(message).await?;
            }
            sink.flush().await
        };
        tokio::select! {
            // First the write: a stop must not cut a message that is on its way out anyway.
            biased;
            written = timeout(self.hub.config.send_timeout.0, write) => match written {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(End::Gone),
                Err(_) => Err(End::Slow),
            },
            () = stopped => Err(End::Stopping),
        }
    }
}
