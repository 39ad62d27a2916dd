//! A folder as a backend: an audit without access to anything.
//!
//! It reads Kubernetes YAML (several documents, `List`s, output of Helm and Kustomize), kubeconfigs, `.env` files, Docker configurations, cloud
//! credential files, PEM and SSH keys, CI workflows, Jenkinsfiles, Terraform variables and states, and other YAML and JSON for what says by itself that it
//! is a secret. It reads only: nothing in it is ever written, and a link out of the folder is never followed. It must not know a
//! cluster, a database or what becomes of an observation.
//!
//! # Refs
//!
//! `repo/<relative file>#<path>`, the path in JSON pointer segments (RFC 6901 escapes) joined by `/`:
//!
//! | in | path |
//! | --- | --- |
//! | a Kubernetes object | `<Kind>/<namespace>/<name>/<key>`, the namespace left out where the object names none; a second object of the same name in one file gets `~2` behind its name |
//! | a pod specification | `<Kind>/<namespace>/<name>/containers/<container>/env/<NAME>` |
//! | an environment file | `<NAME>` |
//! | a cloud credential file | `<profile>/<key>` |
//! | a workflow | as it stands in the document: `jobs/build/env/<NAME>` |
//! | a Jenkinsfile | `stages/<stage>`, `credentials/<id>`; `credentials/*` where the id is not known |
//! | a file that is one value (PEM, kubeconfig, Docker configuration, state, other YAML and JSON) | none; what is found within is appended |
//!
//! A `#` in a file's name is written `%23`.
//!
//! # Scopes
//!
//! One per top-level folder, `.` for the files beside them. A file that could not be read is a scope of its own: `failed` where it is
//! malformed, `unreadable` where it is a template, too large (over 2 MiB) or no text. The folder it lies in then ends `failed` too, so that
//! nothing of it counts as gone; a template alone does not do that. Files of other formats are not looked at, nor `.git`, `node_modules`,
//! `target`, `vendor` and `.terraform`.
//!
//! # Attributes
//!
//! | on | key | type | meaning |
//! | --- | --- | --- | --- |
//! | copy | `format` | string | `kubernetes`, `kustomization`, `kubeconfig`, `docker-config`, `dotenv`, `aws-credentials`, `pem`, `workflow`, `jenkinsfile`, `terraform`, `document` |
//! | copy in an object | `object_kind` | string | the object's kind |
//! | copy in a Secret | `secret_type` | string | the Secret's type |
//! | copy in a Secret or ConfigMap | `immutable` | bool | as the object says |
//! | role, provider in a Terraform state (identity) | `web_identity`, `web_identity_providers`, `web_identity_subjects`, `web_identity_audiences`, `attribute_condition`, `arn`, `name` | | as the state has them |
//! | | `trust_gaps` | list | the words of `claviger_core::trust::Gap`: what it does not ask of a token |
//! | consumer | `replicas` | number | as the object says |
//! | consumer | `unresolved` | bool | what it reads is not in the folder |
//! | consumer | `sub_path` | string | mounted so that it never follows a change |
//! | consumer | `ci_secret` | string | name of the CI system's own secret that a workflow refers to |
//! | consumer that is a job or a stage | | | as `claviger_core::workflow::Job::facts` has it |
//! | consumer that is a job of GitLab's | `elsewhere` | strings | parts of the pipeline that lie in other files |
//! | | `vault` | string | mount, path and field that GitLab reads of a Vault for it |
//! | consumer that is a stage of Jenkins' | `unknown` | strings | why it may ask for more than is known |
//!
//! To add a format: a line in [`format::Format::of`], a reader beside the others, its arm in `examine`.

mod backend;
mod cloud;
mod document;
mod environment;
mod examine;
mod folder;
mod format;
mod kubernetes;
mod pipeline;
mod sighting;
mod terraform;
mod words;
mod workflow;

pub use self::backend::{ManifestBackend, ManifestConfig};
