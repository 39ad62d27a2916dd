//! Refs: the names that people type and that `-o table` shows. `<backend name>/<path>`, a copy also `#<field>`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A ref such as `prod/payments/Secret/db#password`. The first segment is the backend's name in the configuration.
///
/// A ref is plain text from other systems: it may hold any character but NUL. Renderers escape it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ref(String);

impl Ref {
    /// Builds a ref from the backend's name and path segments.
    pub fn new<I>(backend: &str, segments: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut text = backend.to_owned();
        for segment in segments {
            text.push('/');
            text.push_str(segment.as_ref());
        }
        Self(text)
    }

    /// Takes a ref that was printed before.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The same object's field. An empty field gives the object itself.
    pub fn field(&self, field: &str) -> Self {
        if field.is_empty() { self.clone() } else { Self(format!("{}#{field}", self.0)) }
    }

    /// Goes one level deeper within the field: `…#.dockerconfigjson` + `auths/r/auth`; starts the field where there is none.
    pub fn within(&self, pointer: &str) -> Self {
        match (pointer.is_empty(), self.0.contains('#')) {
            (true, _) => self.clone(),
            (false, true) => Self(format!("{}/{pointer}", self.0)),
            (false, false) => Self(format!("{}#{pointer}", self.0)),
        }
    }

    /// The backend's name.
    pub fn backend(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// Everything between backend and field.
    pub fn path(&self) -> &str {
        let object = self.object_text();
        object.split_once('/').map_or("", |(_, path)| path)
    }

    /// The field, if this names one.
    pub fn field_name(&self) -> Option<&str> {
        self.0.split_once('#').map(|(_, field)| field)
    }

    /// The ref without its field.
    pub fn object(&self) -> Self {
        Self(self.object_text().to_owned())
    }

    fn object_text(&self) -> &str {
        self.0.split_once('#').map_or(self.0.as_str(), |(object, _)| object)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
