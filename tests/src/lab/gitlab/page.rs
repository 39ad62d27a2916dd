//! Pages: by number, with `x-next-page` and friends, and by the last id (keyset), with a `Link` only.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{Response, StatusCode, header},
};
use serde_json::{Value, json};

use super::state::State;

/// The query of a request, decoded.
pub(super) type Query = BTreeMap<String, String>;

pub(super) fn query(text: &str) -> Query {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(&value.replace('+', " ")))).collect()
}

/// Percent-decoded.
pub(super) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut found, mut index) = (Vec::with_capacity(bytes.len()), 0);
    while index < bytes.len() {
        let hex = bytes.get(index + 1..index + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| bytes[index] == b'%') {
            Some(byte) => {
                found.push(byte);
                index += 3;
            }
            None => {
                found.push(bytes[index]);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&found).into_owned()
}

pub(super) fn whole(status: u16, value: &Value) -> Response<Body> {
    headed(status, value, &[])
}

pub(super) fn headed(status: u16, value: &Value, headers: &[(&str, String)]) -> Response<Body> {
    let mut builder = Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header(header::CONTENT_TYPE, "application/json")
        .header("ratelimit-limit", "2000")
        .header("ratelimit-remaining", "1999");
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    let body = if status == 204 { Body::empty() } else { Body::from(value.to_string()) };
    builder.body(body).unwrap_or_default()
}

/// One page of a list.
pub(super) fn listed(state: &State, query: &Query, items: Vec<Value>) -> Response<Body> {
    let number =
        |name: &str, other: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(other);
    let size = number("per_page", 20).clamp(1, 100).min(state.page);
    if query.get("pagination").is_some_and(|kind| kind == "keyset") {
        return keyset(query, items, size);
    }
    let page = number("page", 1).max(1);
    let total = items.len();
    let pages = total.div_ceil(size).max(1);
    let shown: Vec<Value> = items.into_iter().skip((page - 1) * size).take(size).collect();
    let next = if page < pages { (page + 1).to_string() } else { String::new() };
    let headers = [
        ("x-page", page.to_string()),
        ("x-per-page", size.to_string()),
        ("x-next-page", next),
        ("x-total", total.to_string()),
        ("x-total-pages", pages.to_string()),
    ];
    headed(200, &json!(shown), &headers)
}

fn keyset(query: &Query, items: Vec<Value>, size: usize) -> Response<Body> {
    let after: u64 = query.get("id_after").and_then(|text| text.parse().ok()).unwrap_or(0);
    let id = |item: &Value| item["id"].as_u64().unwrap_or(0);
    let mut rest: Vec<Value> = items.into_iter().filter(|item| id(item) > after).collect();
    rest.sort_by_key(id);
    let more = rest.len() > size;
    rest.truncate(size);
    // The link points elsewhere: whoever follows it sends the token there.
    let last = rest.last().map_or(0, id);
    let link = format!("<http://127.0.0.1:9/api/v4/projects?id_after={last}>; rel=\"next\"");
    let headers = if more { vec![("link", link)] } else { Vec::new() };
    headed(200, &json!(rest), &headers)
}
