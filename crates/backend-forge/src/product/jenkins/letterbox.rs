//! Credentials as places that take a value and show none. The marker stands in their description.
//!
//! A credential is written as a whole, and what Jenkins redacts cannot be written back: one with two secrets in it would lose the other, so it takes none
//! of ours.

use async_trait::async_trait;
use claviger_backend::{Effect, Error, ErrorKind, Expect, Letterbox, Marked, Operation, Result, StoreState};
use claviger_core::{reference::Ref, secret::SecretValue};
use reqwest::Method;
use zeroize::Zeroizing;

use super::{
    backend::JenkinsBackend,
    names::{Names, Place},
    xml::Document,
};
use crate::{
    client::{As, Request, shown},
    marker::{self, Marker},
};

/// Longest description that is written, in characters: Jenkins tells of no limit.
const DESCRIPTION: usize = 4096;
/// Elements in which one value lies as a text: of secret texts, of passwords, of keys for SSH, of keys of AWS.
const FIELDS: [&str; 4] = ["secret", "password", "privateKeySource/privateKey", "secretKey"];
/// No XML: whoever may change a credential is told so, whoever may not is told that.
const NOTHING: &[u8] = b"<claviger-permission-check";
const XML: &str = "application/xml";

/// What stands beside the value.
pub(super) fn marked(document: &Document<'_>) -> Marked {
    let said = document.description();
    let (_, marker) = marker::read(said);
    Marked {
        version: marker::version(said, ""),
        written_by: marker.as_ref().map(|marker| marker.key.clone()),
        written_at: marker.map(|marker| marker.at),
    }
}

fn place(at: &Ref) -> Option<(Place, String)> {
    Names::read(at).filter(|(_, field)| FIELDS.contains(&field.as_str()))
}

/// Why it takes no value, if it does not.
fn unfit(at: &Ref, document: &Document<'_>, field: &str) -> Option<String> {
    let secrets: Vec<&str> = document.redacted().collect();
    match secrets.as_slice() {
        [one] if *one == field => None,
        several if several.contains(&field) => Some(format!(
            "{at}: the credential holds {} secrets that Jenkins shows to nobody; written with one of them it would lose the others",
            several.len()
        )),
        _ => Some(format!("{at}: the credential has no such secret")),
    }
}

impl JenkinsBackend {
    /// The XML of a credential, in which secrets are redacted.
    pub(super) async fn config(&self, operation: &'static str, place: &Place) -> Result<Option<String>> {
        let path = place.segments();
        let request = Request::get(&path);
        let what = shown(request);
        let call = self.api.call(operation, &what, false);
        let answer = self.api.send(call, request).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let answer = answer.good(call)?;
        let text = std::str::from_utf8(&answer.body).map_err(|_| call.unreadable())?;
        Ok(Some(text.to_owned()))
    }

    fn must(at: &Ref, operation: &'static str) -> Result<(Place, String)> {
        place(at).ok_or_else(|| {
            let text = format!("{at} is no value of a credential that is written here");
            Error::new(ErrorKind::Unsupported, operation, text)
        })
    }

    fn read<'t>(at: &Ref, operation: &'static str, text: &'t str) -> Result<Document<'t>> {
        Document::parse(text).ok_or_else(|| {
            let text = format!("{at}: what Jenkins shows is no XML of a credential");
            Error::new(ErrorKind::Unexpected, operation, text)
        })
    }

    /// Might we change it? Jenkins looks at the right first, and then at the body, which is none: nothing is changed in either case.
    async fn may_change(&self, operation: &'static str, place: &Place) -> Result<StoreState> {
        let path = place.segments();
        let request =
            Request { method: &Method::POST, path: &path, query: &[], who: As::Us, body: Some(NOTHING) };
        let what = shown(request);
        let call = self.api.call(operation, &what, false);
        let answer = self.send_crumbed(call, request, XML).await?;
        match answer.status {
            400 | 500 => Ok(StoreState::Writable),
            403 => Ok(StoreState::Refused(
                "our user may not change it: it needs the right Credentials/Update there".to_owned(),
            )),
            404 => Ok(StoreState::Refused("it is not there, or not shown to us".to_owned())),
            _ => Err(answer.good(call).err().unwrap_or_else(|| call.unreadable())),
        }
    }

    async fn put(
        &self,
        op: &Operation,
        (at, place, field): (&Ref, &Place, &str),
        value: &SecretValue,
        expect: &Expect,
    ) -> Result<Marked> {
        let conflict = || {
            let text = format!("{at}: what stands there is not what was expected");
            Error::new(ErrorKind::Conflict, "post", text)
        };
        let text = self.config("post", place).await?.ok_or_else(conflict)?;
        let document = Self::read(at, "post", &text)?;
        match expect {
            Expect::Version(version) if marked(&document).version == *version => {}
            _ => return Err(conflict()),
        }
        let refused = |why: String| Error::new(ErrorKind::Invalid, "post", why);
        if let Some(why) = unfit(at, &document, field) {
            return Err(refused(why));
        }
        let new = value.expose_text().ok_or_else(|| refused(format!("{at}: a value there is a text")))?;
        let marker = Marker { key: op.key.to_string(), at: self.clock.now() };
        let description = marker::write(document.description(), &marker, DESCRIPTION);
        let written = document
            .with(field, new, &description)
            .ok_or_else(|| refused(format!("{at}: the value holds what XML cannot")))?;
        let path = place.segments();
        let body = Zeroizing::new(written.as_bytes().to_vec());
        let request =
            Request { method: &Method::POST, path: &path, query: &[], who: As::Us, body: Some(&body) };
        let what = shown(request);
        let call = self.api.call("post", &what, true);
        self.send_crumbed(call, request, XML).await?.good(call)?;
        Ok(Marked {
            version: marker::version(&description, ""),
            written_by: Some(marker.key.clone()),
            written_at: marker::read(&description).1.map(|marker| marker.at),
        })
    }
}

#[async_trait]
impl Letterbox for JenkinsBackend {
    fn takes(&self, at: &Ref) -> bool {
        place(at).is_some()
    }

    async fn marked(&self, at: &Ref) -> Result<Option<Marked>> {
        let (place, _) = Self::must(at, "marked")?;
        let Some(text) = self.config("marked", &place).await? else { return Ok(None) };
        Ok(Some(marked(&Self::read(at, "marked", &text)?)))
    }

    async fn open(&self, at: &Ref) -> Result<StoreState> {
        let (place, field) = Self::must(at, "open")?;
        let Some(text) = self.config("open", &place).await? else {
            return Ok(StoreState::Refused("it is not there, or not shown to us".to_owned()));
        };
        match unfit(at, &Self::read(at, "open", &text)?, &field) {
            Some(why) => Ok(StoreState::Refused(why)),
            None => self.may_change("open", &place).await,
        }
    }

    async fn post(&self, op: &Operation, at: &Ref, value: &SecretValue, expect: &Expect) -> Result<Marked> {
        let (place, field) = Self::must(at, "post")?;
        let work = self.put(op, (at, &place, &field), value, expect);
        match tokio::time::timeout(op.deadline, work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                Err(Error::new(ErrorKind::Unavailable, "post", format!("{at}: no answer by the deadline"))
                    .with_effect(Effect::Unknown))
            }
        }
    }
}
