//! Figures on stdout, one a line: `name value unit`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// What was printed, for what is calculated from it.
#[derive(Default)]
pub(crate) struct Figures {
    printed: BTreeMap<String, f64>,
}

impl Figures {
    pub(crate) fn seconds(&mut self, name: &str, value: Duration) {
        self.line(name, value.as_secs_f64(), &format!("{:.3}", value.as_secs_f64()), "s");
    }

    pub(crate) fn mebibytes(&mut self, name: &str, bytes: u64) {
        let value = bytes as f64 / f64::from(1 << 20);
        self.line(name, value, &format!("{value:.1}"), "MiB");
    }

    pub(crate) fn count(&mut self, name: &str, value: usize, unit: &str) {
        self.line(name, value as f64, &value.to_string(), unit);
    }

    pub(crate) fn word(&mut self, name: &str, word: &str) {
        print(&format!("{name} {word} -"));
    }

    /// `of` divided by `to`, both printed before; nothing where one of them was not.
    pub(crate) fn ratio(&mut self, name: &str, of: &str, to: &str) {
        if let (Some(of), Some(to)) = (self.printed.get(of), self.printed.get(to)) {
            let value = of / to;
            self.line(name, value, &format!("{value:.3}"), "ratio");
        }
    }

    /// A printed figure against what is wanted.
    pub(crate) fn goal(&self, name: &str, at_most: f64) {
        if let Some(value) = self.printed.get(name) {
            let verdict = if *value <= at_most { "met" } else { "missed" };
            print(&format!("goal.{name} {verdict} at_most_{at_most}"));
        }
    }

    /// How the peak grows from the first to the last number of Secrets.
    pub(crate) fn flatness(&mut self, counts: &[usize]) {
        if let [first, .., last] = counts {
            let name = |count| format!("secrets_{count}.claviger_scan.peak_rss");
            self.ratio("claviger_scan.peak_rss_growth", &name(last), &name(first));
        }
    }

    fn line(&mut self, name: &str, value: f64, text: &str, unit: &str) {
        self.printed.insert(name.to_owned(), value);
        print(&format!("{name} {text} {unit}"));
    }
}

/// The middle one.
pub(crate) fn median<T: Ord + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// What is going on.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {text}");
}

fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// A setting of the lifecycle database as its source has it: SQLite tells nobody but the connection itself.
pub(crate) fn from_source(prefix: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/store/src/database.rs");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let word = text.split(prefix).nth(1).unwrap_or_default();
    let word: String = word.chars().take_while(char::is_ascii_alphanumeric).collect();
    if word.is_empty() { "unknown".to_owned() } else { word.to_lowercase() }
}
