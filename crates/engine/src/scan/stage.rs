//! The fingerprint stage: an observation goes in with its value, and comes out without.

use std::collections::BTreeSet;

use claviger_core::{
    canonical::{self, Input, Leaf, Strength, Weakness},
    fingerprint::{Fingerprint, Form},
    model::{Attributes, ConsumerHow, CopyStage, CredentialKind, Labels, OwnerEvidence, Place},
    observation::{Beside, Content, Observation, ObservedCopy, ObservedCredential},
    reference::Ref,
};
use claviger_store::port::{CopyLink, LinkEvidence, Merged, MergedCopy, MergedCredential};

use super::recognise::{self, Recognised, Recogniser};
use crate::{Engine, Member, selector::glob};

/// By which fingerprints of former epochs the values of a page may be known, each with today's.
pub(super) type Former = Vec<(Fingerprint, Fingerprint)>;

/// Turns one backend's observations into what the database keeps.
pub(super) struct Stage<'a> {
    engine: &'a Engine,
    member: &'a Member,
    recogniser: &'a Recogniser,
}

impl<'a> Stage<'a> {
    pub(super) fn new(engine: &'a Engine, member: &'a Member, recogniser: &'a Recogniser) -> Self {
        Self { engine, member, recogniser }
    }

    /// Every value of the page is dropped, and so zeroized, before this returns.
    pub(super) async fn page(&self, items: Vec<Observation>) -> (Vec<Merged>, Former) {
        let mut merged = Vec::with_capacity(items.len());
        let mut former = Former::new();
        let mut literals = Vec::new();
        for item in items {
            match item {
                Observation::Identity(mut identity) => {
                    self.label(&mut identity.labels);
                    self.own(&identity.at, &mut identity.owners);
                    merged.push(Merged::Identity(identity));
                }
                Observation::Credential(credential) => {
                    merged.push(Merged::Credential(self.credential(credential, &mut former).await))
                }
                Observation::Copy(copy) => self.copy(copy, &mut merged, &mut former).await,
                Observation::Consumer(consumer) if consumer.how == ConsumerHow::Literal => {
                    literals.push(consumer)
                }
                Observation::Consumer(consumer) => merged.push(Merged::Consumer(consumer)),
                Observation::Grant(grant) => merged.push(Merged::Grant(grant)),
            }
        }
        // Backends send every literal with its workload; only one that turned out to be a secret has a reader worth keeping.
        let secrets: BTreeSet<&Ref> = merged
            .iter()
            .filter_map(|item| match item {
                Merged::Copy(copy) => Some(&copy.field_at),
                _ => None,
            })
            .collect();
        literals.retain(|consumer| secrets.contains(&consumer.reads));
        merged.extend(literals.into_iter().map(Merged::Consumer));
        (merged, former)
    }

    async fn credential(&self, mut seen: ObservedCredential, former: &mut Former) -> MergedCredential {
        self.label(&mut seen.labels);
        self.own(&seen.at, &mut seen.owners);
        // A user that rests has no value: what names it elsewhere is a value that has ended.
        let rests = seen.attributes.get("password_method").is_some_and(|method| method == "none");
        let verifier = match rests {
            true => None,
            false => self.recogniser.learn(self.engine, &seen.at, seen.kind, seen.verifier.as_ref()).await,
        };
        if let (Some(now), Some(text)) = (verifier, &seen.verifier) {
            let keys = self.engine.keys.fingerprint.former();
            former.extend(keys.iter().map(|key| (recognise::digest(key, text), now)));
        }
        MergedCredential {
            at: seen.at,
            kind: seen.kind,
            identity: seen.identity,
            state: seen.state,
            created_at: seen.created_at,
            rotated_at: seen.rotated_at,
            expires_at: seen.expires_at,
            last_used_at: seen.last_used_at,
            handle: seen.handle,
            verifier,
            labels: seen.labels,
            owners: seen.owners,
            attributes: seen.attributes,
        }
    }

    async fn copy(&self, mut seen: ObservedCopy, merged: &mut Vec<Merged>, former: &mut Former) {
        self.label(&mut seen.labels);
        self.own(&seen.at, &mut seen.owners);
        let value = match std::mem::replace(&mut seen.content, Content::Unreadable(String::new())) {
            Content::Value(value) => value,
            Content::Unreadable(reason) => {
                // A place whose value cannot be read is inventory only where secrets are meant to lie.
                if seen.place == Place::SecretStore {
                    seen.attributes.insert("unreadable".to_owned(), reason.into());
                    merged.push(Merged::Copy(Box::new(self.unread(seen))));
                }
                return;
            }
        };
        let input = Input { key: &seen.key, place: seen.place, kind: seen.kind, bundle: &seen.bundle };
        for leaf in canonical::leaves(&input, &value) {
            if let [now, before @ ..] =
                self.engine.keys.fingerprint.every(leaf.form, &leaf.canonical).as_slice()
            {
                former.extend(before.iter().map(|before| (*before, *now)));
            }
            merged.push(Merged::Copy(Box::new(self.leaf(&seen, leaf).await)));
        }
    }

    async fn leaf(&self, seen: &ObservedCopy, leaf: Leaf) -> MergedCopy {
        let fingerprint = self.engine.keys.fingerprint.fingerprint(leaf.form, &leaf.canonical);
        let at = seen.at.within(&leaf.pointer);
        let mut attributes = seen.attributes.clone();
        attributes.extend(leaf.attributes.clone());
        let mut owners = seen.owners.clone();
        owners.extend(leaf.owners.clone());
        if leaf.kind == CredentialKind::AccessKey
            && let Some(beside) = &leaf.bundle.aws_access_key_at
        {
            halves(seen, &leaf.pointer, ("key_id", beside), &mut attributes);
        }
        if leaf.kind == CredentialKind::Password
            && let Some(beside) = &leaf.bundle.user_at
        {
            halves(seen, &leaf.pointer, ("user", beside), &mut attributes);
        }
        let link = self.link(seen, &leaf, &at, &fingerprint, &mut attributes).await;
        let strong = match leaf.strength {
            Strength::Strong => true,
            Strength::Weak(weakness) => {
                attributes.insert("weak".to_owned(), weakness_word(weakness).into());
                false
            }
        };
        let keep_link = self.recogniser.incomplete();
        let refuted = if keep_link && link.is_none() {
            self.recogniser.refuted(&leaf, &fingerprint, &at)
        } else {
            Vec::new()
        };
        MergedCopy {
            at,
            field_at: seen.at.clone(),
            pointer: leaf.pointer,
            version: seen.version.clone(),
            stage: seen.stage,
            place: seen.place,
            kind: named(leaf.kind, &seen.at),
            fingerprint: Some((leaf.form, fingerprint)),
            strong,
            handle: leaf.handle,
            keep_link,
            refuted,
            link,
            subject: leaf.subject.or(leaf.bundle.user),
            created_at: seen.created_at.or(leaf.created_at),
            updated_at: seen.updated_at,
            expires_at: leaf.expires_at,
            last_used_at: seen.last_used_at,
            labels: seen.labels.clone(),
            owners,
            attributes,
        }
    }

    async fn link(
        &self,
        seen: &ObservedCopy,
        leaf: &Leaf,
        at: &Ref,
        fingerprint: &Fingerprint,
        attributes: &mut Attributes,
    ) -> Option<CopyLink> {
        if let Some(issuer) = &seen.issuer {
            // A secret manager that rotates a database role hands out that role's password: the database is its issuer.
            if leaf.kind == CredentialKind::Password
                && let Recognised::Link(link) =
                    self.recogniser.recognise(self.engine, leaf, fingerprint, at, false).await
                && link.evidence == LinkEvidence::Verifier
            {
                return Some(link);
            }
            return Some(CopyLink { issuer: issuer.clone(), evidence: LinkEvidence::Issuer });
        }
        // A former value is no longer the issuer's: it belongs to whatever its place belongs to.
        if seen.stage == CopyStage::Former {
            return None;
        }
        let recognised = self.recogniser.recognise(self.engine, leaf, fingerprint, at, false).await;
        let declared =
            self.engine.estate.declared_for(at).or_else(|| self.engine.estate.declared_for(&seen.at));
        match recognised {
            Recognised::Link(link) => {
                if let Some(declared) =
                    declared.filter(|declared| **declared != link.issuer && link.evidence.is_proof())
                {
                    attributes.insert("contradicts_declaration".to_owned(), declared.as_str().into());
                }
                Some(link)
            }
            Recognised::NoneOf => {
                declared.map(|at| CopyLink { issuer: at.clone(), evidence: LinkEvidence::Declared })
            }
            Recognised::NotTried(why) => {
                attributes.insert("link_not_tried".to_owned(), why.into());
                declared.map(|at| CopyLink { issuer: at.clone(), evidence: LinkEvidence::Declared })
            }
        }
    }

    fn unread(&self, seen: ObservedCopy) -> MergedCopy {
        let link =
            seen.issuer.map(|issuer| CopyLink { issuer, evidence: LinkEvidence::Issuer }).or_else(|| {
                let declared = self.engine.estate.declared_for(&seen.at)?;
                Some(CopyLink { issuer: declared.clone(), evidence: LinkEvidence::Declared })
            });
        MergedCopy {
            field_at: seen.at.clone(),
            at: seen.at,
            pointer: String::new(),
            version: seen.version,
            stage: seen.stage,
            place: seen.place,
            kind: seen.kind.unwrap_or(CredentialKind::Opaque),
            fingerprint: None::<(Form, _)>,
            strong: false,
            handle: None,
            link,
            keep_link: true,
            refuted: Vec::new(),
            subject: seen.bundle.user,
            created_at: seen.created_at,
            updated_at: seen.updated_at,
            expires_at: None,
            last_used_at: seen.last_used_at,
            labels: seen.labels,
            owners: seen.owners,
            attributes: seen.attributes,
        }
    }

    /// The configuration's labels hold where the source says nothing else.
    fn label(&self, labels: &mut Labels) {
        for (name, value) in &self.member.labels {
            labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }

    fn own(&self, at: &Ref, owners: &mut Vec<OwnerEvidence>) {
        for (index, rule) in self.engine.estate.owners.iter().enumerate() {
            if glob(&rule.pattern, at.as_str()) {
                owners.push(OwnerEvidence {
                    owner: rule.owner.clone(),
                    source: format!("config:owners[{index}]"),
                    weight: 100,
                });
            }
        }
    }
}

/// Where two halves lie that belong together: what a rotation has to write at once.
fn halves(seen: &ObservedCopy, pointer: &str, (what, id): (&str, &Beside), attributes: &mut Attributes) {
    let (field, within) = match id {
        Beside::Field(name) => (seen.at.object().field(name), ""),
        Beside::Within(pointer) => (seen.at.clone(), pointer.as_str()),
    };
    for (key, value) in [
        ("secret_field".to_owned(), seen.at.as_str()),
        ("secret_pointer".to_owned(), pointer),
        (format!("{what}_field"), field.as_str()),
        (format!("{what}_pointer"), within),
    ] {
        attributes.insert(key, value.into());
    }
}

fn weakness_word(weakness: Weakness) -> &'static str {
    match weakness {
        Weakness::Short => "short",
        Weakness::KnownDefault => "known-default",
        Weakness::Guessable => "guessable",
    }
}

/// Where a field's name says no more than that it is a secret, its object's name may say what for.
fn named(kind: CredentialKind, at: &Ref) -> CredentialKind {
    let object = at.object();
    let name = object.as_str().rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    match kind {
        CredentialKind::Password | CredentialKind::Opaque if name.contains("webhook") => {
            CredentialKind::WebhookSecret
        }
        kind => kind,
    }
}
