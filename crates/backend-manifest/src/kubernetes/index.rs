use std::collections::BTreeMap;

use claviger_core::reference::Ref;

use super::{Object, secret};

/// Where the Secrets and ConfigMaps of a folder stand, so that workloads in other files can be joined to them. Holds names only.
#[derive(Debug, Default)]
pub(crate) struct Index {
    objects: BTreeMap<(String, String), Vec<Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    namespace: String,
    file: String,
    at: Ref,
    keys: Vec<String>,
}

impl Index {
    /// Takes the objects of a file.
    pub(crate) fn add(&mut self, file: &Ref, objects: &[Object<'_>]) {
        for object in objects.iter().filter(|object| matches!(object.kind, "Secret" | "ConfigMap")) {
            let known = Known {
                namespace: object.namespace.to_owned(),
                file: file.as_str().to_owned(),
                at: object.at(file),
                keys: secret::keys(object),
            };
            self.objects.entry((object.kind.to_owned(), object.name.to_owned())).or_default().push(known);
        }
    }

    /// The object that a workload means: of its namespace (or where one of the two names none), the nearest by path.
    pub(super) fn find(
        &self,
        file: &Ref,
        namespace: &str,
        kind: &str,
        name: &str,
    ) -> Option<(&Ref, &[String])> {
        let known = self.objects.get(&(kind.to_owned(), name.to_owned()))?;
        let fits = |known: &&Known| {
            known.namespace == namespace || known.namespace.is_empty() || namespace.is_empty()
        };
        let near = |known: &&Known| {
            let same =
                known.file.split('/').zip(file.as_str().split('/')).take_while(|(one, other)| one == other);
            (known.namespace == namespace, same.count())
        };
        // The first of equals, which is the first by path.
        let found = known.iter().filter(fits).rev().max_by_key(near)?;
        Some((&found.at, &found.keys))
    }
}
