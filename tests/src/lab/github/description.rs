//! GitHub's own description of its API, cut to the operations that are used: every request and every answer of the fake is held against it.
//!
//! What it does not list is a failure: an operation, a parameter, a field of a body, a status. One thing it leaves out and every client meets: the refusals that any
//! operation may give (401, 403, 404, 422, 429), and 304. Where a status from 400 on is not listed, its body has to be one of the forms of an error that it describes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use super::super::assets;

/// Forms of an error.
const ERRORS: [&str; 3] = ["basic-error", "validation-error", "validation-error-simple"];

/// The description.
pub(super) struct Description {
    document: Value,
    templates: BTreeMap<String, Vec<String>>,
    built: Mutex<HashMap<String, Arc<Validator>>>,
}

/// What was asked, for the checks.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    /// Without the query, decoded.
    pub(super) segments: &'a [String],
    pub(super) query: &'a [(String, String)],
    pub(super) body: Option<&'a Value>,
}

impl Description {
    /// # Errors
    /// [`assets::NotInstalled`]; or a file that is no description.
    pub(super) fn load() -> Result<Self> {
        let path = assets::path("github-description")?;
        let document: Value = serde_json::from_slice(&std::fs::read(&path)?).context("the description")?;
        let paths = document["paths"].as_object().context("paths")?;
        let split = |path: &String| path.trim_start_matches('/').split('/').map(str::to_owned).collect();
        let templates = paths.keys().map(|path| (path.clone(), split(path))).collect();
        Ok(Self { document, templates, built: Mutex::default() })
    }

    /// The path as the description has it: the one with the most literal segments.
    fn template(&self, method: &str, segments: &[String]) -> Option<&str> {
        let fits = |template: &[String]| {
            // The last part of `contents/{path}` may hold slashes.
            let open = template.last().is_some_and(|last| last == "{path}");
            let long_enough =
                if open { segments.len() >= template.len() } else { segments.len() == template.len() };
            long_enough
                && template
                    .iter()
                    .zip(segments)
                    .all(|(part, segment)| part.starts_with('{') || part == segment)
        };
        let described = |path: &str| self.document["paths"][path].get(method).is_some();
        let found = self.templates.iter().filter(|(path, template)| described(path) && fits(template));
        let literal = |template: &[String]| template.iter().filter(|part| !part.starts_with('{')).count();
        found.max_by_key(|(_, template)| literal(template)).map(|(path, _)| path.as_str())
    }

    /// What is wrong with a request; nothing when it is as described.
    pub(super) fn request(&self, asked: &Asked<'_>) -> Vec<String> {
        let name = format!("{} /{}", asked.method, asked.segments.join("/"));
        let Some(path) = self.template(asked.method, asked.segments) else {
            return vec![format!("{name}: no such operation is described")];
        };
        let operation = &self.document["paths"][path][asked.method];
        let mut wrong = Vec::new();
        for (key, value) in asked.query {
            let schema = &operation["query"][key];
            // A parameter comes as a text whatever it is.
            let typed = value.parse::<i64>().map_or_else(|_| json!(value), |number| json!(number));
            if schema.is_null() {
                wrong.push(format!("{name}: the parameter `{key}` is not described"));
            } else if !self.check(&format!("{path} {} ?{key}", asked.method), schema, &typed).is_empty()
                && !self.check(&format!("{path} {} ?{key}", asked.method), schema, &json!(value)).is_empty()
            {
                wrong.push(format!("{name}: the parameter `{key}` may not be `{value}`"));
            }
        }
        match (&operation["body"], asked.body) {
            (Value::Null, Some(_)) => wrong.push(format!("{name}: it takes no body")),
            (Value::Null, None) => {}
            (_, None) if operation["body_required"] == json!(true) => {
                wrong.push(format!("{name}: it has no body"))
            }
            (_, None) => {}
            (schema, Some(body)) => {
                let found = self.check(&format!("{path} {} body", asked.method), schema, body);
                wrong.extend(found.into_iter().map(|what| format!("{name}: {what}")));
            }
        }
        wrong
    }

    /// The same of an answer.
    pub(super) fn answer(&self, asked: &Asked<'_>, status: u16, body: Option<&Value>) -> Vec<String> {
        let name = format!("{} /{} -> {status}", asked.method, asked.segments.join("/"));
        let Some(path) = self.template(asked.method, asked.segments) else { return Vec::new() };
        let answers = &self.document["paths"][path][asked.method]["answers"];
        let found = match (answers.get(status.to_string()), body) {
            (None, Some(body)) if status >= 400 => self.error(body),
            // Which answers can be asked for again by their tag is said of some only.
            (None, None) if status == 304 && asked.method == "GET" => Vec::new(),
            (None, _) => vec!["the status is not described".to_owned()],
            (Some(Value::Null), None) => Vec::new(),
            (Some(Value::Null), Some(_)) => vec!["it has no body".to_owned()],
            (Some(_), None) => vec!["the body is missing".to_owned()],
            (Some(schema), Some(body)) => {
                self.check(&format!("{path} {} {status}", asked.method), schema, body)
            }
        };
        found.into_iter().map(|what| format!("{name}: {what}")).collect()
    }

    fn error(&self, body: &Value) -> Vec<String> {
        let is = |form: &&str| {
            self.check(form, &json!({"$ref": format!("#/components/schemas/{form}")}), body).is_empty()
        };
        if ERRORS.iter().any(is) { Vec::new() } else { vec![format!("no form of an error: {body}")] }
    }

    /// Holds a value against a schema. The messages name places and rules, and values of the lab's own only.
    fn check(&self, key: &str, schema: &Value, value: &Value) -> Vec<String> {
        let validator = match self.validator(key, schema) {
            Ok(validator) => validator,
            Err(error) => return vec![format!("{error:#}")],
        };
        validator
            .iter_errors(value)
            .map(|error| format!("{} at `{}`", error, error.instance_path()))
            .collect()
    }

    fn validator(&self, key: &str, schema: &Value) -> Result<Arc<Validator>> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(validator) = built.get(key) {
            return Ok(validator.clone());
        }
        let whole = json!({"allOf": [schema], "components": self.document["components"]});
        let validator = jsonschema::options().with_draft(Draft::Draft4).build(&whole);
        let validator = Arc::new(validator.map_err(|error| anyhow::anyhow!("{key}: {error}"))?);
        built.insert(key.to_owned(), validator.clone());
        Ok(validator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::require_lab;

    fn segments(path: &str) -> Vec<String> {
        path.split('/').map(str::to_owned).collect()
    }

    fn asked<'a>(
        method: &'a str,
        segments: &'a [String],
        query: &'a [(String, String)],
        body: Option<&'a Value>,
    ) -> Asked<'a> {
        Asked { method, segments, query, body }
    }

    #[test]
    fn what_is_not_described_is_told() {
        let description = require_lab!(Description::load());
        let body = json!({"encrypted_value": "aGFsbG8=", "key_id": "1"});
        let put = segments("repos/acme/shop/actions/secrets/X");
        assert_eq!(description.request(&asked("PUT", &put, &[], Some(&body))), Vec::<String>::new());
        let extra = json!({"encrypted_value": "aGFsbG8=", "key_id": "1", "description": "mine"});
        let misses = json!({"encrypted_value": "aGFsbG8="});
        for (wrong, what) in [(extra, "description"), (misses, "key_id")] {
            let found = description.request(&asked("PUT", &put, &[], Some(&wrong))).join("\n");
            assert!(found.contains(what), "{found}");
        }
        let keys = segments("repos/acme/shop/keys");
        let paged = [("per_page".to_owned(), "100".to_owned())];
        assert_eq!(description.request(&asked("GET", &keys, &paged, None)), Vec::<String>::new());
        let limit = [("limit".to_owned(), "100".to_owned())];
        assert_eq!(description.request(&asked("GET", &keys, &limit, None)).len(), 1);
        assert_eq!(
            description.request(&asked("GET", &segments("repos/acme/shop/secrets"), &[], None)).len(),
            1
        );
        let file = segments("repos/acme/shop/contents/.github/workflows/a.yml");
        assert_eq!(description.request(&asked("GET", &file, &[], None)), Vec::<String>::new());

        let secret = asked("GET", &put, &[], None);
        let good =
            json!({"name": "X", "created_at": "2026-11-28T00:00:00Z", "updated_at": "2026-11-28T00:00:00Z"});
        assert_eq!(description.answer(&secret, 200, Some(&good)), Vec::<String>::new());
        let mut with_more = good.clone();
        with_more["description"] = json!("mine");
        let mut with_less = good;
        with_less["updated_at"] = Value::Null;
        for (status, body) in [
            (200, Some(with_more)),
            (200, Some(with_less)),
            (200, None),
            (202, Some(json!({}))),
            (404, Some(json!({"error": "no"}))),
        ] {
            assert!(!description.answer(&secret, status, body.as_ref()).is_empty(), "{status} {body:?}");
        }
        let refusal = json!({"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"});
        assert_eq!(description.answer(&secret, 404, Some(&refusal)), Vec::<String>::new());
    }
}
