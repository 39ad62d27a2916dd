//! The way to the API server: loading the kubeconfig, time-outs, and requests whose answers nobody else sees.
//!
//! kube's own `request*` methods write the bodies of answers they cannot parse, and of refusals, into the log, where a Secret must
//! never be; so requests go through [`kube::Client::send`] and are read here.

use std::time::Duration;

use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::secret::SecretValue;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use kube::{
    client::Body,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use secrecy::SecretString;
use serde::Deserialize;

use crate::{
    KubernetesConfig,
    buffer::Buffer,
    expiry::Expiry,
    failure::{Failure, Transport},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence on the connection for this long ends a request.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A page of a slow server may take longer than the silence within it.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// No object of the API is larger; etcd's own limit is 1.5 MiB a request.
pub(crate) const OBJECT_LIMIT: usize = 8 << 20;
/// A refusal's `Status` is small; what comes beyond is not read.
const STATUS_LIMIT: usize = 64 << 10;

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";
/// The API server leaves out everything but the metadata: a Secret's values do not travel.
pub(crate) const METADATA_ONLY: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// One request.
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// Path and query; every part of it is known to need no escapes.
    pub(crate) path: String,
    pub(crate) accept: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) within: Duration,
}

impl Ask {
    pub(crate) fn get(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            accept: JSON,
            content_type: JSON,
            body: Vec::new(),
            within: REQUEST_TIMEOUT,
        }
    }

    pub(crate) fn with_body(method: Method, path: String, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { method, path, accept: JSON, content_type, body, within: READ_TIMEOUT }
    }

    pub(crate) fn metadata_only(mut self) -> Self {
        self.accept = METADATA_ONLY;
        self
    }

    pub(crate) fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }
}

/// A cluster, and who we are there.
pub(crate) struct Connection {
    client: kube::Client,
    config: kube::Config,
    endpoint: String,
    expiry: Option<Expiry>,
}

impl Connection {
    pub(crate) async fn open(wanted: &KubernetesConfig) -> Result<Self> {
        let mut config = load(wanted).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        config.write_timeout = Some(READ_TIMEOUT);
        // 15 attempts and up to 1000 s of its own would hide every fault from the layer that decides about retries.
        config.default_retry = false;
        if config.proxy_url.is_some() && is_loopback(config.cluster_url.host()) {
            config.proxy_url = None;
        }
        let endpoint = endpoint_of(&config.cluster_url);
        let expiry = Expiry::of(&config.auth_info);
        let client = build(config.clone()).await.map_err(|error| client_error(&error, &endpoint))?;
        Ok(Self { client, config, endpoint, expiry })
    }

    /// Scheme, host and port.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The namespace that the kubeconfig's context names.
    pub(crate) fn default_namespace(&self) -> &str {
        &self.config.default_namespace
    }

    /// When our own credential says that it ends.
    pub(crate) fn expiry(&self) -> Option<&Expiry> {
        self.expiry.as_ref()
    }

    /// Does the kubeconfig skip the check of the server's certificate?
    pub(crate) fn is_unauthenticated(&self) -> bool {
        self.config.accept_invalid_certs
    }

    /// A connection of its own that presents nothing but `token`, and trusts the same authority.
    pub(crate) async fn as_bearer(&self, token: &SecretValue) -> Result<Self, Failure> {
        let text = token.expose_text().ok_or(Transport::NotSendable)?.trim_ascii();
        if text.is_empty() || text.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(Transport::NotSendable.into());
        }
        let mut config = self.config.clone();
        config.auth_info =
            AuthInfo { token: Some(SecretString::from(text.to_owned())), ..AuthInfo::default() };
        config.headers = Vec::new();
        let client = build(config.clone()).await.map_err(|error| Transport::diagnose(&error))?;
        Ok(Self { client, config, endpoint: self.endpoint.clone(), expiry: None })
    }

    /// Makes a request and gives a good answer's body. `limit` bounds what is held in memory.
    pub(crate) async fn ask(&self, ask: Ask, limit: usize) -> Result<Buffer, Failure> {
        let mut body = Buffer::with_capacity(0);
        self.ask_into(ask, limit, &mut body).await?;
        Ok(body)
    }

    /// As [`Self::ask`], into a buffer that the caller uses again. It is emptied first.
    pub(crate) async fn ask_into(&self, ask: Ask, limit: usize, body: &mut Buffer) -> Result<(), Failure> {
        let within = ask.within;
        match tokio::time::timeout(within, self.exchange(ask, limit, body)).await {
            Ok(result) => result,
            Err(_) => Err(Transport::TimedOut.into()),
        }
    }

    async fn exchange(&self, ask: Ask, limit: usize, body: &mut Buffer) -> Result<(), Failure> {
        body.wipe();
        let request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .header(http::header::ACCEPT, ask.accept)
            .header(http::header::CONTENT_TYPE, ask.content_type)
            .body(Body::from(ask.body))
            .map_err(|_| Failure::Malformed("the request's address".to_owned()))?;
        let answer = self.client.send(request).await.map_err(|error| Transport::diagnose(&error))?;
        let code = answer.status().as_u16();
        let retry_after = answer
            .headers()
            .get(http::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let good = answer.status().is_success();
        let limit = if good { limit } else { STATUS_LIMIT };
        let announced = answer
            .headers()
            .get(http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok())
            .unwrap_or(0);
        // Growing later would leave a copy behind that nobody zeroizes.
        body.reserve(if good { announced.clamp(16 << 10, limit) } else { 4 << 10 });
        let mut frames = answer.into_body();
        while let Some(frame) = frames.frame().await {
            let frame = frame.map_err(|error| Transport::diagnose(&error))?;
            let Ok(data) = frame.into_data() else { continue };
            if body.len() + data.len() > limit {
                if good {
                    return Err(Failure::TooLarge { limit });
                }
                break;
            }
            body.append(&data);
        }
        if good { Ok(()) } else { Err(refusal(code, body, retry_after)) }
    }
}

fn refusal(code: u16, body: &[u8], retry_after: Option<u64>) -> Failure {
    #[derive(Deserialize)]
    struct Status {
        #[serde(default)]
        reason: Option<String>,
    }
    let reason =
        serde_json::from_slice::<Status>(body).ok().and_then(|status| status.reason).unwrap_or_default();
    // The API's reasons are single words; anything else is somebody else's text.
    let is_word = reason.len() <= 40 && reason.bytes().all(|byte| byte.is_ascii_alphabetic());
    let reason = if is_word { reason } else { String::new() };
    Failure::Status { code, reason, retry_after: retry_after.map(Duration::from_secs) }
}

async fn build(config: kube::Config) -> Result<kube::Client, kube::Error> {
    // A credential plugin is a program that may take seconds, and kube waits for it on the spot.
    let built = tokio::task::spawn_blocking(move || kube::Client::try_from(config)).await;
    built.unwrap_or_else(|_| Err(kube::Error::Service("the thread that built the client panicked".into())))
}

async fn load(wanted: &KubernetesConfig) -> Result<kube::Config> {
    let options = KubeConfigOptions { context: wanted.context.clone(), ..KubeConfigOptions::default() };
    let (source, kubeconfig) = match &wanted.kubeconfig {
        Some(path) => (path.display().to_string(), Kubeconfig::read_from(path)),
        None if wanted.context.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => {
            return kube::Config::incluster().map_err(|_| {
                Error::new(
                    ErrorKind::Config,
                    "connect",
                    "the pod's ServiceAccount token or certificate cannot be read",
                )
                .with_hint("set automountServiceAccountToken for this pod, or name a kubeconfig")
            });
        }
        None => ("KUBECONFIG or ~/.kube/config".to_owned(), Kubeconfig::read()),
    };
    let kubeconfig = kubeconfig.map_err(|error| kubeconfig_error(&error, &source, ""))?;
    let known =
        kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect::<Vec<_>>().join(", ");
    kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| kubeconfig_error(&error, &source, &known))
}

/// What is wrong with a kubeconfig. The parser's own message quotes the file, which holds credentials.
fn kubeconfig_error(error: &KubeconfigError, source: &str, known: &str) -> Error {
    let (what, hint) = match error {
        KubeconfigError::ReadConfig(io, path) => (
            format!("{} cannot be read: {}", path.display(), io.kind()),
            "check `kubeconfig` of this backend".to_owned(),
        ),
        KubeconfigError::FindPath => (
            "there is no kubeconfig".to_owned(),
            "set `kubeconfig` of this backend, or KUBECONFIG".to_owned(),
        ),
        KubeconfigError::CurrentContextNotSet => (
            format!("{source} has no current context"),
            format!("set `context` of this backend to one of: {known}"),
        ),
        KubeconfigError::LoadContext(name) => (
            format!("{source} has no context {name}"),
            format!("set `context` of this backend to one of: {known}"),
        ),
        KubeconfigError::LoadClusterOfContext(name) => (
            format!("{source} has no cluster {name}"),
            "the context names a cluster that the file lacks".to_owned(),
        ),
        KubeconfigError::MissingClusterUrl | KubeconfigError::ParseClusterUrl(_) => (
            format!("{source} has no usable server address"),
            "clusters[].cluster.server must be a URL".to_owned(),
        ),
        KubeconfigError::ParseProxyUrl(_) => (
            format!("{source} or HTTPS_PROXY names a proxy that is not a URL"),
            "correct the proxy's address".to_owned(),
        ),
        KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => (
            format!("the certificate authority in {source} cannot be read"),
            "check certificate-authority or certificate-authority-data".to_owned(),
        ),
        KubeconfigError::LoadClientCertificate(_) | KubeconfigError::LoadClientKey(_) => (
            format!("the client certificate or key in {source} cannot be read"),
            "check client-certificate(-data) and client-key(-data)".to_owned(),
        ),
        _ => (
            format!("{source} is not a kubeconfig"),
            "compare it with what `kubectl config view --raw` prints".to_owned(),
        ),
    };
    Error::new(ErrorKind::Config, "connect", what).with_hint(hint)
}

fn client_error(error: &kube::Error, endpoint: &str) -> Error {
    let (what, hint) = match error {
        kube::Error::Auth(kube::client::AuthError::ReadTokenFile(..)) => {
            ("the token file of the kubeconfig cannot be read", "check tokenFile of the kubeconfig's user")
        }
        kube::Error::Auth(kube::client::AuthError::InvalidBearerToken(_)) => (
            "the token of the kubeconfig cannot be sent in a header",
            "check the token: it is one line of plain characters",
        ),
        kube::Error::Auth(_) => (
            "the credential plugin of the kubeconfig failed",
            "run `kubectl get namespaces` with the same kubeconfig",
        ),
        kube::Error::RustlsTls(_) => (
            "the certificates or the key of the kubeconfig are malformed",
            "check certificate-authority-data, client-certificate-data and client-key-data",
        ),
        kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. } => {
            ("the proxy's protocol is not supported", "use an http:// or https:// proxy, or none")
        }
        _ => ("the kubeconfig cannot be used", "check it with `kubectl get namespaces`"),
    };
    Error::new(ErrorKind::Config, "connect", format!("{what} (cluster {endpoint})")).with_hint(hint)
}

fn endpoint_of(url: &http::Uri) -> String {
    let host = url.host().unwrap_or_default();
    match url.port_u16() {
        Some(port) => format!("{}://{host}:{port}", url.scheme_str().unwrap_or("https")),
        None => format!("{}://{host}", url.scheme_str().unwrap_or("https")),
    }
}

fn is_loopback(host: Option<&str>) -> bool {
    let host = host.unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
