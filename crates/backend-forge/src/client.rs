//! The one way to a forge: an HTTP client with time-outs, our credentials, pages, and errors of the contract.
//!
//! No link that a server sends is followed: it may point at another origin, and whoever follows it sends our token there. Lists are asked for by page
//! number; where a product says by a link alone how they go on, its query is taken if its origin is ours ([`link`]), and the rest of it is ours too.
//! For the same reason no redirect is followed.

mod dialect;
mod fault;
mod limit;
mod link;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::secret::SecretValue;
use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderValue},
};
use serde::{Deserialize, de::DeserializeOwned};
use zeroize::Zeroizing;

pub(crate) use self::{dialect::Dialect, fault::Call};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Items asked for in one page; servers may give fewer.
const PAGE: usize = 50;
/// A list that goes on beyond this many pages is a server that repeats itself.
const MOST_PAGES: usize = 20_000;

/// A user and a password: what some calls want instead of a token.
pub struct Login {
    /// User name.
    pub user: String,
    /// Password, or another secret that the server takes in its place.
    pub password: SecretValue,
}

/// As whom a call is made.
#[derive(Clone, Copy)]
pub(crate) enum As<'a> {
    /// As we are: with our token, else with user and password.
    Us,
    /// With user and password only.
    User,
    /// With this token.
    Holder(&'a SecretValue),
    /// As nobody.
    Nobody,
}

/// A server and our credentials there.
pub(crate) struct Api {
    http: reqwest::Client,
    base: Url,
    shown: String,
    token: Option<SecretValue>,
    login: Option<Login>,
    dialect: Dialect,
}

/// What a request has besides: another type of body than JSON, headers of one product, a tag.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extra<'a> {
    pub(crate) content_type: Option<&'a str>,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// The server may say (304) that what carries this tag still holds.
    pub(crate) unless: Option<&'a str>,
}

/// One request. Path segments may hold any character.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) who: As<'a>,
    pub(crate) body: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    pub(crate) fn get(path: &'a [&'a str]) -> Self {
        Self { method: &Method::GET, path, query: &[], who: As::Us, body: None }
    }

    pub(crate) fn by(self, who: As<'a>) -> Self {
        Self { who, ..self }
    }
}

/// An answer of any status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// May hold secrets, so it is zeroized.
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// `X-Total-Count`: how long the whole list is.
    total: Option<usize>,
    retry_after: Option<Duration>,
    headers: HeaderMap,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

impl Answer {
    /// The server's reason, to tell cases apart. Never printed.
    pub(crate) fn says(&self, text: &str) -> bool {
        serde_json::from_slice::<Refusal>(&self.body).is_ok_and(|refusal| refusal.message.contains(text))
    }

    /// Does it say this anywhere, such as in a list of what is wrong with each field? Never printed.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|part| part == text.as_bytes())
    }

    /// True if it is an error as this API writes it, not a page of something in between.
    pub(crate) fn is_the_apis(&self) -> bool {
        serde_json::from_slice::<Refusal>(&self.body).is_ok_and(|refusal| !refusal.message.is_empty())
    }

    /// A header, where it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The cookies that came with it, as they go back.
    pub(crate) fn cookies(&self) -> String {
        let given = self.headers.get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
        let pairs: Vec<&str> = given.filter_map(|cookie| cookie.split(';').next()).collect();
        pairs.join("; ")
    }

    /// How long the server asks to be left alone, where it refuses for our pace.
    pub(crate) fn rest(&self) -> Option<Duration> {
        self.retry_after.filter(|_| matches!(self.status, 403 | 429))
    }

    /// Itself when the status is 2xx.
    pub(crate) fn good(self, call: Call<'_>) -> Result<Self> {
        if (200..300).contains(&self.status) {
            Ok(self)
        } else {
            Err(call.refused(self.status, self.retry_after))
        }
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|_| call.unreadable())
    }

    /// All headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What was answered before, which this answer says still holds; the server's clock is this one's.
    pub(crate) fn holding(self, headers: &HeaderMap, body: &[u8]) -> Self {
        let mut kept = headers.clone();
        if let Some(date) = self.headers.get("date") {
            kept.insert("date", date.clone());
        }
        Self { status: 200, body: Zeroizing::new(body.to_vec()), headers: kept, ..self }
    }

    /// The server's clock when it answered.
    pub(crate) fn date(&self) -> Option<DateTime<Utc>> {
        limit::date(&self.headers)
    }

    /// The query of the next page, where there is one.
    ///
    /// # Errors
    /// `Denied` where it lies at another origin: our token does not go there.
    pub(crate) fn next(&self, call: Call<'_>, api: &Api) -> Result<Option<Vec<(String, String)>>> {
        link::next(self.header("link").unwrap_or_default(), &api.base).map_err(|at| {
            call.error(
                ErrorKind::Denied,
                &format!("its next page lies at another origin ({at}), which is not followed"),
            )
            .with_hint("set `url` to where the server itself answers, or ask who changes its answers")
        })
    }
}

impl Api {
    /// `address` is `https://host[:port][/path]`, `below` the path of the API under it. Nothing is sent.
    ///
    /// # Errors
    /// `Config` for an address or an authority that cannot be used, or where there is neither a token nor a login.
    pub(crate) fn new(
        address: &str,
        below: &str,
        ca: Option<&[u8]>,
        token: Option<SecretValue>,
        login: Option<Login>,
    ) -> Result<Self> {
        let wrong = |message: &str| Error::new(ErrorKind::Config, "connect", message);
        if token.is_none() && login.is_none() {
            return Err(wrong("there is no credential to work with")
                .with_hint("set `token`, or `user` and `password`"));
        }
        let mut base = Url::parse(address).map_err(|_| wrong("`url` is no URL"))?;
        let usable = matches!(base.scheme(), "http" | "https")
            && base.host_str().is_some_and(|host| !host.is_empty())
            && base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none();
        if !usable {
            return Err(wrong("`url` cannot be used")
                .with_hint("write https://host:port, without user, password, query or fragment"));
        }
        let shown = base.as_str().trim_end_matches('/').to_owned();
        let own = base.path().trim_end_matches('/');
        let path = if below.is_empty() { format!("{own}/") } else { format!("{own}/{below}/") };
        base.set_path(&path);
        let builder = reqwest::Client::builder()
            // Some servers answer nobody who does not say what it is.
            .user_agent("claviger")
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .retry(reqwest::retry::never())
            // A redirect would carry the token to a host that nobody configured.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let builder = match ca {
            Some(pem) => {
                let authorities = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
                if authorities.is_empty() {
                    return Err(wrong("`ca` holds no certificate in PEM form"));
                }
                builder.tls_certs_only(authorities)
            }
            // Without TLS there is no reason to fail because the machine has no authorities.
            None if base.scheme() == "http" => builder.tls_certs_only(Vec::new()),
            None => builder,
        };
        let http = builder.build().map_err(|_| {
            wrong("no TLS client could be made")
                .with_hint("set `ca`, or install the machine's certificate authorities")
        })?;
        Ok(Self { http, base, shown, token, login, dialect: Dialect::default() })
    }

    /// The same in another way of speaking.
    pub(crate) fn speaking(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// The address without user and password, as it may be printed.
    pub(crate) fn address(&self) -> &str {
        &self.shown
    }

    /// The token that we work with.
    pub(crate) fn token(&self) -> Option<&SecretValue> {
        self.token.as_ref()
    }

    /// The user that we log in as, where there is one.
    pub(crate) fn user(&self) -> Option<&str> {
        self.login.as_ref().map(|login| login.user.as_str())
    }

    /// Names a call for error messages.
    pub(crate) fn call<'a>(&'a self, operation: &'static str, what: &'a str, writes: bool) -> Call<'a> {
        Call { operation, what, address: &self.shown, writes }
    }

    /// Sends one request; any status is an answer.
    pub(crate) async fn send(&self, call: Call<'_>, request: Request<'_>) -> Result<Answer> {
        self.send_with(call, request, Extra::default()).await
    }

    /// The same with what only some products want.
    pub(crate) async fn send_with(
        &self,
        call: Call<'_>,
        request: Request<'_>,
        extra: Extra<'_>,
    ) -> Result<Answer> {
        let mut url = self.base.clone();
        {
            let mut segments = url
                .path_segments_mut()
                .map_err(|()| Error::new(ErrorKind::Config, call.operation, "`url` cannot be used"))?;
            segments.pop_if_empty();
            for segment in request.path {
                if matches!(*segment, "" | "." | "..") {
                    let message = format!("{}: no URL can name that", call.what);
                    return Err(Error::new(ErrorKind::Invalid, call.operation, message));
                }
                segments.push(segment);
            }
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query);
        }
        let mut sent = self.http.request(request.method.clone(), url).header("accept", self.dialect.accept);
        for (name, value) in self.dialect.headers {
            sent = sent.header(*name, *value);
        }
        if let Some(tag) = extra.unless {
            sent = sent.header("if-none-match", tag);
        }
        if !matches!(request.who, As::Nobody) {
            sent = sent.header("authorization", self.authorization(call, request.who)?);
        }
        if let Some(body) = request.body {
            let kind = extra.content_type.unwrap_or("application/json");
            sent = sent.header("content-type", kind).body(body.to_vec());
        }
        for (name, value) in extra.headers {
            let unfit = || Error::new(ErrorKind::Invalid, call.operation, "a header cannot be sent");
            let mut value = HeaderValue::from_str(value).map_err(|_| unfit())?;
            value.set_sensitive(true);
            sent = sent.header(*name, value);
        }
        let mut response = sent.send().await.map_err(|error| call.unanswered(&error))?;
        let number =
            |name: &str| -> Option<u64> { response.headers().get(name)?.to_str().ok()?.trim().parse().ok() };
        let total = number("x-total-count").and_then(|total| usize::try_from(total).ok());
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
        while let Some(chunk) = response.chunk().await.map_err(|error| call.unanswered(&error))? {
            body.extend_from_slice(&chunk);
        }
        let retry_after = limit::wait(status, &headers, &body);
        Ok(Answer { status, body, total, retry_after, headers })
    }

    fn authorization(&self, call: Call<'_>, who: As<'_>) -> Result<HeaderValue> {
        let bearer = |token: &SecretValue| {
            token.expose_text().map(|text| Zeroizing::new(format!("{} {text}", self.dialect.scheme)))
        };
        let basic = |login: &Login| {
            let password = login.password.expose_text()?;
            let pair = Zeroizing::new(format!("{}:{password}", login.user));
            Some(Zeroizing::new(format!("Basic {}", *Zeroizing::new(STANDARD.encode(pair.as_bytes())))))
        };
        let text = match who {
            As::Holder(token) => bearer(token),
            As::User => match &self.login {
                Some(login) => basic(login),
                None => return Err(self.no_login(call)),
            },
            As::Us => match (&self.token, &self.login) {
                (Some(token), _) => bearer(token),
                (None, Some(login)) => basic(login),
                (None, None) => None,
            },
            As::Nobody => None,
        };
        let unfit =
            || Error::new(ErrorKind::Invalid, call.operation, "the value cannot be sent as a credential");
        let mut value = HeaderValue::from_str(&text.ok_or_else(unfit)?).map_err(|_| unfit())?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn no_login(&self, call: Call<'_>) -> Error {
        let message = format!("{} at {} takes user and password only, no token", call.what, self.shown);
        Error::new(ErrorKind::Denied, call.operation, message)
            .with_hint("set `user` and `password` for this backend")
    }

    /// `GET` of one thing.
    pub(crate) async fn one<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: Request<'_>,
    ) -> Result<T> {
        let what = shown(request);
        let call = self.call(operation, &what, false);
        self.send(call, request).await?.good(call)?.json(call)
    }

    /// `GET` of one thing; `None` when it is not there.
    pub(crate) async fn maybe<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: Request<'_>,
    ) -> Result<Option<T>> {
        let what = shown(request);
        let call = self.call(operation, &what, false);
        let answer = self.send(call, request).await?;
        if answer.status == 404 { Ok(None) } else { answer.good(call)?.json(call).map(Some) }
    }

    /// The page of this number, from 1, and whether another one may follow. `taken` is how many items came before.
    pub(crate) async fn page<T, P>(
        &self,
        operation: &'static str,
        request: Request<'_>,
        number: usize,
        taken: usize,
    ) -> Result<(Vec<T>, bool)>
    where
        P: DeserializeOwned + Into<Vec<T>>,
    {
        let what = shown(request);
        let call = self.call(operation, &what, false);
        if number > MOST_PAGES {
            return Err(call.unreadable());
        }
        let (page, limit) = (number.to_string(), PAGE.to_string());
        let mut query = request.query.to_vec();
        query.extend([("page", page.as_str()), ("limit", limit.as_str())]);
        let answer = self.send(call, Request { query: &query, ..request }).await?.good(call)?;
        let items: Vec<T> = answer.json::<P>(call)?.into();
        // A server may give fewer than asked for in a page that is not the last.
        let more = match answer.total {
            Some(total) => taken + items.len() < total,
            None => true,
        };
        let more = more && !items.is_empty();
        Ok((items, more))
    }

    /// A whole list.
    pub(crate) async fn all<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: Request<'_>,
    ) -> Result<Vec<T>> {
        let mut all = Vec::new();
        for number in 1.. {
            let (items, more) = self.page::<T, Vec<T>>(operation, request, number, all.len()).await?;
            all.extend(items);
            if !more {
                break;
            }
        }
        Ok(all)
    }
}

/// `GET repos/acme/shop/keys`, for messages.
pub(crate) fn shown(request: Request<'_>) -> String {
    format!("{} {}", request.method, request.path.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Option<SecretValue> {
        Some(SecretValue::from_text("canary-token".into()))
    }

    #[test]
    fn addresses_with_a_path_keep_it_and_odd_ones_are_refused() {
        let api = Api::new("https://forge.example/git/", "api/v1", None, token(), None).expect("usable");
        assert_eq!(api.base.as_str(), "https://forge.example/git/api/v1/");
        assert_eq!(api.address(), "https://forge.example/git");
        for address in [
            "forge.example",
            "ftp://forge.example",
            "https://u:p@forge.example",
            "https://f.example?x=1",
            "https://",
        ] {
            let error = Api::new(address, "api/v1", None, token(), None).err().expect(address);
            assert_eq!(error.kind(), ErrorKind::Config, "{address}");
        }
        assert!(Api::new("https://forge.example", "api/v1", None, None, None).is_err());
    }

    #[tokio::test]
    async fn a_redirect_is_an_error_and_nobody_gets_the_token() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (here, there) = (listener.local_addr().expect("one"), other.local_addr().expect("one"));
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut asked = [0; 2048];
            let length = stream.read(&mut asked).await.expect("a request");
            let answer = format!(
                "HTTP/1.1 302 Found\r\nlocation: http://{there}/\r\nlink: <http://{there}/?page=2>; rel=\"next\"\r\ncontent-length: 0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.expect("sent");
            String::from_utf8_lossy(&asked[..length]).contains("token canary-token")
        });
        let api = Api::new(&format!("http://{here}"), "api/v1", None, token(), None).expect("usable");
        let error =
            api.one::<serde_json::Value>("inventory", Request::get(&["user"])).await.expect_err("a redirect");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(server.await.expect("it ends"), "the token went where it belongs");
        let followed = tokio::time::timeout(Duration::from_millis(200), other.accept()).await;
        assert!(followed.is_err(), "the redirect was followed");
        assert!(!format!("{error:?}").contains("canary"));
    }
}
