//! Progress on standard error, on a terminal only.

use std::{collections::BTreeMap, io::IsTerminal, sync::Mutex, time::Duration};

use claviger_engine::progress::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::args::Global;

/// One line per backend or saga.
pub(crate) struct Bars {
    bars: MultiProgress,
    lines: Mutex<BTreeMap<String, ProgressBar>>,
    /// Off a terminal saga steps are printed as plain lines, for logs of jobs.
    plain: bool,
}

/// The listener that fits the terminal.
pub(crate) fn listener(global: &Global) -> Box<dyn Progress> {
    let terminal = std::io::stderr().is_terminal();
    if global.quiet || (!terminal && global.verbose == 0) {
        return Box::new(claviger_engine::progress::Silent);
    }
    Box::new(Bars { bars: MultiProgress::new(), lines: Mutex::default(), plain: !terminal })
}

impl Bars {
    fn line(&self, name: &str) -> ProgressBar {
        let mut lines = self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines
            .entry(name.to_owned())
            .or_insert_with(|| {
                let bar = self.bars.add(ProgressBar::new_spinner());
                bar.set_style(
                    ProgressStyle::with_template("{spinner} {prefix:20} {pos:>8} {msg}")
                        .unwrap_or_else(|_| ProgressStyle::default_spinner()),
                );
                bar.set_prefix(claviger_report::visible(name).into_owned());
                bar.enable_steady_tick(Duration::from_millis(120));
                bar
            })
            .clone()
    }
}

impl Progress for Bars {
    fn backend_started(&self, name: &str) {
        self.line(name).set_message("items");
    }

    fn items(&self, name: &str, count: usize) {
        self.line(name).inc(u64::try_from(count).unwrap_or(0));
    }

    fn backend_finished(&self, name: &str, status: &str) {
        self.line(name).finish_with_message(format!("items, {status}"));
    }

    fn step_started(&self, subject: &str, step: &str) {
        let step = claviger_report::visible(step).into_owned();
        if self.plain {
            tracing::info!(subject, step, "step started");
        } else {
            let bar = self.line(subject);
            bar.inc(1);
            bar.set_message(step);
        }
    }

    fn step_finished(&self, subject: &str, step: &str, outcome: &str) {
        if self.plain {
            tracing::info!(subject, step, outcome, "step finished");
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        let _ = self.bars.clear();
    }
}
