//! Lists, page by page. GitLab counts pages for most of them (`page`, `per_page`, and `x-next-page` in the answer), and goes by the last id where a list
//! can be very long (keyset). It sends links too; none is followed.

use claviger_backend::Result;
use serde::de::DeserializeOwned;

use super::{backend::GitlabBackend, wire::Project};
use crate::client::{Request, shown};

/// Items asked for in one page: the most that GitLab gives.
const PAGE: usize = 100;
/// A list that goes on beyond this many pages is a server that repeats itself.
const MOST_PAGES: usize = 20_000;

impl GitlabBackend {
    /// A whole list by page numbers.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &[&str],
        filter: &[(&str, &str)],
    ) -> Result<Vec<T>> {
        let request = Request::get(path);
        let what = shown(request);
        let call = self.api.call(operation, &what, false);
        let limit = PAGE.to_string();
        let (mut all, mut page) = (Vec::new(), 1_usize);
        loop {
            let number = page.to_string();
            let mut query = filter.to_vec();
            query.extend([("per_page", limit.as_str()), ("page", number.as_str())]);
            let answer = self.api.send(call, Request { query: &query, ..request }).await?.good(call)?;
            let items: Vec<T> = answer.json(call)?;
            let next = match answer.header("x-next-page").map(str::trim) {
                Some("") => None,
                Some(next) => Some(next.parse().map_err(|_| call.unreadable())?),
                // A proxy may have dropped it: a full page may not be the last.
                None => (items.len() >= PAGE).then_some(page + 1),
            };
            all.extend(items);
            match next {
                None => return Ok(all),
                Some(next) if next > page && next <= MOST_PAGES => page = next,
                Some(_) => return Err(call.unreadable()),
            }
        }
    }

    /// All projects that we may see, by the last id seen.
    pub(super) async fn all_projects(
        &self,
        operation: &'static str,
        filter: &[(&str, &str)],
    ) -> Result<Vec<Project>> {
        let request = Request::get(&["projects"]);
        let what = shown(request);
        let call = self.api.call(operation, &what, false);
        let limit = PAGE.to_string();
        let mut all: Vec<Project> = Vec::new();
        for _ in 0..MOST_PAGES {
            let after = all.last().map(|last| last.id.to_string());
            let mut query = filter.to_vec();
            query.extend([("pagination", "keyset"), ("order_by", "id"), ("sort", "asc")]);
            query.push(("per_page", limit.as_str()));
            query.extend(after.as_deref().map(|after| ("id_after", after)));
            let answer = self.api.send(call, Request { query: &query, ..request }).await?.good(call)?;
            let items: Vec<Project> = answer.json(call)?;
            let last = all.last().map_or(0, |last| last.id);
            if items.first().is_some_and(|first| first.id <= last) {
                return Err(call.unreadable());
            }
            let more = answer.header("link").is_some_and(|link| link.contains("rel=\"next\""));
            let goes_on = !items.is_empty() && (more || items.len() >= PAGE);
            all.extend(items);
            if !goes_on {
                return Ok(all);
            }
        }
        Err(call.unreadable())
    }
}
