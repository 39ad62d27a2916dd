//! What a user or a role may do, whole: every policy with its document. A role that takes a user's place gets exactly these.
//!
//! Source: the IAM User Guide, "Policy evaluation logic": a principal's rights are the union of its identity policies, cut by its boundary; a
//! user's groups count, a role has none. Limits: "IAM and AWS STS quotas", the defaults.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use claviger_backend::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::{
    failure::patiently,
    iam::{Scan, decode, pages},
};

/// Managed policies of one role.
const MANAGED: usize = 10;
/// Characters of all inline policies of one role, white space left out.
const INLINE: usize = 10_240;
/// Characters of the name of an inline policy.
const NAME: usize = 128;

/// Words in a policy that mean the user who signs: to a role's session they mean something else, or nothing.
const OF_THE_USER: [&str; 8] = [
    "aws:username",
    "aws:userid",
    "aws:principaltype",
    "aws:principaltag/",
    "aws:principalarn",
    "aws:tokenissuetime",
    "aws:multifactorauth",
    "aws:assumedroot",
];

/// What a principal may do.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rights {
    /// Managed policies by ARN.
    pub(super) managed: BTreeMap<String, Value>,
    /// Inline ones by name; of a user's groups with the group's name before it.
    pub(super) inline: BTreeMap<String, Value>,
    /// The permissions boundary's ARN and document.
    pub(super) boundary: Option<(String, Value)>,
}

fn parsed(what: &str, document: &str) -> Result<Value> {
    serde_json::from_str(&decode(document))
        .map_err(|_| Error::new(ErrorKind::Unexpected, "offers", format!("the policy {what} cannot be read")))
}

/// A managed policy's default version.
async fn managed(scan: Scan<'_>, arn: &str) -> Result<Value> {
    let (endpoint, iam) = (scan.account.endpoint(), &scan.clients.iam);
    let lacking = || Error::new(ErrorKind::Unexpected, "offers", format!("{arn} shows no document"));
    let policy = patiently(endpoint, "iam:GetPolicy", || iam.get_policy().policy_arn(arn).send()).await?;
    let version = policy.policy.and_then(|policy| policy.default_version_id).ok_or_else(lacking)?;
    let ask = || iam.get_policy_version().policy_arn(arn).version_id(&version).send();
    let answer = patiently(endpoint, "iam:GetPolicyVersion", ask).await?;
    parsed(arn, &answer.policy_version.and_then(|version| version.document).ok_or_else(lacking)?)
}

impl Rights {
    /// A user's, with those of its groups.
    ///
    /// # Errors
    /// As [`crate::failure::of`]; one policy that cannot be read makes the whole unknown.
    pub(super) async fn of_user(scan: Scan<'_>, user: &str) -> Result<Self> {
        let iam = &scan.clients.iam;
        let mut rights = Self::default();
        let found =
            patiently(scan.account.endpoint(), "iam:GetUser", || iam.get_user().user_name(user).send());
        let boundary = found.await?.user.and_then(|user| user.permissions_boundary);
        rights.bounded(scan, boundary).await?;
        let attached = pages!(
            scan,
            "iam:ListAttachedUserPolicies",
            iam.list_attached_user_policies().user_name(user),
            attached_policies
        );
        rights.attached(scan, attached.into_iter().flatten()).await?;
        for name in
            pages!(scan, "iam:ListUserPolicies", iam.list_user_policies().user_name(user), policy_names)
        {
            let ask = || iam.get_user_policy().user_name(user).policy_name(&name).send();
            let answer = patiently(scan.account.endpoint(), "iam:GetUserPolicy", ask).await?;
            rights.inline.insert(name.clone(), parsed(&name, &answer.policy_document)?);
        }
        for group in pages!(scan, "iam:ListGroupsForUser", iam.list_groups_for_user().user_name(user), groups)
        {
            rights.of_group(scan, &group.group_name).await?;
        }
        Ok(rights)
    }

    async fn of_group(&mut self, scan: Scan<'_>, group: &str) -> Result<()> {
        let iam = &scan.clients.iam;
        let attached = pages!(
            scan,
            "iam:ListAttachedGroupPolicies",
            iam.list_attached_group_policies().group_name(group),
            attached_policies
        );
        self.attached(scan, attached.into_iter().flatten()).await?;
        for name in
            pages!(scan, "iam:ListGroupPolicies", iam.list_group_policies().group_name(group), policy_names)
        {
            let ask = || iam.get_group_policy().group_name(group).policy_name(&name).send();
            let answer = patiently(scan.account.endpoint(), "iam:GetGroupPolicy", ask).await?;
            self.inline.insert(format!("{group}.{name}"), parsed(&name, &answer.policy_document)?);
        }
        Ok(())
    }

    /// A role's.
    ///
    /// # Errors
    /// As [`crate::failure::of`].
    pub(super) async fn of_role(
        scan: Scan<'_>,
        role: &str,
        boundary: Option<aws_sdk_iam::types::AttachedPermissionsBoundary>,
    ) -> Result<Self> {
        let iam = &scan.clients.iam;
        let mut rights = Self::default();
        rights.bounded(scan, boundary).await?;
        let attached = pages!(
            scan,
            "iam:ListAttachedRolePolicies",
            iam.list_attached_role_policies().role_name(role),
            attached_policies
        );
        rights.attached(scan, attached.into_iter().flatten()).await?;
        for name in
            pages!(scan, "iam:ListRolePolicies", iam.list_role_policies().role_name(role), policy_names)
        {
            let ask = || iam.get_role_policy().role_name(role).policy_name(&name).send();
            let answer = patiently(scan.account.endpoint(), "iam:GetRolePolicy", ask).await?;
            rights.inline.insert(name.clone(), parsed(&name, &answer.policy_document)?);
        }
        Ok(rights)
    }

    async fn bounded(
        &mut self,
        scan: Scan<'_>,
        boundary: Option<aws_sdk_iam::types::AttachedPermissionsBoundary>,
    ) -> Result<()> {
        if let Some(arn) = boundary.and_then(|boundary| boundary.permissions_boundary_arn) {
            let document = managed(scan, &arn).await?;
            self.boundary = Some((arn, document));
        }
        Ok(())
    }

    async fn attached(
        &mut self,
        scan: Scan<'_>,
        attached: impl Iterator<Item = aws_sdk_iam::types::AttachedPolicy>,
    ) -> Result<()> {
        for arn in attached.filter_map(|policy| policy.policy_arn) {
            if let Entry::Vacant(free) = self.managed.entry(arn) {
                let document = managed(scan, free.key()).await?;
                free.insert(document);
            }
        }
        Ok(())
    }

    /// Why a role cannot be given exactly these.
    pub(super) fn obstacle(&self) -> Option<String> {
        if self.managed.is_empty() && self.inline.is_empty() {
            return Some("the user has no policy: what its key may do comes from elsewhere, and a role would not get it".to_owned());
        }
        if self.managed.len() > MANAGED {
            return Some(format!(
                "the user and its groups have {} managed policies, and a role may have {MANAGED}",
                self.managed.len()
            ));
        }
        let length: usize = self.inline.values().map(|document| document.to_string().len()).sum();
        if length > INLINE {
            return Some(format!("inline policies of {length} characters, and a role may have {INLINE}"));
        }
        if let Some(name) = self.inline.keys().find(|name| name.len() > NAME) {
            return Some(format!("the inline policy `{name}` has a name that is too long for a role's"));
        }
        let boundary = self.boundary.iter().map(|(arn, document)| (arn, document));
        for (name, document) in self.managed.iter().chain(&self.inline).chain(boundary) {
            let text = document.to_string().to_lowercase();
            if let Some(word) = OF_THE_USER.iter().find(|word| text.contains(**word)) {
                return Some(format!(
                    "the policy `{name}` names `{word}`, which means the user and not a role's session"
                ));
            }
        }
        None
    }

    /// Every statement in one form, whatever policy it stands in, and what cuts them.
    pub(super) fn statements(&self) -> BTreeSet<String> {
        let policies = self.managed.values().chain(self.inline.values()).flat_map(statements_of);
        let boundary = self.boundary.iter().flat_map(|(_, document)| statements_of(document));
        policies.chain(boundary.map(|statement| format!("cut to {statement}"))).collect()
    }
}

/// Keys of a statement whose one text and list of one text mean the same, and in which order does not count.
const LISTS: [&str; 4] = ["Action", "NotAction", "Resource", "NotResource"];

fn statements_of(document: &Value) -> Vec<String> {
    let statements = match document.get("Statement") {
        Some(Value::Array(all)) => all.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    statements.into_iter().map(canonical).collect()
}

fn canonical(mut statement: Value) -> String {
    if let Some(fields) = statement.as_object_mut() {
        fields.remove("Sid");
        for key in LISTS {
            let Some(value) = fields.get_mut(key) else { continue };
            let mut all: Vec<String> = match &*value {
                Value::Array(all) => all.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect(),
                Value::String(one) => vec![one.clone()],
                _ => continue,
            };
            all.sort();
            all.dedup();
            *value = all.into();
        }
    }
    statement.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rights(documents: &[Value]) -> Rights {
        let named = documents.iter().enumerate().map(|(number, it)| (format!("p{number}"), it.clone()));
        Rights { inline: named.collect(), ..Rights::default() }
    }

    #[test]
    fn the_same_statements_are_the_same_rights_wherever_they_stand() {
        let one = rights(&[json!({"Statement": [
            {"Sid": "A", "Effect": "Allow", "Action": ["s3:Put", "s3:Get"], "Resource": "*"},
            {"Effect": "Deny", "Action": "iam:*", "Resource": "*"},
        ]})]);
        let other = rights(&[
            json!({"Statement": {"Effect": "Deny", "Action": ["iam:*"], "Resource": ["*"]}}),
            json!({"Statement": {"Effect": "Allow", "Action": ["s3:Get", "s3:Put"], "Resource": "*"}}),
        ]);
        assert_eq!(one.statements(), other.statements());
        let less = rights(&[json!({"Statement": {"Effect": "Allow", "Action": "s3:Get", "Resource": "*"}})]);
        assert_ne!(one.statements(), less.statements());
        let bounded = Rights {
            boundary: Some((
                "arn".to_owned(),
                json!({"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}),
            )),
            ..one.clone()
        };
        assert_ne!(one.statements(), bounded.statements(), "a boundary cuts");
    }

    #[test]
    fn what_a_role_cannot_carry_is_an_obstacle() {
        let plain = json!({"Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}});
        assert_eq!(rights(std::slice::from_ref(&plain)).obstacle(), None);
        let own = json!({"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::home/${aws:username}/*"}});
        let tagged = json!({"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/team": "a"}}}});
        let long =
            json!({"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "x".repeat(INLINE)}});
        for (document, word) in [(own, "aws:username"), (tagged, "aws:principaltag/"), (long, "characters")] {
            let why = rights(&[document]).obstacle().expect("an obstacle");
            assert!(why.contains(word), "{why}");
        }
        assert!(Rights::default().obstacle().is_some_and(|why| why.contains("no policy")));
        let many = Rights {
            managed: (0..=MANAGED).map(|number| (format!("arn{number}"), plain.clone())).collect(),
            ..Rights::default()
        };
        assert!(many.obstacle().is_some_and(|why| why.contains("11 managed")));
    }
}
