//! What may take an access key's place: for a workload of a cluster a role that its programs take by the SDKs' variables, for a job of a forge one that it
//! takes by a step of its workflow.

use std::collections::BTreeMap;

use claviger_backend::{Candidate, Error, ErrorKind, Offered, Proposal, Result};
use claviger_core::{
    reference::Ref,
    saga::{Arrangement, Mounting},
    trust::WebIdentity,
};
use sha2::{Digest as _, Sha256};

use super::{provider::Known, rights::Rights, session, terms::Terms};
use crate::{
    backend::AwsBackend,
    names::{self, Named},
};

/// For whom a token is made that becomes a role.
pub(super) const AUDIENCE: &str = "sts.amazonaws.com";
/// How long a token of a cluster's workload holds, in seconds: as EKS has it.
const TOKEN_SECONDS: u32 = 86_400;
/// How long a job's session lasts, in seconds: what `aws-actions/configure-aws-credentials` asks for by itself.
const SESSION_SECONDS: u32 = 3_600;
/// Where the SDKs are used to find the token.
const FOLDER: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
/// The annotation of a ServiceAccount by which EKS knows its role.
const ANNOTATION: &str = "eks.amazonaws.com/role-arn";
/// Characters of a role's name.
const NAME: usize = 64;

/// Who is to be let in.
struct Sought {
    trust: WebIdentity,
    /// Name of the role.
    role: String,
    /// The issuer that IAM has to be told of.
    issuer: Option<String>,
}

/// The first digits of a hash.
fn short(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// A name that says whose rights these are and for whom; hashed where it would be too long.
fn role_name(user: &str, namespace: &str, account: &str) -> String {
    let whole = format!("claviger-{user}-{namespace}-{account}");
    if whole.len() <= NAME {
        return whole;
    }
    let fits = whole.char_indices().map(|(at, _)| at).take_while(|at| *at < NAME - 9).last().unwrap_or(0);
    format!("{}-{}", &whole[..fits], short(&whole))
}

/// Namespace and name of a ServiceAccount.
fn account_of(account: &Ref) -> Option<(&str, &str)> {
    let (namespace, name) = account.path().split_once("/ServiceAccount/")?;
    (!namespace.contains('/') && !name.contains('/')).then_some((namespace, name))
}

impl AwsBackend {
    pub(super) async fn offer(&self, candidate: &Candidate<'_>) -> Result<Offered> {
        let Ok(Named::AccessKey { user, id }) = names::read(&self.info.name, "offers", candidate.subject)
        else {
            return Ok(Offered::no(
                "not-federated",
                "only access keys of IAM users have a role in their place",
            ));
        };
        if self.account.caller("offers").await?.key_id.as_deref() == Some(id) {
            return Ok(Offered::no("own-key", "it is the key that claviger itself works with"));
        }
        let sought = match self.sought(candidate, user).await? {
            Ok(sought) => sought,
            Err(no) => return Ok(no),
        };
        let rights = Rights::of_user(self.scan().await?, user).await?;
        if let Some(why) = rights.obstacle() {
            return Ok(Offered::no("rights-not-portable", why));
        }
        if let Err(error) = sought.trust.policy() {
            return Ok(Offered::no("trust-not-exact", error.to_string()));
        }
        if self.role("offers", &sought.role).await?.is_some() {
            return Ok(Offered::no(
                "name-taken",
                format!("there is a role {} already, which is not ours to change", sought.role),
            ));
        }
        let terms = Terms { issuer: sought.issuer, ..Terms::new(sought.role, sought.trust, &rights) };
        let proposal = match candidate.holder.runs {
            None => self.mounted(candidate, terms, user),
            Some(_) => {
                let region = self.account.clients().await?.region().unwrap_or_default();
                self.stepped(candidate, terms, user, region)
            }
        };
        Ok(Offered::Yes(Box::new(proposal)))
    }

    async fn sought(
        &self,
        candidate: &Candidate<'_>,
        user: &str,
    ) -> Result<std::result::Result<Sought, Offered>> {
        let holder = candidate.holder;
        let (subject, role) = match (&holder.runs, account_of(&holder.account)) {
            (Some(runs), _) => {
                let issuer = holder.issuer.as_deref().unwrap_or_default();
                (runs.subject.clone(), role_name(user, "ci", &short(&format!("{issuer} {}", runs.subject))))
            }
            (None, Some((namespace, account))) => {
                (format!("system:serviceaccount:{namespace}:{account}"), role_name(user, namespace, account))
            }
            (None, None) => {
                return Ok(Err(Offered::no(
                    "no-account",
                    "the workload runs as no ServiceAccount of a cluster",
                )));
            }
        };
        let Some(issuer) = &holder.issuer else {
            return Ok(Err(Offered::no("no-issuer", "its platform does not say who signs its tokens")));
        };
        let (provider, made) = match (self.known(issuer).await?, &holder.runs) {
            (Known::Yes(arn), _) => (arn, None),
            (Known::NotForUs(arn), _) => {
                let why = format!("{arn} does not take the audience {AUDIENCE}: add it to its client ids");
                return Ok(Err(Offered::no("issuer-unknown", why)));
            }
            (Known::No, None) => {
                let why = format!(
                    "IAM does not know the issuer {issuer}: create an OpenID Connect provider for it with the audience {AUDIENCE}"
                );
                return Ok(Err(Offered::no("issuer-unknown", why)));
            }
            (Known::No, Some(_)) if !issuer.starts_with("https://") => {
                let why = format!("IAM takes an issuer by https alone, and {issuer} is none");
                return Ok(Err(Offered::no("issuer-unknown", why)));
            }
            (Known::No, Some(_)) => (self.provider_arn(issuer).await?, Some(issuer.clone())),
        };
        let trust = WebIdentity { provider, subject, audience: AUDIENCE.to_owned() };
        Ok(Ok(Sought { trust, role, issuer: made }))
    }

    /// The ARN that a provider of this issuer gets in our account.
    async fn provider_arn(&self, issuer: &str) -> Result<String> {
        let ours = &self.account.caller("offers").await?.arn;
        let parts: Vec<&str> = ours.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", partition, _, _, account, _] if !account.is_empty() => {
                Ok(format!("arn:{partition}:iam::{account}:oidc-provider/{}", session::bare(issuer)))
            }
            _ => Err(Error::new(ErrorKind::Unexpected, "offers", "AWS does not say which account is ours")),
        }
    }

    /// What a plan keeps of a role.
    fn arrangement(&self, candidate: &Candidate<'_>, terms: &Terms, lifetime: u32) -> Arrangement {
        Arrangement {
            at: names::role(&self.info.name, &terms.role),
            account: candidate.holder.account.clone(),
            audience: Some(AUDIENCE.to_owned()),
            lifetime,
            terms: terms.attributes(),
        }
    }

    /// For a job, whose workflow logs in by a step.
    fn stepped(&self, candidate: &Candidate<'_>, terms: Terms, user: &str, region: String) -> Proposal {
        let mut notes = vec![
            of_resources(user, &terms),
            "a token of a job is made in its runs alone, so claviger logs in with none: that the role lets it in is seen by the role's last use, which AWS may tell hours late, and what it may do is read from its policies and not tried".to_owned(),
        ];
        if let Some(issuer) = &terms.issuer {
            notes.push(format!(
                "IAM is made to know the issuer {issuer} (audience {AUDIENCE}), and has to reach it; who else trusts it is for other roles to say"
            ));
        }
        Proposal {
            mounting: Mounting {
                from: Some(candidate.object.clone()),
                audience: Some(AUDIENCE.to_owned()),
                lifetime: SESSION_SECONDS,
                variables: BTreeMap::from([
                    ("AWS_ROLE_ARN".to_owned(), terms.arn.clone()),
                    ("AWS_REGION".to_owned(), region),
                ]),
                ..Mounting::default()
            },
            arrangement: self.arrangement(candidate, &terms, SESSION_SECONDS),
            makes: true,
            by_hand: Some("its workflow is its repository's: commit the patch there".to_owned()),
            notes,
        }
    }

    /// For a workload of a cluster, whose program takes the role by variables.
    fn mounted(&self, candidate: &Candidate<'_>, terms: Terms, user: &str) -> Proposal {
        let variables = BTreeMap::from([
            ("AWS_ROLE_ARN".to_owned(), terms.arn.clone()),
            ("AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(), format!("{FOLDER}/token")),
        ]);
        let notes = vec![
            of_resources(user, &terms),
            "the program has to use an SDK that knows web identities, and may not be told a key by itself"
                .to_owned(),
        ];
        Proposal {
            mounting: Mounting {
                from: Some(candidate.object.clone()),
                audience: Some(AUDIENCE.to_owned()),
                lifetime: TOKEN_SECONDS,
                folder: Some(FOLDER.to_owned()),
                variables,
                annotations: BTreeMap::new(),
                account_annotations: BTreeMap::from([(ANNOTATION.to_owned(), terms.arn.clone())]),
            },
            arrangement: self.arrangement(candidate, &terms, TOKEN_SECONDS),
            makes: true,
            by_hand: Some(
                "its program has to take the role: an SDK does by the variables, as soon as no key is found before them".to_owned(),
            ),
            notes,
        }
    }
}

fn of_resources(user: &str, terms: &Terms) -> String {
    format!(
        "policies of resources (buckets, keys, queues) that name the user `{user}` are not seen from here: they have to name {} as well",
        terms.arn
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_roles_fit_and_differ() {
        assert_eq!(role_name("ci", "payments", "web"), "claviger-ci-payments-web");
        let long = "x".repeat(63);
        let (one, other) = (role_name("ci", &long, "web"), role_name("ci", &long, "other"));
        assert!(one.len() <= NAME && other.len() <= NAME && one != other, "{one} {other}");
    }

    #[test]
    fn accounts_are_of_a_cluster() {
        assert_eq!(
            account_of(&Ref::from_text("prod/payments/ServiceAccount/web")),
            Some(("payments", "web"))
        );
        assert_eq!(account_of(&Ref::from_text("prod/payments/Deployment/web")), None);
    }
}
