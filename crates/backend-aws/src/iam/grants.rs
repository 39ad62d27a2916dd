//! The policies of users, groups and roles as grants. Each managed policy and each group is read once a scan.

use std::{collections::HashMap, sync::Arc};

use claviger_backend::Result;
use claviger_core::{
    chain::{OPENS, OPENS_MAYBE},
    model::{Attributes, PrivilegeLevel},
    observation::ObservedGrant,
    reference::Ref,
};
use serde_json::json;
use tokio::sync::Mutex;

use super::{
    Scan,
    policy::{self, Allowed},
};
use crate::{failure::patiently, names};

/// One policy of a principal, before it is known through whom.
#[derive(Clone)]
struct Policy {
    source: Ref,
    name: String,
    arn: Option<String>,
    /// `None`: the document could not be had.
    allowed: Option<Arc<Allowed>>,
}

impl Policy {
    fn granted(&self, identity: &Ref, group: Option<&str>) -> ObservedGrant {
        let mut attributes = Attributes::from([("inline".to_owned(), json!(self.arn.is_none()))]);
        if let Some(arn) = &self.arn {
            attributes.insert("arn".to_owned(), json!(arn));
        }
        if let Some(group) = group {
            attributes.insert("group".to_owned(), json!(group));
        }
        // A managed policy of AWS's is known by its name better than by a document that a compatible server made up.
        let by_name = if self.arn.as_deref().is_some_and(|arn| arn.contains("::aws:policy/")) {
            policy::by_name(&self.name)
        } else {
            PrivilegeLevel::Unknown
        };
        let level = match &self.allowed {
            Some(allowed) => {
                attributes.insert("actions".to_owned(), json!(allowed.actions));
                attributes.insert("conditional".to_owned(), json!(allowed.conditional));
                let opens = allowed.opens.iter().map(|path| Ref::new(identity.backend(), [path]).to_string());
                let opens: Vec<String> = opens.collect();
                if !opens.is_empty() {
                    // Other policies, boundaries and the organisation's may take it away again: no more than one policy was looked at.
                    attributes.insert(OPENS_MAYBE.to_owned(), json!(true));
                }
                attributes.insert(OPENS.to_owned(), json!(opens));
                allowed.level.min(by_name)
            }
            None => by_name,
        };
        ObservedGrant {
            identity: identity.clone(),
            source: self.source.clone(),
            privilege: format!("policy/{}", self.name),
            reach: self.allowed.as_ref().map_or_else(|| "*".to_owned(), |allowed| allowed.reach.clone()),
            level,
            attributes,
        }
    }
}

/// What was read already.
pub(crate) struct Grants<'a> {
    scan: Scan<'a>,
    managed: Mutex<HashMap<String, Option<Arc<Allowed>>>>,
    groups: Mutex<HashMap<String, Arc<Vec<Policy>>>>,
}

/// Follows IAM's pages: `$call` with a marker, the field `$items` of each.
macro_rules! pages {
    ($scan:expr, $action:literal, $request:expr, $items:ident) => {{
        let (mut all, mut marker) = (Vec::new(), None::<String>);
        loop {
            let ask = || $request.set_marker(marker.clone()).send();
            let page = patiently($scan.account.endpoint(), $action, ask).await?;
            all.extend(page.$items);
            marker = page.marker.filter(|_| page.is_truncated);
            if marker.is_none() {
                break all;
            }
        }
    }};
}

pub(crate) use pages;

impl<'a> Grants<'a> {
    pub(crate) fn new(scan: Scan<'a>) -> Self {
        Self { scan, managed: Mutex::default(), groups: Mutex::default() }
    }

    /// Everything that a user may do by policies of its own and of its groups.
    pub(crate) async fn of_user(&self, at: &Ref, user: &str) -> Result<Vec<ObservedGrant>> {
        let (scan, iam) = (self.scan, &self.scan.clients.iam);
        let mut grants = Vec::new();
        let attached = pages!(
            scan,
            "iam:ListAttachedUserPolicies",
            iam.list_attached_user_policies().user_name(user),
            attached_policies
        );
        for policy in self.attached(attached.into_iter().flatten()).await {
            grants.push(policy.granted(at, None));
        }
        for name in
            pages!(scan, "iam:ListUserPolicies", iam.list_user_policies().user_name(user), policy_names)
        {
            let ask = || iam.get_user_policy().user_name(user).policy_name(&name).send();
            let answer = patiently(scan.account.endpoint(), "iam:GetUserPolicy", ask).await?;
            grants.push(inline(at, &name, &answer.policy_document).granted(at, None));
        }
        for group in pages!(scan, "iam:ListGroupsForUser", iam.list_groups_for_user().user_name(user), groups)
        {
            for policy in self.of_group(&group.group_name).await?.iter() {
                grants.push(policy.granted(at, Some(&group.group_name)));
            }
        }
        Ok(grants)
    }

    /// Everything that a role may do.
    pub(crate) async fn of_role(&self, at: &Ref, role: &str) -> Result<Vec<ObservedGrant>> {
        let (scan, iam) = (self.scan, &self.scan.clients.iam);
        let mut grants = Vec::new();
        let attached = pages!(
            scan,
            "iam:ListAttachedRolePolicies",
            iam.list_attached_role_policies().role_name(role),
            attached_policies
        );
        for policy in self.attached(attached.into_iter().flatten()).await {
            grants.push(policy.granted(at, None));
        }
        for name in
            pages!(scan, "iam:ListRolePolicies", iam.list_role_policies().role_name(role), policy_names)
        {
            let ask = || iam.get_role_policy().role_name(role).policy_name(&name).send();
            let answer = patiently(scan.account.endpoint(), "iam:GetRolePolicy", ask).await?;
            grants.push(inline(at, &name, &answer.policy_document).granted(at, None));
        }
        Ok(grants)
    }

    async fn of_group(&self, group: &str) -> Result<Arc<Vec<Policy>>> {
        let mut groups = self.groups.lock().await;
        if let Some(known) = groups.get(group) {
            return Ok(Arc::clone(known));
        }
        let (scan, iam) = (self.scan, &self.scan.clients.iam);
        let at = names::group(scan.backend, group);
        let attached = pages!(
            scan,
            "iam:ListAttachedGroupPolicies",
            iam.list_attached_group_policies().group_name(group),
            attached_policies
        );
        let mut policies = self.attached(attached.into_iter().flatten()).await;
        for name in
            pages!(scan, "iam:ListGroupPolicies", iam.list_group_policies().group_name(group), policy_names)
        {
            let ask = || iam.get_group_policy().group_name(group).policy_name(&name).send();
            let answer = patiently(scan.account.endpoint(), "iam:GetGroupPolicy", ask).await?;
            policies.push(inline(&at, &name, &answer.policy_document));
        }
        let policies = Arc::new(policies);
        groups.insert(group.to_owned(), Arc::clone(&policies));
        Ok(policies)
    }

    async fn attached(
        &self,
        attached: impl Iterator<Item = aws_sdk_iam::types::AttachedPolicy>,
    ) -> Vec<Policy> {
        let mut policies = Vec::new();
        for it in attached {
            let name = it.policy_name.unwrap_or_default();
            let allowed = match &it.policy_arn {
                Some(arn) => self.document(arn).await,
                None => None,
            };
            policies.push(Policy {
                source: names::policy(self.scan.backend, &name),
                name,
                arn: it.policy_arn,
                allowed,
            });
        }
        policies
    }

    /// A managed policy's default version. One that may not be read is judged by its name.
    async fn document(&self, arn: &str) -> Option<Arc<Allowed>> {
        let mut managed = self.managed.lock().await;
        if let Some(known) = managed.get(arn) {
            return known.clone();
        }
        let (endpoint, iam) = (self.scan.account.endpoint(), &self.scan.clients.iam);
        let read = async {
            let ask = || iam.get_policy().policy_arn(arn).send();
            let version = patiently(endpoint, "iam:GetPolicy", ask).await.ok()?.policy?.default_version_id?;
            let ask = || iam.get_policy_version().policy_arn(arn).version_id(&version).send();
            let document =
                patiently(endpoint, "iam:GetPolicyVersion", ask).await.ok()?.policy_version?.document?;
            policy::read(&document).map(Arc::new)
        };
        let read = read.await;
        managed.insert(arn.to_owned(), read.clone());
        read
    }
}

fn inline(holder: &Ref, name: &str, document: &str) -> Policy {
    let source = Ref::from_text(format!("{holder}/policy/{name}"));
    Policy { source, name: name.to_owned(), arn: None, allowed: policy::read(document).map(Arc::new) }
}
