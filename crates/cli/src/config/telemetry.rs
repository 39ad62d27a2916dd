//! `[telemetry]`: to which collector traces are sent.

use std::collections::BTreeMap;

use claviger_core::secret::SecretValue;
use reqwest::Url;
use serde::Deserialize;

use super::{Loaded, SecretSource};
use crate::error::{Failure, Result};

/// The variables of the OpenTelemetry specification that hold where the file says nothing.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const SERVICE: &str = "OTEL_SERVICE_NAME";

/// `[telemetry]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Telemetry {
    /// The collector's base address; traces go to `v1/traces` below it.
    endpoint: Option<String>,
    /// What it wants to be shown.
    headers: BTreeMap<String, SecretSource>,
    /// The share of traces that are kept, of those that nobody else decided on.
    sample: Option<f64>,
    /// Under which name.
    service: Option<String>,
}

/// Where traces go, and how many of them.
pub(crate) struct Traces {
    /// The whole address.
    pub(crate) endpoint: Url,
    /// Headers by name.
    pub(crate) headers: Vec<(String, SecretValue)>,
    /// From 0 to 1.
    pub(crate) sample: f64,
    /// `service.name` of the resource.
    pub(crate) service: String,
}

/// Reads it, the environment too. `None`: no traces are wanted.
pub(crate) fn read(loaded: &Loaded) -> Result<Option<Traces>> {
    of(loaded, |name| std::env::var(name).ok())
}

fn of(loaded: &Loaded, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Traces>> {
    let said = |name| variable(name).filter(|text| !text.is_empty());
    let telemetry = &loaded.config.telemetry;
    let Some(base) = telemetry.endpoint.clone().or_else(|| said(ENDPOINT)) else { return Ok(None) };
    let wrong = |message: String| {
        Failure::config(790, format!("[telemetry]: {message}"))
            .hint("e.g. `endpoint = \"http://127.0.0.1:4318\"` and `sample = 0.1`")
    };
    let endpoint = Url::parse(&format!("{}/v1/traces", base.trim_end_matches('/')));
    let endpoint = endpoint.ok().filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    let endpoint = endpoint
        .ok_or_else(|| wrong("`endpoint` is no address of a collector that speaks HTTP".to_owned()))?;
    if !endpoint.username().is_empty() || endpoint.password().is_some() {
        return Err(wrong("`endpoint` holds a login: it belongs into `headers`".to_owned()));
    }
    let local = endpoint.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
    if !telemetry.headers.is_empty() && endpoint.scheme() != "https" && !local {
        return Err(wrong("`headers` would be sent over the network in the clear".to_owned()));
    }
    let sample = telemetry.sample.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&sample) {
        return Err(wrong(format!("`sample` is {sample}, and a share lies between 0 and 1")));
    }
    let fetch = |(name, source): (&String, &SecretSource)| {
        Ok((name.clone(), source.fetch(loaded, &format!("telemetry.headers.{name}"))?))
    };
    let headers = telemetry.headers.iter().map(fetch).collect::<Result<_>>()?;
    let service =
        telemetry.service.clone().or_else(|| said(SERVICE)).unwrap_or_else(|| "claviger".to_owned());
    Ok(Some(Traces { endpoint, headers, sample, service }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Option<Traces>> {
        let config = toml::from_str(text).expect("TOML");
        let loaded = Loaded { config, base: std::path::PathBuf::from("."), file: None };
        of(&loaded, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn wanted(text: &str, variables: &[(&str, &str)]) -> Traces {
        read(text, variables).unwrap_or_else(|error| panic!("{error:?}")).expect("they are wanted")
    }

    #[test]
    fn where_traces_go_is_read_or_refused() {
        assert!(read("", &[]).is_ok_and(|none| none.is_none()));
        assert!(read("[telemetry]\nsample = 0.5", &[(ENDPOINT, "")]).is_ok_and(|none| none.is_none()));
        let file = wanted(
            "[telemetry]\nendpoint = 'http://127.0.0.1:4318/'\nsample = 0.25\nservice = 'keys'",
            &[(ENDPOINT, "http://other")],
        );
        assert_eq!(file.endpoint.as_str(), "http://127.0.0.1:4318/v1/traces");
        assert_eq!((file.sample, file.service.as_str()), (0.25, "keys"));
        let variable = wanted("", &[(ENDPOINT, "https://collector.internal/otlp"), (SERVICE, "blue")]);
        assert_eq!(variable.endpoint.as_str(), "https://collector.internal/otlp/v1/traces");
        assert_eq!((variable.sample, variable.service.as_str()), (1.0, "blue"));
        for bad in [
            "endpoint = 'collector:4318'",
            "endpoint = 'ftp://collector'",
            "endpoint = 'https://dana:secret@collector'",
            "endpoint = 'https://collector'\nsample = 1.5",
            "endpoint = 'https://collector'\nsample = nan",
            "endpoint = 'http://collector'\nheaders = { authorization = { env = 'PATH' } }",
        ] {
            let error = format!("{:?}", read(&format!("[telemetry]\n{bad}"), &[]).err());
            assert!(error.contains("790") && !error.contains("secret"), "{bad}: {error}");
        }
    }
}
