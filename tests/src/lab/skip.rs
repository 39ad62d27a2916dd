//! A server that cannot be had is a loud, counted skip locally and a failure in CI. What a machine does not allow is a loud, counted skip everywhere.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Result;

use super::assets::NotInstalled;

/// Variable that names the file to which every skip appends a line. `tests/run` sets it, prints it and, in CI, fails on it.
pub const COUNTER: &str = "CLAVIGER_LAB_SKIPS";

/// The server, or `None` when its program is not installed here: the test then returns, see
/// [`require_lab!`](crate::require_lab).
///
/// # Panics
/// When a server that is installed does not start; and when it is not installed and `CI` is set.
pub fn require<T>(server: Result<T>) -> Option<T> {
    let error = match server {
        Ok(server) => return Some(server),
        Err(error) => error,
    };
    let Some(missing) = error.downcast_ref::<NotInstalled>() else {
        panic!("lab: a server did not start: {error:#}");
    };
    assert!(std::env::var_os("CI").is_none(), "lab: {missing}, and in CI nothing may be skipped");
    count("lab", &missing.to_string());
    None
}

/// Says and counts that a test could not be made on this machine, which no installation mends: it allows us no mount, say. In CI too it is told and counted, and
/// fails nothing.
pub fn machine(why: &str) {
    count("machine", why);
}

fn count(kind: &str, why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIP({kind}): {test}: {why}");
    // Not `eprintln!`: the test harness hides that of a test that passes.
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(path) = std::env::var_os(COUNTER).map(PathBuf::from)
        && let Ok(mut file) = std::fs::File::options().create(true).append(true).open(path)
    {
        let _ = writeln!(file, "{line}");
    }
}

/// `let kubernetes = require_lab!(Kubernetes::shared().await);` gives the server, or returns from the test with a
/// counted skip. A second argument is what to return then: `require_lab!(..., Ok(()))`.
#[macro_export]
macro_rules! require_lab {
    ($server:expr) => {
        $crate::require_lab!($server, ())
    };
    ($server:expr, $otherwise:expr) => {
        match $crate::lab::require($server) {
            Some(server) => server,
            None => return $otherwise,
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_started_server_is_handed_on() {
        assert_eq!(require(Ok(7)), Some(7));
    }

    #[test]
    #[should_panic(expected = "did not start")]
    fn a_server_that_fails_to_start_fails_the_test() {
        require::<()>(Err(anyhow::anyhow!("port taken")));
    }
}
