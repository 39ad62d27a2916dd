//! The truth about the estate.

use serde_json::{Value as Json, json};

/// A planted value. It is shown to whoever asks by name, and by no accident: it has no `Debug` and no `Display`.
pub struct Secret(Vec<u8>);

impl Secret {
    /// A value.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self(value.into())
    }

    /// A second one like it.
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// The value.
    ///
    /// # Panics
    /// When it is not text; see [`Self::bytes`].
    pub fn expose(&self) -> &str {
        std::str::from_utf8(&self.0).expect("this planted value is text")
    }

    /// The value's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Whether a place holds the value in force or one from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// In force.
    Current,
    /// An older version, kept by the store.
    Former,
}

/// A place where a credential's value is stored.
#[derive(Clone, Debug)]
pub struct Copy {
    /// As in cli.md, "Refs". A manifest's ends at the file: see [`Copy::is`].
    pub reference: String,
    /// Which value.
    pub stage: Stage,
}

impl Copy {
    /// Whether a copy with this ref is this one: the place itself, or a place inside it (a path in a document).
    pub fn is(&self, reference: &str) -> bool {
        reference
            .strip_prefix(&self.reference)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('#') || rest.starts_with('/'))
    }
}

/// A workload that reads a copy.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Such as `prod/payments/Deployment/api`.
    pub reference: String,
    /// The copy's ref (without a field when the whole object is read).
    pub copy: String,
    /// `env`, `env-from`, `volume`, `projected`, `image-pull`, `service-account`, `literal`.
    pub how: &'static str,
    /// The container, where one reads.
    pub container: Option<&'static str>,
}

/// A planted credential.
pub struct Credential {
    /// What tests call it, such as `db-app`.
    pub name: String,
    /// As `kind=` in cli.md.
    pub kind: &'static str,
    /// The issuer's ref, where the issuer is in the estate.
    pub reference: Option<String>,
    /// Who is accountable, where something says so.
    pub owner: Option<&'static str>,
    /// The value in force, where anybody outside the issuer holds it.
    pub value: Option<Secret>,
    /// Values from before.
    pub former: Vec<Secret>,
    /// Where it is stored.
    pub copies: Vec<Copy>,
    /// Who reads it.
    pub consumers: Vec<Consumer>,
    /// Slugs of findings that must be on it.
    pub findings: Vec<&'static str>,
}

impl Credential {
    /// Its issuer's ref.
    pub fn issued_at(&mut self, reference: impl Into<String>) -> &mut Self {
        self.reference = Some(reference.into());
        self
    }

    /// Its owner.
    pub fn owned_by(&mut self, owner: &'static str) -> &mut Self {
        self.owner = Some(owner);
        self
    }

    /// The value in force.
    pub fn value(&mut self, value: &Secret) -> &mut Self {
        self.value = Some(value.duplicate());
        self
    }

    /// A value from before.
    pub fn former(&mut self, value: &Secret) -> &mut Self {
        self.former.push(value.duplicate());
        self
    }

    /// A place with the value in force.
    pub fn copy(&mut self, reference: impl Into<String>) -> &mut Self {
        self.copies.push(Copy { reference: reference.into(), stage: Stage::Current });
        self
    }

    /// A place with a value from before.
    pub fn former_copy(&mut self, reference: impl Into<String>) -> &mut Self {
        self.copies.push(Copy { reference: reference.into(), stage: Stage::Former });
        self
    }

    /// A reader of a copy.
    pub fn consumer(
        &mut self,
        reference: &str,
        copy: &str,
        how: &'static str,
        container: &'static str,
    ) -> &mut Self {
        let container = (!container.is_empty()).then_some(container);
        self.consumers.push(Consumer {
            reference: reference.to_owned(),
            copy: copy.to_owned(),
            how,
            container,
        });
        self
    }

    /// A finding that must be on it.
    pub fn finding(&mut self, slug: &'static str) -> &mut Self {
        self.findings.push(slug);
        self
    }
}

/// Everything that was planted.
pub struct Planted {
    /// Where the random values came from.
    pub seed: u64,
    /// The credentials, in the order of planting.
    pub credentials: Vec<Credential>,
    /// Places whose value looks like one and is none: user names, booleans, defaults, `${{ secrets.X }}`. No credential may
    /// have a copy here that it shares with another place.
    pub decoys: Vec<String>,
    /// What the scanning identities may not read: (backend, name of the scope).
    pub denied: Vec<(&'static str, &'static str)>,
    /// Values of the unreadable places: nothing of ours may ever show them.
    pub unreadable: Vec<Secret>,
}

impl Planted {
    /// Nothing yet.
    pub fn new(seed: u64) -> Self {
        Self { seed, credentials: Vec::new(), decoys: Vec::new(), denied: Vec::new(), unreadable: Vec::new() }
    }

    /// The credential of this name, made when it is not there.
    pub fn credential(&mut self, name: &str, kind: &'static str) -> &mut Credential {
        let at =
            self.credentials.iter().position(|credential| credential.name == name).unwrap_or_else(|| {
                self.credentials.push(Credential {
                    name: name.to_owned(),
                    kind,
                    reference: None,
                    owner: None,
                    value: None,
                    former: Vec::new(),
                    copies: Vec::new(),
                    consumers: Vec::new(),
                    findings: Vec::new(),
                });
                self.credentials.len() - 1
            });
        &mut self.credentials[at]
    }

    /// The credential of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn get(&self, name: &str) -> &Credential {
        let found = self.credentials.iter().find(|credential| credential.name == name);
        found.unwrap_or_else(|| panic!("no credential {name} was planted"))
    }

    /// All values, former and unreadable ones too: what must not occur in anything that claviger writes.
    pub fn values(&self) -> impl Iterator<Item = &Secret> {
        let known =
            self.credentials.iter().flat_map(|credential| credential.value.iter().chain(&credential.former));
        known.chain(&self.unreadable)
    }

    /// The truth without a value, for people.
    pub fn to_json(&self) -> Json {
        let credentials: Vec<Json> = self
            .credentials
            .iter()
            .map(|credential| {
                json!({
                    "name": credential.name, "kind": credential.kind, "ref": credential.reference, "owner": credential.owner,
                    "copies": credential.copies.iter().map(|copy| json!({"ref": copy.reference,
                        "stage": if copy.stage == Stage::Current { "current" } else { "former" }})).collect::<Vec<_>>(),
                    "consumers": credential.consumers.iter().map(|consumer| json!({"ref": consumer.reference,
                        "copy": consumer.copy, "how": consumer.how, "container": consumer.container})).collect::<Vec<_>>(),
                    "findings": credential.findings,
                })
            })
            .collect();
        let denied: Vec<Json> =
            self.denied.iter().map(|(backend, scope)| json!({"backend": backend, "scope": scope})).collect();
        json!({"seed": self.seed, "credentials": credentials, "decoys": self.decoys, "denied": denied})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_its_place_and_what_is_inside() {
        let copy = Copy { reference: "repo/.env".to_owned(), stage: Stage::Current };
        assert!(copy.is("repo/.env") && copy.is("repo/.env#DATABASE_URL"));
        assert!(!copy.is("repo/.env.production#X") && !copy.is("repo/"));
    }
}
