//! Answers that are kept for a while, so that asking again whether they still hold costs nothing: GitHub does not count an answer of 304.
//!
//! Source: GitHub, "Best practices for using the REST API", conditional requests. Answers with values in them (variables, alerts, keys to seal for) are not kept.

use std::{collections::BTreeMap, sync::Mutex};

use reqwest::header::HeaderMap;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::client::{Answer, Request};

/// Most that is kept, in bytes of bodies; then everything is forgotten, as there is more than fits.
const MOST: usize = 8 << 20;
/// Items of a full page.
const FULL: usize = 100;
/// Segments of paths below which values are shown, or what must be fresh.
const VALUES: [&str; 5] = ["variables", "alerts", "public-key", "user", "app"];

/// What was answered, by request.
#[derive(Default)]
pub(super) struct Kept(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    answers: BTreeMap<String, (String, HeaderMap, Zeroizing<Vec<u8>>)>,
    size: usize,
}

impl Kept {
    /// The name under which an answer is kept; `None` where it is not.
    pub(super) fn name(request: Request<'_>) -> Option<String> {
        let plain = request.method == reqwest::Method::GET
            && request.body.is_none()
            && !request.path.iter().any(|segment| VALUES.contains(segment))
            // One secret is looked at around a write, and what is old by a moment is wrong then.
            && !matches!(request.path, [.., "secrets", _]);
        let query =
            || request.query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        plain.then(|| format!("{}?{}", request.path.join("/"), query().join("&")))
    }

    /// The tag of what is kept.
    pub(super) fn tag(&self, name: &str) -> Option<String> {
        self.shelf().answers.get(name).map(|(tag, ..)| tag.clone())
    }

    /// The answer itself, in place of one that says that it still holds. `None`: it was forgotten meanwhile.
    pub(super) fn restore(&self, name: &str, answer: Answer) -> Option<Answer> {
        self.shelf().answers.get(name).map(|(_, headers, body)| answer.holding(headers, body))
    }

    pub(super) fn keep(&self, name: String, answer: &Answer) {
        let Some(tag) = answer.header("etag").filter(|_| answer.status == 200) else { return };
        // What comes after a full page may change while the page does not.
        let is_full =
            serde_json::from_slice::<Vec<IgnoredAny>>(&answer.body).is_ok_and(|items| items.len() >= FULL);
        if is_full || answer.header("link").is_some() {
            return;
        }
        let mut shelf = self.shelf();
        if shelf.size + answer.body.len() > MOST {
            *shelf = Shelf::default();
        }
        shelf.size += answer.body.len();
        let entry = (tag.to_owned(), answer.headers().clone(), answer.body.clone());
        if let Some((.., before)) = shelf.answers.insert(name, entry) {
            shelf.size -= before.len();
        }
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_values_is_not_kept() {
        let name = |path: &[&str]| Kept::name(Request::get(path));
        assert_eq!(name(&["repos", "acme", "shop", "keys"]).as_deref(), Some("repos/acme/shop/keys?"));
        for path in [
            &["repos", "acme", "shop", "actions", "variables"][..],
            &["orgs", "acme", "secret-scanning", "alerts"],
            &["repos", "acme", "shop", "actions", "secrets", "public-key"],
            &["repos", "acme", "shop", "actions", "secrets", "X"],
            &["user"],
        ] {
            assert_eq!(name(path), None);
        }
    }
}
