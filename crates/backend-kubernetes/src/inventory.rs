//! Reading a cluster: which namespaces, in which order, and what could not be read.

mod accounts;
mod aws_auth;
mod config_maps;
mod grants;
mod helm;
mod literals;
pub(crate) mod object;
mod revisions;
mod secrets;
pub(crate) mod token_secrets;
mod workloads;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use claviger_backend::{Error, Phase, Result, ScanSink};
use claviger_core::{
    model::{Attributes, Labels, OwnerEvidence, Scope, ScopeStatus},
    observation::ObservedIdentity,
};

use crate::{
    backend::KubernetesBackend,
    failure::Failure,
    namespace::NamespaceFilter,
    owner,
    paging::{self, Batch, PageReader},
    place::{CLUSTER, Names},
    resource::{self, Resource},
    wire::{self, Meta},
};

/// Above this many namespaces to leave out, each of the others is listed by itself.
const MOST_EXCLUDED_IN_SELECTOR: usize = 20;

/// What every reader needs to turn JSON into observations.
pub(crate) struct Context<'s> {
    pub(crate) names: &'s Names,
    pub(crate) labels: &'s Labels,
    pub(crate) filter: &'s NamespaceFilter,
    /// What the namespaces say about the owners of what is in them.
    pub(crate) owners: BTreeMap<String, Vec<OwnerEvidence>>,
    /// Labels of the namespaces: an environment is often said there and nowhere else.
    pub(crate) namespace_labels: BTreeMap<String, Labels>,
}

impl Context<'_> {
    /// The object's own labels, its namespace's where the object says nothing else, and the backend's before both.
    pub(crate) fn labels_of(&self, meta: &Meta<'_>) -> Labels {
        let mut labels = self.namespace_labels.get(meta.namespace.as_str()).cloned().unwrap_or_default();
        labels.extend(meta.labels.0.iter().map(|(key, value)| (key.plain(), value.plain())));
        labels.extend(self.labels.iter().map(|(key, value)| (key.clone(), value.clone())));
        labels
    }

    /// Hints of the object, and of its namespace.
    pub(crate) fn owners_of(&self, meta: &Meta<'_>) -> Vec<OwnerEvidence> {
        let mut owners = owner::of(meta);
        if let Some(inherited) = self.owners.get(meta.namespace.as_str()) {
            owners.extend(inherited.iter().cloned());
        }
        owners
    }

    /// Is this namespace to be read? What lies in none always is.
    pub(crate) fn selects(&self, namespace: &str) -> bool {
        namespace.is_empty() || self.filter.selects(namespace)
    }
}

/// An identity with what all of them share.
pub(crate) fn identity(
    at: claviger_core::reference::Ref,
    kind: claviger_core::model::IdentityKind,
    labels: Labels,
) -> ObservedIdentity {
    ObservedIdentity {
        at,
        kind,
        created_at: None,
        last_used_at: None,
        disabled: false,
        labels,
        owners: Vec::new(),
        attributes: Attributes::new(),
    }
}

/// Why an area of a part was not read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    status: ScopeStatus,
    reason: String,
}

/// What could not be read of a part.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    everywhere: Option<Trouble>,
    by_area: BTreeMap<String, Trouble>,
}

impl Troubles {
    /// Takes in the troubles of another kind of object of the same part; the first reason stays.
    pub(crate) fn join(&mut self, other: Self) {
        self.everywhere = self.everywhere.take().or(other.everywhere);
        for (area, trouble) in other.by_area {
            self.by_area.entry(area).or_insert(trouble);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.everywhere.is_none() && self.by_area.is_empty()
    }

    fn of(&self, area: &str) -> Option<&Trouble> {
        self.by_area.get(area).or(self.everywhere.as_ref())
    }

    /// One of the reasons, for a scope that depends on all areas.
    pub(crate) fn any(&self) -> Option<&Trouble> {
        self.everywhere.as_ref().or_else(|| self.by_area.values().next())
    }
}

/// One scan of one phase.
pub(crate) struct Scan<'s> {
    backend: &'s KubernetesBackend,
    context: Arc<Context<'s>>,
    /// The namespaces to read, so far as they are known.
    selected: BTreeSet<String>,
    left_out: Vec<String>,
    /// The API server told us the namespaces.
    listed: bool,
}

/// Runs one phase.
pub(crate) async fn run(backend: &KubernetesBackend, phase: Phase, sink: &mut ScanSink) -> Result<()> {
    let mut scan = Scan::begin(backend, sink).await?;
    match phase {
        Phase::Issuers => {
            let accounts = scan.service_accounts(sink).await?;
            scan.grants(&accounts, sink).await
        }
        Phase::Stores => {
            let accounts = scan.account_index(sink).await?;
            scan.secrets(&accounts, sink).await?;
            scan.config_maps(sink).await?;
            scan.workloads(&accounts, sink).await
        }
    }
}

impl<'s> Scan<'s> {
    /// Lists the namespaces. An API server that cannot be reached, or does not know us, ends the scan here.
    async fn begin(backend: &'s KubernetesBackend, sink: &mut ScanSink) -> Result<Self> {
        let mut reader =
            NamespaceReader { filter: &backend.filter, found: BTreeMap::new(), left_out: Vec::new() };
        let mut areas = BTreeSet::new();
        let read = paging::read_collection(
            &backend.connection,
            resource::NAMESPACES,
            None,
            None,
            &mut reader,
            &mut areas,
            sink,
        )
        .await?;
        let (selected, left_out, listed) = match read {
            Ok(()) => (reader.found.keys().cloned().collect(), std::mem::take(&mut reader.left_out), true),
            Err(failure) if failure.is_forbidden() => {
                // Nobody tells us the names: what the configuration names, and the context's own namespace.
                let mut named: BTreeSet<String> = backend.filter.named().into_iter().collect();
                let own = backend.connection.default_namespace();
                if named.is_empty() && backend.filter.selects(own) {
                    named.insert(own.to_owned());
                }
                (named, Vec::new(), false)
            }
            Err(failure) => return Err(backend.error(failure, "inventory", "list namespaces")),
        };
        let (mut owners, mut namespace_labels) = (BTreeMap::new(), BTreeMap::new());
        for (name, (hints, labels)) in reader.found {
            if !hints.is_empty() {
                owners.insert(name.clone(), hints);
            }
            if !labels.is_empty() {
                namespace_labels.insert(name, labels);
            }
        }
        let context = Context {
            names: &backend.names,
            labels: &backend.labels,
            filter: &backend.filter,
            owners,
            namespace_labels,
        };
        Ok(Self { backend, context: Arc::new(context), selected, left_out, listed })
    }

    /// Reads all objects of a kind: in one list where we may, else namespace by namespace. `selected` learns of namespaces that only
    /// their objects show.
    pub(crate) async fn read(
        &mut self,
        resource: Resource,
        reader: &mut dyn PageReader,
        sink: &mut ScanSink,
    ) -> Result<Troubles> {
        let mut troubles = Troubles::default();
        if let Some(fields) = self.in_one_list() {
            let fields = (!fields.is_empty()).then_some(fields.as_str());
            let read = self.collection(resource, None, fields, reader, sink).await?;
            match read {
                Ok(()) => return Ok(troubles),
                Err(failure) if failure.is_absent() => return Ok(troubles),
                Err(failure) if failure.is_forbidden() => {
                    if self.selected.is_empty() {
                        troubles.everywhere = Some(self.trouble(&failure, resource, None));
                    }
                }
                Err(failure) => {
                    troubles.everywhere = Some(self.trouble(&failure, resource, None));
                    return Ok(troubles);
                }
            }
        }
        for namespace in self.selected.clone() {
            match self.collection(resource, Some(&namespace), None, reader, sink).await? {
                Ok(()) => {}
                Err(failure) if failure.is_absent() => {}
                Err(failure) => {
                    let trouble = self.trouble(&failure, resource, Some(&namespace));
                    if failure.is_everywhere() {
                        troubles.everywhere = Some(trouble);
                        return Ok(troubles);
                    }
                    troubles.by_area.insert(namespace, trouble);
                }
            }
        }
        Ok(troubles)
    }

    /// Reads a kind that lies in no namespace.
    pub(crate) async fn read_cluster(
        &mut self,
        resource: Resource,
        reader: &mut dyn PageReader,
        sink: &mut ScanSink,
    ) -> Result<Troubles> {
        let mut troubles = Troubles::default();
        match self.collection(resource, None, None, reader, sink).await? {
            Ok(()) => {}
            Err(failure) if failure.is_absent() => {}
            Err(failure) => {
                troubles.by_area.insert(CLUSTER.to_owned(), self.trouble(&failure, resource, None));
            }
        }
        Ok(troubles)
    }

    async fn collection(
        &mut self,
        resource: Resource,
        namespace: Option<&str>,
        fields: Option<&str>,
        reader: &mut dyn PageReader,
        sink: &mut ScanSink,
    ) -> Result<Result<(), Failure>> {
        let mut areas = BTreeSet::new();
        let read = paging::read_collection(
            &self.backend.connection,
            resource,
            namespace,
            fields,
            reader,
            &mut areas,
            sink,
        )
        .await;
        self.selected.extend(areas.into_iter().filter(|area| area != CLUSTER));
        read
    }

    /// The field selector for reading all namespaces at once; `None` where that would read what the configuration leaves out.
    fn in_one_list(&self) -> Option<String> {
        if self.left_out.is_empty() {
            return Some(String::new());
        }
        if self.left_out.len() > MOST_EXCLUDED_IN_SELECTOR || self.selected.len() < self.left_out.len() {
            return None;
        }
        Some(
            self.left_out
                .iter()
                .map(|name| format!("metadata.namespace!={name}"))
                .collect::<Vec<_>>()
                .join(","),
        )
    }

    fn trouble(&self, failure: &Failure, resource: Resource, namespace: Option<&str>) -> Trouble {
        let place = namespace
            .map_or_else(|| "all namespaces".to_owned(), |namespace| format!("namespace {namespace}"));
        let status = if failure.is_forbidden() || failure.code() == Some(401) {
            ScopeStatus::Denied
        } else {
            ScopeStatus::Failed
        };
        let mut reason = format!("list {} in {place}: {failure}", resource.plural);
        if failure.is_forbidden() {
            reason.push_str(&format!("; grant {}", resource.rule("list")));
        }
        Trouble { status, reason }
    }

    /// Ends the scopes of a part, one per namespace, empty ones too.
    pub(crate) async fn end(&self, part: &str, troubles: &Troubles, sink: &mut ScanSink) -> Result<()> {
        if self.selected.is_empty()
            && let Some(trouble) = troubles.any()
        {
            return end_one(sink, &Scope::new(CLUSTER, part), Some(trouble)).await;
        }
        for area in &self.selected {
            end_one(sink, &Scope::new(area.as_str(), part), troubles.of(area)).await?;
        }
        Ok(())
    }

    /// Ends the cluster's own scope of a part.
    pub(crate) async fn end_cluster(
        &self,
        part: &str,
        trouble: Option<&Trouble>,
        sink: &mut ScanSink,
    ) -> Result<()> {
        end_one(sink, &Scope::new(CLUSTER, part), trouble).await
    }
}

async fn end_one(sink: &mut ScanSink, scope: &Scope, trouble: Option<&Trouble>) -> Result<(), Error> {
    match trouble {
        None => sink.complete(scope).await,
        Some(trouble) => sink.end(scope, trouble.status, Some(trouble.reason.clone())).await,
    }
}

struct NamespaceReader<'s> {
    filter: &'s NamespaceFilter,
    found: BTreeMap<String, (Vec<OwnerEvidence>, Labels)>,
    left_out: Vec<String>,
}

impl PageReader for NamespaceReader<'_> {
    fn read(&mut self, body: &[u8], _: &mut Batch) -> Result<(usize, Option<String>), Failure> {
        let (items, next) = wire::page::<wire::Bare<'_>>(body)?;
        for item in &items {
            let name = item.metadata.name.plain();
            if self.filter.selects(&name) {
                // What Kubernetes itself writes there says nothing about what is in the namespace.
                let labels = item.metadata.labels.0.iter().map(|(key, value)| (key.plain(), value.plain()));
                let labels = labels.filter(|(key, _)| !key.contains("kubernetes.io/")).collect();
                self.found.insert(name, (owner::of_namespace(&item.metadata), labels));
            } else {
                self.left_out.push(name);
            }
        }
        Ok((items.len(), next))
    }
}
