use std::fmt;

use serde::{Deserialize, Deserializer, de};

use crate::secret::SecretValue;

/// A text of a report that may be a secret: it goes from the parser into a [`SecretValue`] and nowhere else.
pub(super) struct Held(pub(super) SecretValue);

impl<'de> Deserialize<'de> for Held {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Held;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Held, E> {
                Ok(Held(SecretValue::new(text.as_bytes().to_vec())))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Held, E> {
                Ok(Held(SecretValue::from_text(text)))
            }
        }
        deserializer.deserialize_string(Visitor)
    }
}
