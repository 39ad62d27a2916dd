//! Traces by OTLP over HTTP, where the configuration names a collector: refs, ids and codes, never values.
//!
//! What is sent is gathered in a queue of fixed length. A collector that is slow, or not there, loses spans and delays nothing but the last moment of
//! the process, and that by no more than [`LAST`].

#[cfg(feature = "telemetry")]
mod otlp;

use claviger_server::Joins;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::{Layer, registry::LookupSpan};

use crate::{
    args::Global,
    config::{Loaded, telemetry},
    error::Result,
};

/// Where the spans of this process go.
#[derive(Default)]
pub(crate) struct Telemetry {
    #[cfg(feature = "telemetry")]
    sent: Option<otlp::Sent>,
}

impl Telemetry {
    /// By the configuration. One that cannot be read names no collector: whoever needs it says what is wrong with it.
    pub(crate) fn of(global: &Global, runtime: &Handle) -> Result<Self> {
        let Ok(loaded) = Loaded::find(global) else { return Ok(Self::default()) };
        match telemetry::read(&loaded)? {
            Some(traces) => Self::sending(traces, runtime),
            None => Ok(Self::default()),
        }
    }
}

#[cfg(feature = "telemetry")]
impl Telemetry {
    fn sending(traces: telemetry::Traces, runtime: &Handle) -> Result<Self> {
        Ok(Self { sent: Some(otlp::Sent::to(traces, runtime)?) })
    }

    /// What hands spans on.
    pub(crate) fn layer<S>(&self) -> Option<Box<dyn Layer<S> + Send + Sync>>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        self.sent.as_ref().map(otlp::Sent::layer)
    }

    /// How requests are taken into the traces that they name; `None` where nobody would see it.
    pub(crate) fn joins() -> Option<Joins> {
        Some(std::sync::Arc::new(otlp::join))
    }

    /// Sends what is left, within a moment.
    pub(crate) fn end(self) {
        if let Some(sent) = self.sent {
            sent.end();
        }
    }
}

#[cfg(not(feature = "telemetry"))]
impl Telemetry {
    fn sending(traces: telemetry::Traces, _: &Handle) -> Result<Self> {
        let telemetry::Traces { endpoint, headers, sample, service } = traces;
        let message = format!(
            "`{service}` is to send traces to {endpoint} (share {sample}, {} headers), and this build sends none",
            headers.len()
        );
        Err(crate::error::Failure::config(791, message)
            .hint("leave `[telemetry]` and `OTEL_EXPORTER_OTLP_ENDPOINT` out, or build with the feature `telemetry`"))
    }

    /// Nobody hands spans on.
    pub(crate) fn layer<S>(&self) -> Option<Box<dyn Layer<S> + Send + Sync>>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        None
    }

    /// Nobody would see it.
    pub(crate) fn joins() -> Option<Joins> {
        None
    }

    /// Nothing is left.
    pub(crate) fn end(self) {}
}
