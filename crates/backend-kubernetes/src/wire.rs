//! The API's JSON, as little of it as we need, borrowed from the answer's buffer: a page of Secrets is decoded without a second copy
//! of what is in it. Field names follow the Kubernetes API reference.

mod pod;
mod rbac;

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

pub(crate) use self::{
    pod::{Container, CronJob, EnvFrom, EnvVar, Item, Pod, PodSpec, Projection, Volume, Workload},
    rbac::{AggregationRule, Binding, LabelSelector, PolicyRule, Role, Subject},
};
use crate::failure::Failure;

/// A text that lies in the answer's buffer, or beside it where the JSON had escapes.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl<'a> Text<'a> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For refs, labels and attributes, which may hold any character but NUL.
    pub(crate) fn plain(&self) -> String {
        if self.0.contains('\0') { self.0.replace('\0', "\u{fffd}") } else { self.0.clone().into_owned() }
    }

    /// The text as its own, where it is a value and must not change.
    pub(crate) fn into_value(self) -> String {
        self.0.into_owned()
    }
}

/// A JSON object of strings in its order; `null` is empty.
#[derive(Debug, Default, Clone)]
pub(crate) struct Pairs<'a>(pub(crate) Vec<(Text<'a>, Text<'a>)>);

impl Pairs<'_> {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name.as_str() == key).map(|(_, value)| value.as_str())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<'a>(std::marker::PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for Collect<'a> {
            type Value = Pairs<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs<'a>, M::Error> {
                let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(4));
                while let Some((key, value)) = map.next_entry::<Text<'a>, Option<Text<'a>>>()? {
                    pairs.push((key, value.unwrap_or_default()));
                }
                Ok(Pairs(pairs))
            }

            fn visit_unit<E>(self) -> Result<Pairs<'a>, E> {
                Ok(Pairs::default())
            }

            fn visit_none<E>(self) -> Result<Pairs<'a>, E> {
                Ok(Pairs::default())
            }
        }

        deserializer.deserialize_any(Collect(std::marker::PhantomData))
    }
}

/// Go writes an empty list as `null` where the field has no `omitempty`.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// `metav1.ObjectMeta`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) name: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) namespace: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) uid: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) resource_version: Text<'a>,
    pub(crate) generation: Option<i64>,
    #[serde(borrow)]
    pub(crate) creation_timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) deletion_timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) labels: Pairs<'a>,
    #[serde(borrow)]
    pub(crate) annotations: Pairs<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) owner_references: Vec<OwnerReference<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) managed_fields: Vec<ManagedFields<'a>>,
}

/// `metav1.OwnerReference`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OwnerReference<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) kind: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) name: Text<'a>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) controller: bool,
}

/// `metav1.ManagedFieldsEntry`: who wrote which data keys, and when.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ManagedFields<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) manager: Text<'a>,
    #[serde(borrow)]
    pub(crate) time: Option<Text<'a>>,
    #[serde(borrow, rename = "fieldsV1", deserialize_with = "nullable")]
    pub(crate) fields: OwnedFields<'a>,
}

/// The keys of `data` that a manager owns.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OwnedFields<'a> {
    #[serde(borrow, rename = "f:data", deserialize_with = "nullable")]
    pub(crate) data: Keys<'a>,
}

/// The keys of a JSON object whose values do not matter.
#[derive(Debug, Default)]
pub(crate) struct Keys<'a>(pub(crate) Vec<Text<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Keys<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<'a>(std::marker::PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for Collect<'a> {
            type Value = Keys<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Keys<'a>, M::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_map(Collect(std::marker::PhantomData))
    }
}

/// A page of a collection.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub(crate) struct List<'a, T> {
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub(crate) metadata: ListMeta<'a>,
    #[serde(default = "Vec::new", deserialize_with = "nullable")]
    pub(crate) items: Vec<T>,
}

/// `metav1.ListMeta`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListMeta<'a> {
    #[serde(borrow, rename = "continue", deserialize_with = "nullable")]
    pub(crate) next: Text<'a>,
}

/// An object of which only the metadata matters.
#[derive(Debug, Deserialize)]
pub(crate) struct Bare<'a> {
    #[serde(borrow, default)]
    pub(crate) metadata: Meta<'a>,
}

/// `v1.Secret`.
#[derive(Debug, Deserialize)]
pub(crate) struct Secret<'a> {
    #[serde(borrow, default)]
    pub(crate) metadata: Meta<'a>,
    #[serde(borrow, default, rename = "type", deserialize_with = "nullable")]
    pub(crate) kind: Text<'a>,
    /// Values in base64.
    #[serde(borrow, default)]
    pub(crate) data: Pairs<'a>,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) immutable: bool,
}

/// `v1.ConfigMap`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConfigMap<'a> {
    #[serde(borrow, default)]
    pub(crate) metadata: Meta<'a>,
    #[serde(borrow, default)]
    pub(crate) data: Pairs<'a>,
    /// Values in base64.
    #[serde(borrow, default)]
    pub(crate) binary_data: Pairs<'a>,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) immutable: bool,
}

/// `v1.ServiceAccount`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceAccount<'a> {
    #[serde(borrow, default)]
    pub(crate) metadata: Meta<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub(crate) secrets: Vec<Named<'a>>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub(crate) image_pull_secrets: Vec<Named<'a>>,
    pub(crate) automount_service_account_token: Option<bool>,
}

/// `v1.LocalObjectReference`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub(crate) name: Text<'a>,
}

/// What `kubectl apply` leaves in `kubectl.kubernetes.io/last-applied-configuration`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LastApplied<'a> {
    #[serde(borrow)]
    pub(crate) data: Pairs<'a>,
    #[serde(borrow)]
    pub(crate) string_data: Pairs<'a>,
}

/// Reads an answer. The error says where, never what: the text of a `serde_json` error quotes the input.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "an unexpected type",
            serde_json::error::Category::Eof => "it ends too early",
            _ => "it is not JSON",
        };
        Failure::Malformed(format!("{what} at line {} column {}", error.line(), error.column()))
    })
}

/// Reads a page: its items and the token of the next one.
pub(crate) fn page<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<(Vec<T>, Option<String>), Failure> {
    let list: List<'a, T> = read(body)?;
    let next = list.metadata.next;
    Ok((list.items, (!next.is_empty()).then(|| next.into_value())))
}

/// A time of the API, RFC 3339.
pub(crate) fn time(text: &Text<'_>) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::parse_from_rfc3339(text.as_str()).ok().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_absences_are_empty() {
        let body = br#"{"kind":"SecretList","metadata":{"continue":"t"},"items":[
            {"metadata":{"name":"a","creationTimestamp":null,"labels":null,"managedFields":null},"data":null},
            {"metadata":{"name":"b"},"type":null,"data":{"k":null,"":"eA=="},"immutable":null}]}"#;
        let (items, next) = page::<Secret<'_>>(body).expect("a page");
        assert_eq!(next.as_deref(), Some("t"));
        assert!(items[0].data.0.is_empty() && items[0].kind.is_empty());
        assert_eq!(items[1].data.get("k"), Some(""));
        assert_eq!(items[1].data.get(""), Some("eA=="));
        let (items, next) = page::<Secret<'_>>(br#"{"metadata":{},"items":null}"#).expect("a page");
        assert!(items.is_empty() && next.is_none());
    }

    #[test]
    fn values_are_borrowed_from_the_buffer() {
        let body = br#"{"metadata":{"name":"a"},"data":{"password":"aHVudGVyMg=="}}"#;
        let secret: Secret<'_> = read(body).expect("a Secret");
        assert!(matches!(secret.data.0[0].1.0, Cow::Borrowed("aHVudGVyMg==")));
    }

    #[test]
    fn an_error_does_not_quote_the_answer() {
        for body in
            [&b"{\"data\":[\"hunter2\"]}"[..], b"hunter2", b"{\"data\":{\"a\":\"hunter2\"", b"\xff\xfe", b""]
        {
            let error = read::<Secret<'_>>(body).expect_err("must fail");
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
