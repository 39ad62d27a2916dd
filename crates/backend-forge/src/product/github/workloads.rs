//! Jobs as bearers of short-lived identities: a job asks the forge for a token that says whose job it is, and nobody else is given one.
//!
//! Sources: GitHub's "OpenID Connect reference" (issuer, `sub`) and "Configuring OpenID Connect in cloud providers"; GitHub Enterprise Server's issuer is
//! its host with `/_services/token`, one with data residency has its own. A workflow file is its repository's: what has to change is written down.

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_backend::{Error, ErrorKind, Holder, Operation, Reads, Result, Runs, StoreState, Workloads};
use claviger_core::{
    reference::Ref,
    saga::{Binding, Mounting},
    secret::SecretValue,
    workflow::{
        self, Job, Workflow,
        exchange::{self, Exchange},
        subject::{self, Form},
    },
};

use super::{
    backend::GithubBackend,
    names::{Family, Names, Subject},
    wire::{Content, SubjectClaim},
};
use crate::client::Request;

/// A role and a region that stand for others where it is tried whether a file could be changed.
const TRIED: (&str, &str) = ("arn:aws:iam::000000000000:role/tried", "us-east-1");

/// A job, and the file that it stands in.
struct Found<'a> {
    owner: &'a str,
    name: &'a str,
    path: &'a str,
    text: String,
    workflow: Workflow,
    job: Job,
}

/// Who signs the tokens of jobs, by the API's address.
fn issuer(address: &str) -> Option<String> {
    let url = reqwest::Url::parse(address).ok()?;
    let host = url.host_str()?;
    Some(match host.strip_prefix("api.") {
        Some("github.com") => "https://token.actions.githubusercontent.com".to_owned(),
        Some(residency) if residency.ends_with(".ghe.com") => format!("https://token.actions.{residency}"),
        _ => format!("https://{host}/_services/token"),
    })
}

/// The name of an Actions secret.
fn secret_of(operation: &'static str, object: &Ref) -> Result<String> {
    match Names::subject(object) {
        Subject::Secret(_, Family::Actions, name) => Ok(name.to_ascii_uppercase()),
        _ => Err(Error::new(ErrorKind::Invalid, operation, format!("{object} is no secret of Actions"))),
    }
}

impl GithubBackend {
    /// The job as its file on the default branch has it.
    async fn job<'a>(&self, operation: &'static str, consumer: &'a Ref) -> Result<Found<'a>> {
        let Some((owner, name, path, job)) = Names::job(consumer) else {
            let text = format!("{consumer} is no job of a workflow");
            return Err(Error::new(ErrorKind::Invalid, operation, text));
        };
        let gone = || Error::new(ErrorKind::NotFound, operation, format!("{consumer} is not there any more"));
        let mut segments = vec!["repos", owner, name, "contents"];
        segments.extend(path.split('/'));
        let file: Option<Content> = self.access.maybe(operation, Request::get(&segments)).await?;
        let unread = || Error::new(ErrorKind::Unexpected, operation, format!("{path} could not be read"));
        let Some(file) = file else {
            // What a token may not see is missing for it too: that is no file that is gone.
            self.named(operation, (owner, name)).await?;
            return Err(gone());
        };
        let text = file.content.ok_or_else(unread)?;
        let text: String = text.split_whitespace().collect();
        let text =
            STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(unread)?;
        // One that is no workflow is not run, and may be mended as it was.
        let workflow = workflow::read(&text).ok_or_else(unread)?;
        let job = workflow.jobs.iter().find(|it| it.name == job).ok_or_else(gone)?.clone();
        Ok(Found { owner, name, path, text, workflow, job })
    }

    /// The repository with its numbers. The list is all that shows them.
    async fn named(
        &self,
        operation: &'static str,
        (owner, name): (&str, &str),
    ) -> Result<subject::Repository> {
        let all = self.repositories(operation).await?;
        let one = all.into_iter().find(|one| one.owner.login == owner && one.name == name);
        let one = one.ok_or_else(|| {
            let text = format!(
                "{owner}/{name} is not among the repositories that we see: it is gone, or hidden from us"
            );
            Error::new(ErrorKind::Denied, operation, text)
        })?;
        Ok(subject::Repository {
            owner: one.owner.login,
            name: one.name,
            owner_id: one.owner.id,
            id: one.id,
            default_branch: one.default_branch,
        })
    }

    /// The form of `sub`: the repository's own, else its organisation's, else the forge's. `Err`: it cannot be told.
    async fn form(&self, owner: &str, name: &str) -> Result<std::result::Result<Form, String>> {
        let ask = async |path: &[&str]| -> Result<std::result::Result<Option<SubjectClaim>, String>> {
            match self.access.maybe("holder", Request::get(path)).await {
                Ok(claim) => Ok(Ok(claim)),
                Err(error) if error.kind() == ErrorKind::Denied => {
                    Ok(Err(format!("we may not read which form `sub` has there ({})", error.message())))
                }
                Err(error) => Err(error),
            }
        };
        let tail = ["actions", "oidc", "customization", "sub"];
        let of_repository: Vec<&str> = ["repos", owner, name].into_iter().chain(tail).collect();
        let claim = match ask(&of_repository).await? {
            Ok(claim) => claim,
            Err(why) => return Ok(Err(why)),
        };
        let Some(claim) = claim else { return Ok(Ok(Form::own(false))) };
        let immutable = claim.use_immutable_subject;
        if claim.sub_claim_prefix.is_some_and(|prefix| prefix.contains('@') != immutable) {
            return Ok(Err("the forge says two things of whether `sub` has numbers in it".to_owned()));
        }
        if claim.use_default {
            return Ok(Ok(Form::own(immutable)));
        }
        if !claim.include_claim_keys.is_empty() {
            return Ok(Ok(Form { keys: claim.include_claim_keys, immutable }));
        }
        let above: Vec<&str> = ["orgs", owner].into_iter().chain(tail).collect();
        Ok(ask(&above).await?.and_then(|above| match above {
            Some(above) => Ok(Form {
                keys: above.include_claim_keys,
                immutable: immutable || above.use_immutable_subject,
            }),
            None => Err("its organisation's form of `sub` is not shown".to_owned()),
        }))
    }

    /// As whom the job's runs are known, and why a role cannot take the secret's place in the file.
    async fn vouched(
        &self,
        found: &Found<'_>,
        secret: &str,
    ) -> Result<std::result::Result<(Runs, Vec<String>), (&'static str, String)>> {
        let form = match self.form(found.owner, found.name).await? {
            Ok(form) => form,
            Err(why) => return Ok(Err(("subject-unknown", why))),
        };
        let of = self.named("holder", (found.owner, found.name)).await?;
        if form.immutable && (of.id == 0 || of.owner_id == 0) {
            let why = "the numbers that stand in `sub` are not shown".to_owned();
            return Ok(Err(("subject-unknown", why)));
        }
        let told = |job: &Job| subject::subject(found.path, &found.text, job, &of, &form);
        let subject = match told(&found.job) {
            Ok(subject) => subject,
            Err(why) => return Ok(Err(("subject-not-exact", why.to_string()))),
        };
        // A file changes once, for all of its jobs that read the secret.
        let mut others = exchange::readers(&found.workflow, secret).filter(|job| job.name != found.job.name);
        if let Some(other) = others.find(|job| told(job).as_ref() != Ok(&subject)) {
            let why = format!(
                "the job `{}` of the same file reads it too, and is known by another `sub`, or by none that can be told: one role cannot be for both",
                other.name
            );
            return Ok(Err(("several-subjects", why)));
        }
        let (role, region) = TRIED;
        match exchange::exchange(found.path, &found.text, Exchange { secret, role, region }) {
            Ok(changed) => Ok(Ok((Runs { subject }, changed.notes))),
            Err(why) => Ok(Err((
                "workflow-shape",
                format!("{} is not understood well enough to be changed: {why}", found.path),
            ))),
        }
    }

    fn only_by_hand(operation: &'static str, at: &Ref, why: &str) -> Error {
        Error::new(ErrorKind::Unsupported, operation, format!("{at}: {why}"))
    }
}

#[async_trait]
impl Workloads for GithubBackend {
    async fn holder(&self, consumer: &Ref, object: &Ref) -> Result<Holder> {
        let secret = secret_of("holder", object)?;
        let found = self.job("holder", consumer).await?;
        let mut holder = Holder {
            consumer: consumer.clone(),
            account: self.names.object(&format!("{}/{}/actions", found.owner, found.name)),
            reads: Reads::Nothing,
            notes: Vec::new(),
            issuer: issuer(self.access.address()),
            changeable: StoreState::ManagedElsewhere("its repository".to_owned()),
            runs: None,
        };
        if !exchange::readers(&found.workflow, &secret).any(|job| job.name == found.job.name) {
            return Ok(holder);
        }
        match self.vouched(&found, &secret).await? {
            Ok((runs, notes)) => {
                holder.reads = Reads::Given;
                holder.runs = Some(runs);
                holder.notes = notes;
                holder.notes.push(format!(
                    "files are read on the default branch alone: what one of another branch does with {object} is not seen, and whoever uses it there is cut off"
                ));
            }
            Err((code, why)) => holder.reads = Reads::Fixed(code, why),
        }
        Ok(holder)
    }

    async fn assertion(&self, account: &Ref, _audience: Option<&str>, _seconds: u32) -> Result<SecretValue> {
        Err(Self::only_by_hand("assertion", account, "a job's token is made in its own runs alone"))
    }

    async fn bind(&self, _op: &Operation, consumer: &Ref, _binding: &Binding) -> Result<()> {
        Err(Self::only_by_hand("bind", consumer, "its workflow is its repository's to change"))
    }

    async fn bound(&self, _op: &Operation, consumer: &Ref) -> Result<bool> {
        Err(Self::only_by_hand("bound", consumer, "its workflow is its repository's to change"))
    }

    /// A unified diff, which `git apply` takes, with what its reader should know before it.
    async fn patch(&self, consumer: &Ref, mounting: &Mounting) -> Result<(String, String)> {
        let lacks = |what: &str| {
            Error::new(ErrorKind::Invalid, "patch", format!("{consumer}: no {what} is arranged"))
        };
        let secret = secret_of("patch", mounting.from.as_ref().ok_or_else(|| lacks("secret"))?)?;
        let variable = |name: &str| mounting.variables.get(name).ok_or_else(|| lacks(name));
        let (role, region) = (variable("AWS_ROLE_ARN")?, variable("AWS_REGION")?);
        let found = self.job("patch", consumer).await?;
        let changed = exchange::exchange(found.path, &found.text, Exchange { secret: &secret, role, region })
            .map_err(|why| Self::only_by_hand("patch", consumer, &why.to_string()))?;
        let file = found.path.rsplit('/').next().unwrap_or(found.path);
        let notes: String = changed.notes.iter().map(|note| format!("{note}\n")).collect();
        let head = format!(
            "{}/{}: the jobs {} take {role} instead of {secret}\n",
            found.owner,
            found.name,
            changed.jobs.join(", ")
        );
        Ok((
            format!("{}-{}-{file}.patch", found.owner, found.name),
            format!("{head}{notes}\n{}", changed.patch),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_signs_as_itself() {
        for (address, expected) in [
            ("https://api.github.com", "https://token.actions.githubusercontent.com"),
            ("https://api.acme.ghe.com", "https://token.actions.acme.ghe.com"),
            ("https://ghe.internal/api/v3", "https://ghe.internal/_services/token"),
            ("https://api.internal/v3", "https://api.internal/_services/token"),
        ] {
            assert_eq!(issuer(address).as_deref(), Some(expected), "{address}");
        }
    }
}
