//! Paths and addresses. Names come from people, so a segment may hold any character.

use claviger_backend::{Error, ErrorKind, Result};
use reqwest::Url;

/// A path below `/v1/`, percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiPath(String);

impl ApiPath {
    /// Encodes each segment of `text` (RFC 3986, all but the unreserved characters). A slash at the end stays: lists have one.
    ///
    /// # Errors
    /// `Invalid` for a segment that no URL can carry: an empty one, `.` or `..`, which clients and servers resolve away.
    pub(crate) fn new(operation: &'static str, text: &str) -> Result<Self> {
        let (body, slash) = match text.strip_suffix('/') {
            Some(body) => (body, "/"),
            None => (text, ""),
        };
        let mut encoded = String::with_capacity(text.len() + 8);
        for (index, segment) in body.split('/').enumerate() {
            if matches!(segment, "" | "." | "..") {
                let message = format!("no URL can name `{text}`: it has an empty or relative segment");
                return Err(Error::new(ErrorKind::Invalid, operation, message));
            }
            if index > 0 {
                encoded.push('/');
            }
            for byte in segment.bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                        encoded.push(char::from(byte))
                    }
                    _ => encoded.push_str(&format!("%{byte:02X}")),
                }
            }
        }
        encoded.push_str(slash);
        Ok(Self(encoded))
    }

    /// The full URL. `base` ends with a slash.
    pub(crate) fn url(&self, base: &Url, query: &str) -> Url {
        let mut url = base.clone();
        url.set_path(&format!("/v1/{}", self.0));
        url.set_query(if query.is_empty() { None } else { Some(query) });
        url
    }
}

/// Encodes a value of a query.
pub(crate) fn query_value(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Checks the configured address. The text itself is not repeated: it may hold a password.
///
/// # Errors
/// `Config`, with what is wrong.
pub(crate) fn parse_address(text: &str) -> Result<Url> {
    let wrong = |message: &str| {
        Error::new(ErrorKind::Config, "connect", message).with_hint("write it as https://host:port")
    };
    let url =
        Url::parse(text.trim()).map_err(|error| wrong(&format!("the address is not a URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("the address's scheme is neither https nor http"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("the address has no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("the address carries a user or password"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("the address has a path, a query or a fragment"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_survive_the_url() {
        let base = Url::parse("http://127.0.0.1:8200").expect("a URL");
        let path = ApiPath::new("read", "secret/data/we ird/%#?/ü").expect("a path");
        assert_eq!(
            path.url(&base, "").as_str(),
            "http://127.0.0.1:8200/v1/secret/data/we%20ird/%25%23%3F/%C3%BC"
        );
        let list = ApiPath::new("list", "secret/metadata/").expect("a path");
        assert_eq!(
            list.url(&base, "list=true").as_str(),
            "http://127.0.0.1:8200/v1/secret/metadata/?list=true"
        );
    }

    #[test]
    fn relative_and_empty_segments_are_refused() {
        for text in ["secret/data/../x", "secret/./x", "secret//x", ""] {
            assert!(ApiPath::new("read", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_bad_address_is_named_without_being_repeated() {
        for text in [
            "",
            "vault.internal",
            "ftp://h",
            "https://u:hunter2@h",
            "https://h/ui",
            "https://h?x=hunter2",
            "https://h:99999",
        ] {
            let error = parse_address(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Config, "{text}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        assert!(parse_address("https://vault.internal:8200").is_ok());
    }
}
