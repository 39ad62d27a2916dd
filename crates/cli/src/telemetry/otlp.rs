use std::{collections::HashMap, time::Duration};

use opentelemetry::{
    KeyValue,
    propagation::TextMapPropagator as _,
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use reqwest::{header::HeaderMap, redirect};
use tokio::runtime::Handle;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use crate::{
    config::telemetry::Traces,
    error::{Failure, Result},
};

/// Spans that wait to be sent. What comes beyond is lost.
const QUEUE: usize = 4096;
/// Spans of one message.
const BATCH: usize = 512;
const EVERY: Duration = Duration::from_secs(1);
/// Longest sending of one message.
const SENDING: Duration = Duration::from_secs(5);
const CONNECTING: Duration = Duration::from_secs(2);
/// Longest sending of what is left, at the end of the process.
const LAST: Duration = Duration::from_secs(2);
/// Longest answer that is read, in bytes.
const ANSWER: usize = 64 << 10;

/// The way to a collector.
pub(super) struct Sent(SdkTracerProvider);

impl Sent {
    pub(super) fn to(traces: Traces, runtime: &Handle) -> Result<Self> {
        let wrong = |why: String| Failure::config(790, format!("[telemetry]: {why}"));
        let http = reqwest::Client::builder()
            .timeout(SENDING)
            .connect_timeout(CONNECTING)
            // What it is shown is for the collector that was named, and for none that it names.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| wrong(format!("no client can be made: {error}")))?;
        let mut headers = HashMap::new();
        for (name, value) in &traces.headers {
            let text =
                value.expose_text().filter(|text| reqwest::header::HeaderValue::from_str(text).is_ok());
            let text =
                text.ok_or_else(|| wrong(format!("the value of the header `{name}` cannot be one")))?;
            headers.insert(name.clone(), text.to_owned());
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client { http, runtime: runtime.clone() })
            .with_endpoint(traces.endpoint.as_str())
            .with_headers(headers)
            .with_timeout(SENDING)
            // What is not taken is lost: whoever waits for the end of the process does not wait for repeats.
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        let queue = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(EVERY)
            .build();
        let resource = Resource::builder()
            .with_service_name(traces.service)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(queue).build())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(traces.sample))))
            .with_resource(resource)
            .build();
        Ok(Self(provider))
    }

    /// Our own spans and no others: a library's may show more than it should.
    pub(super) fn layer<S>(&self) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let ours = Targets::new().with_target("claviger", Level::INFO);
        let tracer = self.0.tracer("claviger");
        let layer =
            tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false);
        layer.with_filter(ours).boxed()
    }

    pub(super) fn end(self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST) {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

/// Takes over `traceparent` and `tracestate` (W3C Trace Context).
pub(super) fn join(headers: &HeaderMap, span: &Span) {
    let told = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    if told.span().span_context().is_valid() {
        // Refused only to a span that nobody records.
        let _ = span.set_parent(told);
    }
}

/// Sends on the program's runtime: spans are gathered in a thread that has none.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        self.runtime.spawn(send(http, request)).await?
    }
}

async fn send(http: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (parts, body) = request.into_parts();
    let sent = http.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body).send();
    let mut answer = sent.await?;
    let mut read = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if read.len() + piece.len() > ANSWER {
            return Err("the collector's answer is too long".into());
        }
        read.extend_from_slice(&piece);
    }
    let mut response = Response::new(Bytes::from(read));
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    Ok(response)
}
