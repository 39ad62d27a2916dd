//! Certificates that a PKI mount issued and kept. Their private keys left with whoever asked for them: copies are found by the public half.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Attributes, CredentialKind, CredentialState, Handle, HandleScheme, IdentityKind, Labels, Scope},
    observation::{Observation, ObservedCredential, ObservedIdentity},
};
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use x509_parser::{pem::Pem, prelude::X509Certificate};

use super::{CONCURRENCY, Gaps, PAGE, Survey};

#[derive(Deserialize)]
struct Issued {
    certificate: String,
    /// Unix seconds; 0 when not revoked.
    #[serde(default)]
    revocation_time: i64,
}

/// The public facts of a certificate.
struct Facts {
    subject: String,
    common_name: Option<String>,
    not_before: Option<DateTime<Utc>>,
    not_after: Option<DateTime<Utc>>,
    ca: bool,
    spki_sha256: String,
    names: Vec<String>,
}

impl Survey<'_> {
    pub(super) async fn certificates(&self, mount: &str, sink: &mut ScanSink) -> Result<()> {
        let scope = Scope::new(mount, "certificates");
        let serials = match self.api.list("inventory", &format!("{mount}/certs")).await {
            Ok(serials) => serials,
            Err(error) => return Gaps::of(&format!("LIST {mount}/certs"), &error).end(&scope, sink).await,
        };
        let mut gaps = Gaps::default();
        let mut told = BTreeSet::new();
        let mut page = Vec::new();
        let mut read = stream::iter(serials)
            .map(|serial| async move {
                (self.api.get::<Issued>("inventory", &format!("{mount}/cert/{serial}")).await, serial)
            })
            .buffer_unordered(CONCURRENCY);
        while let Some((found, serial)) = read.next().await {
            match found {
                Ok(Some(issued)) => {
                    let facts = facts(&issued.certificate);
                    let identity = facts
                        .as_ref()
                        .filter(|facts| !facts.subject.is_empty())
                        .map(|facts| self.subject(mount, facts));
                    page.push(Observation::Credential(self.certificate(
                        mount,
                        &serial,
                        &issued,
                        facts,
                        identity.as_ref(),
                    )));
                    if let Some(identity) = identity.filter(|identity| told.insert(identity.at.clone())) {
                        page.push(Observation::Identity(identity));
                    }
                }
                Ok(None) => {}
                Err(error) => gaps.add(&serial, &error),
            }
            if page.len() >= PAGE {
                sink.page(&scope, std::mem::take(&mut page)).await?;
            }
        }
        sink.page(&scope, page).await?;
        gaps.end(&scope, sink).await
    }

    fn subject(&self, mount: &str, facts: &Facts) -> ObservedIdentity {
        ObservedIdentity {
            at: self.names.object(&format!("{mount}/subject/{}", facts.subject)),
            kind: IdentityKind::CertificateSubject,
            created_at: None,
            last_used_at: None,
            disabled: false,
            labels: Labels::new(),
            owners: Vec::new(),
            attributes: facts
                .common_name
                .iter()
                .map(|name| ("common_name".to_owned(), json!(name)))
                .collect(),
        }
    }

    fn certificate(
        &self,
        mount: &str,
        serial: &str,
        issued: &Issued,
        facts: Option<Facts>,
        identity: Option<&ObservedIdentity>,
    ) -> ObservedCredential {
        let revoked_at =
            DateTime::from_timestamp(issued.revocation_time, 0).filter(|_| issued.revocation_time > 0);
        let not_after = facts.as_ref().and_then(|facts| facts.not_after);
        let state = if revoked_at.is_some() {
            CredentialState::Suspended
        } else if not_after.is_some_and(|end| end < self.api.clock().now()) {
            CredentialState::Expired
        } else {
            CredentialState::Active
        };
        let mut attributes = Attributes::from([
            ("serial".to_owned(), json!(serial)),
            ("revoked".to_owned(), json!(revoked_at.is_some())),
            ("parsed".to_owned(), json!(facts.is_some())),
        ]);
        if let Some(facts) = &facts {
            attributes.insert("ca".to_owned(), json!(facts.ca));
            attributes.insert("names".to_owned(), json!(facts.names));
        }
        if let Some(at) = revoked_at {
            attributes.insert("revoked_at".to_owned(), json!(at));
        }
        ObservedCredential {
            at: self.names.object(&format!("{mount}/cert/{serial}")),
            kind: CredentialKind::Certificate,
            identity: identity.map(|identity| identity.at.clone()),
            state,
            created_at: facts.as_ref().and_then(|facts| facts.not_before),
            rotated_at: None,
            expires_at: not_after,
            last_used_at: None,
            handle: facts.map(|facts| Handle::new(HandleScheme::SpkiSha256, facts.spki_sha256)),
            verifier: None,
            labels: Labels::new(),
            owners: Vec::new(),
            attributes,
        }
    }
}

/// `None` for what is not one X.509 certificate in PEM form.
fn facts(pem: &str) -> Option<Facts> {
    let block = Pem::iter_from_buffer(pem.as_bytes()).next()?.ok()?;
    let certificate: X509Certificate<'_> = block.parse_x509().ok()?;
    let instant = |seconds| DateTime::from_timestamp(seconds, 0);
    let names =
        certificate.subject_alternative_name().ok().flatten().map(|extension| {
            extension.value.general_names.iter().map(ToString::to_string).take(20).collect()
        });
    Some(Facts {
        subject: certificate.subject().to_string(),
        common_name: certificate
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .map(str::to_owned),
        not_before: instant(certificate.validity().not_before.timestamp()),
        not_after: instant(certificate.validity().not_after.timestamp()),
        ca: certificate.is_ca(),
        spki_sha256: hex::encode(Sha256::digest(certificate.public_key().raw)),
        names: names.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::facts;

    #[test]
    fn what_is_no_certificate_has_no_facts() {
        for text in ["", "not PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(facts(text).is_none(), "{text:?}");
        }
    }
}
