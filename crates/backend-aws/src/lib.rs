//! AWS: IAM access keys as an issuer, Secrets Manager and SSM parameters as stores.
//!
//! This crate knows the APIs of IAM, STS, Secrets Manager and Systems Manager. It must not know sagas, the inventory's database or
//! other backends. The SDK's own retries are off: only a throttled page of a scan is asked for again here, because nobody
//! outside could repeat one page.
//!
//! # Refs
//!
//! `<name>/iam/user/<user>`, `…/access-key/<id>` · `<name>/iam/role/<role>` · `<name>/iam/policy/<policy>`, `<name>/iam/user/<user>/policy/<inline>`,
//! `<name>/iam/group/<group>` · `<name>/secretsmanager/<secret>`, `#<JSON key>` where the secret is a JSON object · `<name>/ssm/<parameter>`,
//! as in its ARN: without the leading slash.
//!
//! # Scopes
//!
//! | scope | holds |
//! | --- | --- |
//! | `iam` | users, their access keys, what they may do |
//! | `iam/roles` | roles and what they may do |
//! | `iam/account` | access keys of the account's root |
//! | `secretsmanager`, `secretsmanager/<secret>` | secrets; a secret whose value is denied has a scope of its own and the whole is denied too, so that nothing there is taken for gone |
//! | `ssm`, `ssm/<parameter>` | parameters; the same |
//!
//! # Attributes
//!
//! | subject | key | value |
//! | --- | --- | --- |
//! | user, role (identity) | `arn`, `path` | string |
//! | | `permissions_boundary` | ARN; absent: none |
//! | user | `keys_of_user`, `active_keys_of_user` | number |
//! | | `password_last_used` | RFC 3339; absent: never, or no password |
//! | role | `web_identity` | boolean: the trust policy takes tokens of an OIDC issuer |
//! | | `web_identity_providers`, `web_identity_subjects`, `web_identity_audiences` | list of strings: issuers, and what `sub` and `aud` must be |
//! | | `trusted_principals` | list of strings: accounts, users, roles, services |
//! | | `trusted_organisations` | list of strings: organisations all of whose members get in |
//! | | `trust_wildcard` | boolean: anybody, or any subject of an OIDC issuer |
//! | | `trust_gaps` | list of the words of `claviger_core::trust::Gap`: what the trust policy does not ask |
//! | access key | `status` | `Active` or `Inactive` |
//! | | `keys_of_user`, `active_keys_of_user` | number |
//! | | `own` | boolean: claviger works with it |
//! | | `root` | boolean: the account's root |
//! | | `never_used` | true where AWS says so; never said by compatible servers, which do not count |
//! | | `last_used_service`, `last_used_region` | string |
//! | grant | `arn`, `group` | string |
//! | | `inline`, `conditional` | boolean |
//! | | `actions` | list of strings, the first 20 |
//! | | `opens`, `opens_maybe` | secrets and parameters that it lets its holder read, as `claviger_core::chain::Pattern` has them; true: what takes that away is not looked at |
//! | secret (copy) | `arn`, `kms_key`, `rotation_lambda`, `owning_service`, `primary_region` | string |
//! | | `rotation_enabled` | boolean |
//! | | `rotation_days` | number |
//! | | `last_rotated`, `last_changed`, `last_accessed`, `next_rotation`, `deleted_date` | RFC 3339; `last_accessed` has a day's precision |
//! | | `stages` | list of strings: the version's labels |
//! | | `binary` | boolean |
//! | parameter (copy) | `arn`, `type`, `tier`, `kms_key`, `last_modified_user` | string |
//! | | `history_unread`, `tags_unread` | true where they were denied |
//!
//! # Roles in the place of keys
//!
//! A swap makes the role `claviger-<user>-<namespace>-<service account>`, tagged `claviger-operation`, with exactly the policies of the user and of its
//! groups and its boundary; what cannot be carried over (`${aws:username}`, tags of the user, too many policies) refuses the plan. The trust policy
//! asks `sub` and `aud` by `StringEquals`. Tried as the workload would, with a token of its account; what both may do is read from the policies and tried
//! with four lists. Needs `iam:GetUser`, `iam:ListOpenIDConnectProviders`, `iam:GetOpenIDConnectProvider`, `iam:GetRole`, `iam:CreateRole`, `iam:TagRole`,
//! `iam:AttachRolePolicy`, `iam:PutRolePolicy`, and to take it back `iam:DetachRolePolicy`, `iam:DeleteRolePolicy`, `iam:DeleteRole`, beside what a scan reads.
//! For a job of a forge the role is `claviger-<user>-ci-<hash of issuer and sub>`, and the forge's issuer is made known to IAM where it is not, with the
//! same tag: `iam:CreateOpenIDConnectProvider`, `iam:TagOpenIDConnectProvider`, and to take it back, unless another role trusts it by then,
//! `iam:DeleteOpenIDConnectProvider` and `iam:ListRoles`. Nobody but the job has its token: what both may do is read from the policies alone, and that
//! the job was let in from the role's last use.
//! EKS Pod Identity is not offered: what the cluster's agent does cannot be tried from outside of it.
//!
//! # To add
//!
//! Another service: its client in `clients.rs`, a file with a scope and a line in the tables, its permissions in `check.rs`. Another
//! dangerous IAM action: `iam/policy.rs`.
//!
//! # Known limits
//!
//! One region per backend. IAM cannot be told whose a new access key is to be, so that one whose answer was lost is found by the list of the
//! user's keys. An access key that is revoked leaves the session credentials that it made: they live until they expire. SSM
//! has no compare-and-set: a write that raced is found afterwards and told.

mod backend;
mod check;
mod clients;
mod config;
mod document;
mod ending;
mod failure;
mod federation;
mod iam;
mod issuer;
mod labels;
mod names;
mod parameter;
mod secret;
mod store;

pub use self::{backend::AwsBackend, config::AwsConfig};
