//! The log on standard error. Spans and events carry refs and codes, never values.

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::args::{Global, LogFormat};

/// Starts the log: warnings by default, `-v` information, `-vv` everything of ours, `CLAVIGER_LOG` for a filter of one's own.
pub(crate) fn start(global: &Global) {
    let default = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "claviger=info,warn",
        (_, _) => "claviger=trace,info",
    };
    let filter = EnvFilter::try_from_env("CLAVIGER_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(global.verbose > 1);
    let registry = tracing_subscriber::registry().with(filter);
    match global.log_format {
        LogFormat::Text => registry.with(layer.with_ansi(crate::error::color(global))).init(),
        LogFormat::Json => registry.with(layer.json()).init(),
    }
}
