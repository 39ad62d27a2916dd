//! The log on standard error. Spans and events carry refs and codes, never values.

use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, prelude::*};

use crate::{
    args::{Global, LogFormat},
    telemetry::Telemetry,
};

/// Starts the log: warnings by default, `-v` information, `-vv` everything of ours, `CLAVIGER_LOG` for a filter of one's own. What traces hold does not
/// depend on that.
pub(crate) fn start(global: &Global, telemetry: &Telemetry) {
    let default = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "claviger=info,warn",
        (_, _) => "claviger=trace,info",
    };
    let filter = EnvFilter::try_from_env("CLAVIGER_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(global.verbose > 1);
    let log: Box<dyn Layer<Registry> + Send + Sync> = match global.log_format {
        LogFormat::Text => layer.with_ansi(crate::error::color(global)).with_filter(filter).boxed(),
        LogFormat::Json => layer.json().with_filter(filter).boxed(),
    };
    tracing_subscriber::registry().with(log).with(telemetry.layer()).init();
}
