//! The API's metrics, all in one place.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, exponential_buckets,
};

/// Counters, gauges and histograms of the API.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Requests by route, method and status.
    pub requests: IntCounterVec,
    /// Time until the answer's head, by route.
    pub request_seconds: HistogramVec,
    /// Requests being answered.
    pub requests_in_flight: IntGauge,
    /// Open TCP connections.
    pub connections: IntGauge,
    /// Open WebSockets.
    pub websocket_connections: IntGauge,
    /// WebSocket messages sent.
    pub websocket_frames: IntCounter,
    /// Bytes of WebSocket messages sent.
    pub websocket_bytes: IntCounter,
    /// Moments that were folded into a later one for a slow client.
    pub websocket_conflated: IntCounter,
    /// Times a client had to start again from a snapshot.
    pub websocket_resyncs: IntCounter,
    /// Batches that came faster than they could be encoded.
    pub websocket_missed: IntCounter,
    /// Sockets the server closed, by reason.
    pub websocket_disconnects: IntCounterVec,
    /// From a moment's arrival in the API until it is written to a socket.
    pub websocket_send_seconds: Histogram,
    /// Moments encoded.
    pub websocket_moments: IntCounter,
    /// Bytes kept for clients that resume.
    pub websocket_resume_bytes: IntGauge,
    /// Messages published for clients, by kind and outcome.
    pub published: IntCounterVec,
}

impl Metrics {
    /// Registers every metric.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let latency = |name: &str, help: &str| {
            exponential_buckets(0.000_25, 2.0, 16).map(|buckets| HistogramOpts::new(name, help).buckets(buckets))
        };
        Ok(Self {
            requests: counters("optibid_api_requests_total", "Requests answered.", &["route", "method", "status"])?,
            request_seconds: register(
                registry,
                HistogramVec::new(
                    latency("optibid_api_request_seconds", "Time until the head of the answer.")?,
                    &["route"],
                )?,
            )?,
            requests_in_flight: gauge("optibid_api_requests_in_flight", "Requests being answered.")?,
            connections: gauge("optibid_api_connections", "Open TCP connections.")?,
            websocket_connections: gauge("optibid_api_websocket_connections", "Open WebSockets.")?,
            websocket_frames: counter("optibid_api_websocket_frames_total", "WebSocket messages sent.")?,
            websocket_bytes: counter("optibid_api_websocket_sent_bytes_total", "Bytes of WebSocket messages sent.")?,
            websocket_conflated: counter(
                "optibid_api_websocket_conflated_moments_total",
                "Moments folded into a later one for a slow client.",
            )?,
            websocket_resyncs: counter(
                "optibid_api_websocket_resyncs_total",
                "Times a client had to start again from a snapshot.",
            )?,
            websocket_missed: counter(
                "optibid_api_websocket_missed_batches_total",
                "Batches that came faster than they could be encoded: sockets go on from a fresh snapshot.",
            )?,
            websocket_disconnects: counters(
                "optibid_api_websocket_disconnects_total",
                "Sockets closed, by reason.",
                &["reason"],
            )?,
            websocket_send_seconds: register(
                registry,
                Histogram::with_opts(latency(
                    "optibid_api_websocket_send_seconds",
                    "From a moment's arrival in the API until it is written to a socket.",
                )?)?,
            )?,
            websocket_moments: counter("optibid_api_websocket_moments_total", "Closed moments encoded.")?,
            websocket_resume_bytes: gauge("optibid_api_websocket_resume_bytes", "Bytes kept for clients that resume.")?,
            published: counters(
                "optibid_api_published_total",
                "Messages published for clients.",
                &["kind", "outcome"],
            )?,
        })
    }
}

fn register<M: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: M,
) -> Result<M, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
