//! `[guards]` and `[incident]`: what one person may do alone, and what an incident allows.

use chrono::TimeDelta;
use serde::Deserialize;

use super::policy;
use crate::error::{Failure, Result};

/// `[guards]`. What is left out is not guarded.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Guards {
    max_targets: Option<usize>,
    max_share: Option<f64>,
    canary: usize,
    operator_key: bool,
}

impl Guards {
    pub(super) fn read(&self) -> Result<claviger_engine::guard::Guards> {
        if self.max_share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(Failure::config(31, "`max_share` of `[guards]` is no part of a whole")
                .hint("write e.g. `0.5` for a half"));
        }
        Ok(claviger_engine::guard::Guards {
            max_targets: self.max_targets,
            max_share: self.max_share,
            canary: self.canary,
            operator_key: self.operator_key,
        })
    }
}

/// `[operator]`: who runs this. Without it the account that the machine knows counts.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Operator {
    /// File of the person's private key.
    pub(crate) key: Option<std::path::PathBuf>,
}

/// `[incident]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Incident {
    break_glass: Option<String>,
}

impl Incident {
    /// Four hours where nothing is said; `0h` lets nothing through.
    pub(super) fn break_glass(&self) -> Result<TimeDelta> {
        let Some(text) = &self.break_glass else { return Ok(TimeDelta::hours(4)) };
        policy::age(text).map_err(|error| {
            Failure::config(31, format!("`break_glass` of `[incident]`: {}", error.message()))
                .hint("`0h` lets nothing through without approvals")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_or_refused() {
        let guards = |text: &str| toml::from_str::<Guards>(text).expect("TOML").read();
        let read = guards("max_targets = 20\nmax_share = 0.5\ncanary = 1")
            .unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!((read.max_targets, read.max_share, read.canary), (Some(20), Some(0.5), 1));
        assert!(guards("").is_ok_and(|read| read == claviger_engine::guard::Guards::default()));
        for bad in ["max_share = 50.0", "max_share = -0.1", "max_share = nan"] {
            assert!(guards(bad).is_err(), "{bad}");
        }
        let glass = |text: &str| toml::from_str::<Incident>(text).expect("TOML").break_glass();
        assert!(glass("").is_ok_and(|age| age == TimeDelta::hours(4)));
        assert!(glass("break_glass = '0h'").is_ok_and(|age| age.is_zero()));
        assert!(glass("break_glass = 'long'").is_err());
    }
}
