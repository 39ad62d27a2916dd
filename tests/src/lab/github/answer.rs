//! Answers before they are sent.

use serde_json::{Value, json};

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

/// A list and what is said around it.
pub(super) struct List {
    /// Key of the items, beside `total_count`; `None`: the list itself is the body.
    pub(super) key: Option<&'static str>,
    pub(super) items: Vec<Value>,
}

impl Reply {
    pub(super) fn ok(body: Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: Some(body) }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }

    pub(super) fn made(body: Value) -> Self {
        Self { status: 201, ..Self::ok(body) }
    }

    pub(super) fn error(status: u16, message: &str) -> Self {
        let body = json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string()});
        Self { status, headers: Vec::new(), body: Some(body) }
    }

    /// 422 has no `status` in its body.
    pub(super) fn invalid(message: &str) -> Self {
        let body = json!({"message": message, "documentation_url": "https://docs.github.com/rest"});
        Self { status: 422, headers: Vec::new(), body: Some(body) }
    }

    pub(super) fn missing() -> Self {
        Self::error(404, "Not Found")
    }
}

impl List {
    pub(super) fn of(items: Vec<Value>) -> Self {
        Self { key: None, items }
    }

    pub(super) fn keyed(key: &'static str, items: Vec<Value>) -> Self {
        Self { key: Some(key), items }
    }

    /// The page that was asked for. `at` is this list's address as links have it.
    pub(super) fn page(self, query: &[(String, String)], most: usize, at: &str) -> Reply {
        let number =
            |name: &str| query.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.parse().ok());
        let size: usize = number("per_page").unwrap_or(30).clamp(1, most);
        let page: usize = number("page").unwrap_or(1).max(1);
        let total = self.items.len();
        let items: Vec<Value> = self.items.into_iter().skip((page - 1) * size).take(size).collect();
        let mut reply = Reply::ok(match self.key {
            Some(key) => json!({"total_count": total, key: items}),
            None => json!(items),
        });
        if page * size < total {
            let others: String = query
                .iter()
                .filter(|(key, _)| key != "page" && key != "per_page")
                .map(|(key, value)| format!("{key}={value}&"))
                .collect();
            let link =
                |page: usize, rel: &str| format!("<{at}?{others}per_page={size}&page={page}>; rel=\"{rel}\"");
            let last = total.div_ceil(size);
            reply.headers.push(("link", format!("{}, {}", link(page + 1, "next"), link(last, "last"))));
        }
        reply
    }
}
