//! The stream of a scan: stores, their domains, and what lies in them.

use claviger_backend::{Error, ErrorKind, Phase, Result, ScanSink};
use claviger_core::{
    model::{Attributes, CopyStage, Labels, Place as Kind, Scope, ScopeStatus},
    observation::{Bundle, Content, Observation, ObservedCopy},
    reference::Ref,
};
use serde_json::json;

use super::{
    backend::JenkinsBackend,
    letterbox::marked,
    names::{Names, Place, Store},
    wire::{Credentials, Domains, Job, Jobs},
    xml::Document,
};
use crate::{client::Request, marker};

/// The area of what belongs to no store.
pub(super) const INSTANCE: &str = "instance";
/// The part of lists of jobs.
pub(super) const FOLDERS: &str = "folders";
/// The part of lists of domains.
pub(super) const DOMAINS: &str = "domains";
/// Why no value is read.
const REDACTED: &str = "Jenkins shows the values of credentials to nobody";
/// Deepest folder that is looked into.
const MOST_FOLDERS: usize = 16;

/// A scan of one backend.
pub(super) struct Survey<'b> {
    pub(super) backend: &'b JenkinsBackend,
}

impl Survey<'_> {
    pub(super) async fn run(&self, phase: Phase, sink: &mut ScanSink) -> Result<()> {
        if phase == Phase::Issuers {
            let why = "Jenkins lists the API tokens of users to nobody".to_owned();
            return sink.end(&Scope::new(INSTANCE, "api-tokens"), ScopeStatus::Unreadable, Some(why)).await;
        }
        self.store(sink, &Store::System).await?;
        let mut next = self.folders(sink, &Store::System).await?;
        while let Some(store) = next.pop() {
            self.store(sink, &store).await?;
            next.extend(self.folders(sink, &store).await?);
        }
        Ok(())
    }

    /// The folders below a store. The list is a scope: whatever it does not show is unread.
    async fn folders(&self, sink: &mut ScanSink, store: &Store) -> Result<Vec<Store>> {
        let (names, area): (&[String], String) = match store {
            Store::System => (&[], INSTANCE.to_owned()),
            Store::Folder(names) => (names, store.path()),
        };
        let scope = Scope::new(area, FOLDERS);
        let mut path: Vec<&str> = names.iter().flat_map(|name| ["job", name.as_str()]).collect();
        path.extend(["api", "json"]);
        let request = Request { query: &[("tree", "jobs[name]")], ..Request::get(&path) };
        let jobs: Jobs = match self.backend.api.one("inventory", request).await {
            Ok(jobs) => jobs,
            Err(error) => {
                self.refused(sink, &scope, &error).await?;
                return Ok(Vec::new());
            }
        };
        if names.len() >= MOST_FOLDERS && jobs.jobs.iter().any(Job::is_folder) {
            let why = format!("folders more than {MOST_FOLDERS} deep are not looked into");
            sink.end(&scope, ScopeStatus::Unreadable, Some(why)).await?;
            return Ok(Vec::new());
        }
        sink.complete(&scope).await?;
        let admitted = |job: &&Job| !names.is_empty() || self.backend.owners.admit(&job.name);
        let folders = jobs.jobs.iter().filter(|job| job.is_folder()).filter(admitted);
        Ok(folders.map(|job| Store::Folder([names, std::slice::from_ref(&job.name)].concat())).collect())
    }

    async fn store(&self, sink: &mut ScanSink, store: &Store) -> Result<()> {
        let area = store.path();
        let scope = Scope::new(&area, DOMAINS);
        let mut path = store.segments();
        path.extend(["api", "json"]);
        let request = Request { query: &[("tree", "domains[urlName]")], ..Request::get(&path) };
        let domains: Domains = match self.backend.api.one("inventory", request).await {
            Ok(domains) => domains,
            Err(error) => return self.refused(sink, &scope, &error).await,
        };
        sink.complete(&scope).await?;
        for (key, domain) in domains.domains {
            let name = if domain.url_name.is_empty() { key } else { domain.url_name };
            let scope = Scope::new(&area, format!("credentials/{name}"));
            match self.credentials(store, &name).await {
                Ok(items) => {
                    let unread = items.len();
                    sink.page(&scope, items).await?;
                    sink.complete(&scope).await?;
                    if unread > 0 {
                        let scope = Scope::new(&area, format!("values/{name}"));
                        let why = format!("{REDACTED}: {unread} are known by name");
                        sink.end(&scope, ScopeStatus::Unreadable, Some(why)).await?;
                    }
                }
                Err(error) => self.refused(sink, &scope, &error).await?,
            }
        }
        Ok(())
    }

    async fn credentials(&self, store: &Store, domain: &str) -> Result<Vec<Observation>> {
        let mut path = store.segments();
        path.extend(["domain", domain, "api", "json"]);
        let request = Request { query: &[("tree", "credentials[id]")], ..Request::get(&path) };
        let listed: Credentials = self.backend.api.one("inventory", request).await?;
        let mut seen = Vec::new();
        for one in listed.credentials {
            if !Names::is_plain(&one.id) || !Names::is_plain(domain) {
                let text = format!("the id of a credential in {} cannot be named in a ref", store.path());
                return Err(Error::new(ErrorKind::Unsupported, "inventory", text));
            }
            let place = Place { store: store.clone(), domain: domain.to_owned(), id: one.id };
            // It may have been taken away since the list was made.
            let Some(text) = self.backend.config("inventory", &place).await? else { continue };
            let document = Document::parse(&text).ok_or_else(|| {
                let text = format!("{} could not be read", self.backend.names.place(&place));
                Error::new(ErrorKind::Unexpected, "inventory", text)
            })?;
            let at = self.backend.names.place(&place);
            seen.extend(document.redacted().map(|field| Observation::Copy(copy(&at, field, &document))));
        }
        Ok(seen)
    }

    async fn refused(&self, sink: &mut ScanSink, scope: &Scope, error: &Error) -> Result<()> {
        let status = match error.kind() {
            ErrorKind::Denied | ErrorKind::NotFound => ScopeStatus::Denied,
            ErrorKind::Unsupported => ScopeStatus::Unreadable,
            _ => ScopeStatus::Failed,
        };
        let hint = error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        sink.end(scope, status, Some(format!("{}{hint}", error.message()))).await
    }
}

/// A value that is redacted: a place that holds one.
fn copy(at: &Ref, field: &str, document: &Document<'_>) -> ObservedCopy {
    let marked = marked(document);
    let (said, _) = marker::read(document.description());
    let mut attributes = Attributes::from([
        ("write_only".to_owned(), json!(true)),
        ("class".to_owned(), json!(document.class)),
    ]);
    if !said.is_empty() {
        attributes.insert("description".to_owned(), json!(said));
    }
    if let Some(scope) = document.text("scope") {
        attributes.insert("credential_scope".to_owned(), json!(scope));
    }
    let user = document.text("username").filter(|user| !user.is_empty()).map(str::to_owned);
    ObservedCopy {
        at: at.field(field),
        key: field.rsplit('/').next().unwrap_or(field).to_owned(),
        version: Some(marked.version),
        stage: CopyStage::Current,
        place: Kind::SecretStore,
        content: Content::Unreadable(REDACTED.to_owned()),
        bundle: Bundle { user, ..Bundle::default() },
        kind: None,
        issuer: None,
        created_at: None,
        updated_at: marked.written_at,
        last_used_at: None,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes,
    }
}
