//! Pages of lists: a cursor names the last item that was given, and where it stood, so that what comes and goes meanwhile loses and repeats little.

use axum::{Json, response::Response};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::{Problem, problem::Answer};
use crate::document;

/// Items of a page, where nothing is said.
pub(super) const USUAL: u32 = 500;
/// At most.
pub(super) const MOST: u32 = 5_000;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Listed {
    /// `claviger.<what>/v1`
    schema: String,
    /// The items, as `-o json` of the command line has them.
    items: Vec<Value>,
    /// Give it as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Listed {
    /// Tells each item in another way.
    pub(super) fn tell(&mut self, told: impl Fn(Value) -> Value) {
        self.items = std::mem::take(&mut self.items).into_iter().map(told).collect();
    }
}

/// Cuts a page out. `identity` are the fields that tell one item from all others.
pub(super) fn cut(
    name: &str,
    mut items: Vec<Value>,
    identity: &[&str],
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Answer<Listed> {
    let limit = usize::try_from(limit.unwrap_or(USUAL)).unwrap_or(usize::MAX);
    let begin = match cursor {
        None => 0,
        Some(cursor) => {
            let (at, mark) = read(cursor).ok_or_else(|| Problem::input("`cursor` is none that was given"))?;
            // It usually stands where it stood.
            let is_it = |index: usize| items.get(index).is_some_and(|item| mark_of(item, identity) == mark);
            match is_it(at) {
                true => at + 1,
                // One that is gone leaves its place to the next.
                false => (0..items.len()).find(|index| is_it(*index)).map_or(at, |index| index + 1),
            }
        }
    };
    let begin = begin.min(items.len());
    let end = begin.saturating_add(limit).min(items.len());
    let next =
        (end < items.len() && end > begin).then(|| write(end - 1, &mark_of(&items[end - 1], identity)));
    items.truncate(end);
    items.drain(..begin);
    Ok(Listed { schema: document::schema(name), items, next })
}

fn mark_of(item: &Value, identity: &[&str]) -> [u8; 12] {
    let mut sha = Sha256::new();
    for field in identity {
        sha.update(item[*field].to_string());
        sha.update(b"\0");
    }
    let mut mark = [0; 12];
    mark.copy_from_slice(&sha.finalize()[..12]);
    mark
}

fn write(at: usize, mark: &[u8; 12]) -> String {
    let at = u64::try_from(at).unwrap_or(u64::MAX);
    URL_SAFE_NO_PAD.encode([&at.to_be_bytes()[..], mark].concat())
}

fn read(cursor: &str) -> Option<(usize, [u8; 12])> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (at, mark) = bytes.split_at_checked(8)?;
    let at = u64::from_be_bytes(at.try_into().ok()?);
    Some((usize::try_from(at).ok()?, mark.try_into().ok()?))
}

impl axum::response::IntoResponse for Listed {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all(count: usize) -> Vec<Value> {
        (0..count).map(|id| json!({ "id": id })).collect()
    }

    fn page(items: Vec<Value>, limit: u32, cursor: Option<&str>) -> Listed {
        cut("things", items, &["id"], Some(limit), cursor).expect("a page")
    }

    #[test]
    fn pages_give_everything_once() {
        for limit in [1, 3, 7, 10, 50] {
            let (mut seen, mut cursor, mut pages) = (Vec::new(), None::<String>, 0);
            loop {
                let listed = page(all(10), limit, cursor.as_deref());
                seen.extend(listed.items);
                pages += 1;
                assert!(pages < 20);
                match listed.next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
            assert_eq!(seen, all(10), "{limit}");
        }
        assert_eq!(page(Vec::new(), 5, None).next, None);
    }

    #[test]
    fn what_comes_and_goes_between_two_pages_loses_nothing_that_stays() {
        let first = page(all(10), 4, None);
        let next = first.next.expect("more");
        let mut longer = vec![json!({ "id": "new" })];
        longer.extend(all(10));
        assert_eq!(page(longer, 50, Some(&next)).items, all(10)[4..], "one came before");
        let mut shorter = all(10);
        shorter.remove(3);
        let rest = page(shorter, 50, Some(&next)).items;
        assert!(rest.len() >= 5 && rest.ends_with(&all(10)[5..]), "the last one of the page went: {rest:?}");
        for bad in ["", "x", "AAAA", "!!"] {
            assert!(cut("things", all(3), &["id"], None, Some(bad)).is_err(), "{bad}");
        }
    }
}
