//! Forges: where code lies and CI runs. Inventory, access tokens and deploy keys as an issuer, the secrets of CI as places that take a value and
//! show none.
//!
//! It knows the HTTP APIs of forges and OpenSSH's client programs. It must not know sagas, the database, or what other systems hold.
//!
//! GitHub is not what it was run against: that is a fake, which together with this client is held against GitHub's own description of its API.
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
//! proven through the SSH server, whose host key must be known; another one is made beside it, with the same right, and its public half alone is told to the forge. One key may be registered for several repositories: while it is, it is let in.
//!
//! # GitLab
//! **No server was there: everything was run on a fake built from GitLab's own REST documents** (`doc/api` of its repository, GitLab 17 to 19; the fake is in
//! `tests/src/lab/gitlab`). Refs: `<path>/variables/<KEY>@<scope>`, `<path>/hidden-variables/<KEY>@<scope>` (`-` in place of the path: the instance's) ·
//! `<path>/access-tokens/<id>`, `…/deploy-tokens/<id>`, `…/deploy-keys/<id>`, `…/triggers/<id>` · `users/<user>/access-tokens/<id>`, `users/<user>/impersonation-tokens/<id>` ·
//! `-/runners/<id>` · `<path>/pipelines/<file>#jobs/<job>`. A path is a group's or a project's, with all groups above it.
//!
//! A token is replaced by another one beside it. `POST …/rotate` is never sent: it ends the old token before anybody holds the new one, and sent twice it
//! ends both. What an answer was lost of is found by the operation's key in the token's name.
//!
//! ## Scopes
//! Phase `Issuers`: `instance`: `users`, `groups`, `projects`, `runners`; `users/<user>`: `access-tokens`, `impersonation-tokens`; `<path>`: `access-tokens`,
//! `deploy-tokens`, `deploy-keys`, `triggers`. Phase `Stores`: `instance`: `groups`, `projects`; `<path>` and `-`: `variables`, `hidden-values`; `<project>`: `pipelines`,
//! `trigger-values`. Without an administrator's token the lists of the instance end `denied`: only what its user is in is read.
//!
//! ## Attributes
//! | subject | key | value |
//! | --- | --- | --- |
//! | user (identity) | `site_admin` | boolean, where GitLab tells |
//! | identity of a token, key, trigger or runner | `access_token`, `deploy_token`, `deploy_key`, `trigger`, `runner` | boolean |
//! | deploy key | `title`, `read_only`, `no_expiry` | as at Gitea |
//! | token | `name`, `description`, `username`, `scopes`, `no_expiry`, `own` | as at Gitea |
//! | runner's token | `runner_type`, `status` | string |
//! | variable (copy) | `variable_type`, `environment_scope` | string |
//! | | `protected`, `masked`, `write_only` | boolean |
//! | pipeline's job (consumer) | | [`claviger_core::workflow::Job::facts`], and `elsewhere`: parts of the pipeline that lie in other files |
//!
//! ## Known limits
//! GitLab compares nothing when a variable is written: what is expected is looked at right before. A version of a shown variable is a keyed digest of its value;
//! of a hidden one, the marker in its description. A variable that is not raw is expanded, so a value with `$` is refused for it; a masked one takes no
//! short value and none with spaces. A deploy key is proven through the SSH server and another one made beside it, as at Gitea; one that several projects
//! have is taken from one of them. Deploy tokens, triggers and runners cannot be tried without an effect, so their end is attested, not proven, and none is made: another one could not be shown to work. Whose a
//! leaked token is, GitLab tells administrators of a server of their own only. Jobs of included files are not known, and where a project's variables are
//! refused to us, its jobs are said to read those of its groups.
//!
//! # Jenkins
//! **No server was there: everything was run on a fake built from the Credentials plugin's own documents** (`docs/user.adoc`; the fake is in
//! `tests/src/lab/jenkins.rs`). Refs: `<store>/<domain>/<id>#<element>`: the store is `system`, or `job/<folder>[/job/<folder>…]` of a folder; the domain `_` is
//! the global one; the element is the one in the credential's XML whose content Jenkins redacts: `secret`, `password`, `privateKeySource/privateKey`.
//!
//! ## Scopes
//! Phase `Issuers`: `instance`: `api-tokens`, always `unreadable`: Jenkins lists them to nobody (they can be made and ended by their number, and what an interrupted call
//! had made could not be found again), so none is known here and none is made or ended. Phase `Stores`:
//! `instance` and `<store>`: `folders`; `<store>`: `domains`, `credentials/<domain>`, `values/<domain>`, which is `unreadable` wherever there is one.
//!
//! ## Attributes
//! | subject | key | value |
//! | --- | --- | --- |
//! | credential (copy) | `write_only` | boolean |
//! | | `class`, `description`, `credential_scope` | string |
//!
//! ## Known limits
//! A credential is written as a whole, so one with two redacted elements takes no value of ours. Jenkins compares nothing: what is expected is looked at right
//! before the write. Whoever changes the value and leaves the description is not noticed. Stores of users, and jobs that read a credential, are not read;
//! Jenkinsfiles are, by the backend of files.

//!
//! # GitHub and GitHub Enterprise Server
//! **Run on a fake only** (`tests/src/lab/github`): requests and answers are checked against GitHub's own OpenAPI description (npm `@octokit/openapi` 23.0.2); what it does not say is
//! believed from GitHub's documentation. Refs: `<owner>/<repository>/{actions,dependabot,codespaces}/secrets/<NAME>`, `…/actions/variables/<NAME>`,
//! `…/environments/<environment>/{secrets,variables}/<NAME>` (`%`, `/` and `#` of an environment's name as `%25`, `%2F`, `%23`), `…/deploy-keys/<id>`, `…/hooks/<id>`,
//! `…/workflows/<file>#jobs/<job>`, `…/secret-scanning/alerts/<number>`, `…/actions` (its jobs, where one asks for an identity) · `orgs/<organisation>/…` the same, and
//! `personal-access-tokens/<id>`, `credential-authorizations/<id>`, `installations/<id>` · `users/<user>`.
//!
//! ## Scopes
//! Both phases: `instance`: `organisations`, `repositories`. Phase `Issuers`: `orgs/<organisation>`: `tokens` (told to Apps alone), `authorizations` (with single sign-on only),
//! `apps`; `<owner>/<repository>`: `deploy-keys`. Phase `Stores`: `secrets`, `secret-values`, `dependabot-secrets`, `dependabot-secret-values`, `codespaces-secrets`,
//! `codespaces-secret-values`, `variables`, `hooks`, `hook-secrets`, `leaks` of organisations (of a user's repositories: of each); of repositories also `environments`, `workflows`; of
//! environments `secrets`, `secret-values`, `variables`.
//!
//! ## Attributes
//! | subject | key | value |
//! | --- | --- | --- |
//! | token | `scopes`, `name`, `repositories`, `let_in_at`, `no_expiry`, `never_used`, `own` | as of Gitea; rights by name of a fine-grained one |
//! | | `classic`, `fine_grained`, `credential_type` | |
//! | deploy key | `read_only`, `title`, `no_expiry` | |
//! | app (identity) | `app`, `app_id`, `repositories` | |
//! | jobs of a repository (identity) | `federated`, `oidc_subject` | the claims of which `sub` is made; `unknown` where we may not see them |
//! | secret, hook (copy) | `write_only`, `visibility` | |
//! | hook (copy) | `hook_url`, `hook_type`, `active`, `signed`, `tls_unverified` | |
//! | alert (former copy) | `leaked`, `publicly_leaked`, `leak_url`, `leak_path`, `leak_rule`, `leak_validity` | |
//!
//! ## Jobs as bearers of short-lived identities
//! A job's token is made in its own runs alone, so none is asked for here. Its `sub` is told from the workflow file on the default branch and the form that repository or
//! organisation have set (`claviger_core::workflow::subject`); where that is not one text, nothing is offered. The change of the file is a patch
//! (`claviger_core::workflow::exchange`): it is the repository's to commit. Reads `contents`, `actions/oidc/customization/sub` and the list of repositories.
//!
//! ## Known limits
//! A secret has no description: of a write only its second is seen. Our ledger knows which value went under which second; whether an interrupted write took place, or somebody
//! else's did, cannot be told, and the value is then put there again. There is no compare-and-set. Tokens cannot be made by programs, so none is rotated. A token
//! is ended by its value (`POST /credentials/revoke`; an Enterprise Server has no such call), and its owner is told; without the value an organisation shuts it out, and it lives
//! on elsewhere. Of fine-grained tokens no part of the value is shown: that a leaked one is this one has to be said under `[[credentials]]`. A user's own codespaces secrets
//! and SSH keys are not read. A deploy key is proven through the SSH server and another one made beside it, as at Gitea; GitHub takes each public half only once.

mod client;
mod deploy_key;
mod marker;
mod naming;
mod owners;
mod permission;
mod place;
mod product;
mod ssh;

pub use self::{
    client::Login,
    product::{
        gitea::{GiteaBackend, GiteaConfig},
        github::{App, Application, GithubBackend, GithubConfig},
        gitlab::{GitlabBackend, GitlabConfig},
        jenkins::{JenkinsBackend, JenkinsConfig},
    },
};
