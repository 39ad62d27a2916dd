//! Forges: where code lies and CI runs. Inventory, access tokens and deploy keys as an issuer, the secrets of CI as places that take a value and
//! show none.
//!
//! It knows the HTTP APIs of forges and OpenSSH's client programs. It must not know sagas, the database, or what other systems hold.
//!
//! To add a product: a folder in `product/` with the files that `product/gitea/` has, its type below, one kind in the CLI's registry. What is alike at
//! all of them (HTTP and its errors, pages, the marker beside a secret, logins by SSH) lies beside `product/`.
//!
//! # Gitea and Forgejo
//! Everything was run on Gitea 1.26.0. Refs, in which a name stands as the server has it:
//! `users/<user>`, `users/<user>/tokens/<id>`, `users/<user>/actions/variables/<NAME>` · `orgs/<organisation>/actions/secrets/<NAME>`, `…/variables/<NAME>`
//! · `<owner>/<repository>/actions/secrets/<NAME>`, `…/variables/<NAME>`, `…/deploy-keys/<id>`, `…/hooks/<id>`, `…/workflows/<file>#jobs/<job>`. An owner
//! who is called `users` or `orgs` is left out, and said to be.
//!
//! ## Scopes
//! Phase `Issuers`: `instance`: `users`, `organisations`, `repositories`; `users/<user>`: `tokens`, `keys`; `<owner>/<repository>`: `deploy-keys`.
//! Phase `Stores`: `orgs/<organisation>`: `secrets`, `secret-values`, `variables`; `users/<user>`: `oauth2`, `secrets`, `variables`; `<owner>/<repository>`: the same as of an
//! organisation, `hooks`, `hook-secrets`, `workflows`. Values of secrets are `unreadable` wherever there is one; a user's secrets cannot even be listed.
//!
//! ## Attributes
//! | subject | key | value |
//! | --- | --- | --- |
//! | user (identity) | `site_admin`, `restricted` | boolean |
//! | access token | `scopes` | list of strings |
//! | | `no_expiry`, `own` | boolean; `own`: the one that we work with |
//! | | `name` | string |
//! | deploy key | `read_only`, `no_expiry` | boolean |
//! | | `title` | string |
//! | OAuth application | `client_id`, `confidential_client`, `redirect_uris` | |
//! | secret, hook (copy) | `write_only` | boolean |
//! | hook (copy) | `hook_url`, `hook_type`, `active` | URL without user, password and query |
//! | workflow job (consumer) | | [`claviger_core::workflow::Job::facts`] |
//!
//! ## Known limits
//! A secret's `created_at` does not change with its value, so its age is that of the name; a write of ours is known by the marker in its description
//! alone. Whoever edits the value in the web form keeps the description, and nobody can see that. There is no compare-and-set: what is expected is looked
//! at right before the write. Tokens are listed, made and deleted with user and password only, of other users by a site administrator. A deploy key is
//! proven through the SSH server, whose host key must be known. One key may be registered for several repositories: while it is, it is let in.

mod client;
mod marker;
mod product;
mod ssh;

pub use self::{
    client::Login,
    product::gitea::{GiteaBackend, GiteaConfig},
};
