//! Which permissions we hold. IAM's policy simulator tells without trying; where it is not allowed, what reads is tried and
//! what writes stays unknown.

use std::collections::BTreeMap;

use aws_sdk_iam::types::PolicyEvaluationDecisionType;
use claviger_backend::{ErrorKind, Permission, PermissionStatus, Result};

use crate::{clients::Caller, failure::of, iam::Scan};

/// Flow and action. Resources are not looked at: a right on some secrets only is found out when they are read.
const NEEDED: [(&str, &str); 48] = [
    ("scan", "iam:ListUsers"),
    ("scan", "iam:ListUserTags"),
    ("scan", "iam:ListAccessKeys"),
    ("scan", "iam:GetAccessKeyLastUsed"),
    ("scan", "iam:ListAttachedUserPolicies"),
    ("scan", "iam:ListUserPolicies"),
    ("scan", "iam:GetUserPolicy"),
    ("scan", "iam:ListGroupsForUser"),
    ("scan", "iam:ListAttachedGroupPolicies"),
    ("scan", "iam:ListGroupPolicies"),
    ("scan", "iam:GetGroupPolicy"),
    ("scan", "iam:GetPolicy"),
    ("scan", "iam:GetPolicyVersion"),
    ("scan", "iam:GetAccountSummary"),
    ("scan", "iam:ListRoles"),
    ("scan", "iam:ListAttachedRolePolicies"),
    ("scan", "iam:ListRolePolicies"),
    ("scan", "iam:GetRolePolicy"),
    ("scan", "secretsmanager:ListSecrets"),
    ("scan", "secretsmanager:GetSecretValue"),
    ("scan", "ssm:DescribeParameters"),
    ("scan", "ssm:GetParameter"),
    ("rotate", "iam:CreateAccessKey"),
    ("rotate", "iam:UpdateAccessKey"),
    ("rotate", "iam:DeleteAccessKey"),
    ("rotate", "secretsmanager:DescribeSecret"),
    ("rotate", "secretsmanager:PutSecretValue"),
    ("rotate", "secretsmanager:UpdateSecretVersionStage"),
    ("rotate", "ssm:PutParameter"),
    ("revoke", "iam:DeleteAccessKey"),
    ("revoke", "iam:UpdateAccessKey"),
    ("revoke", "iam:GetUserPolicy"),
    ("revoke", "iam:PutUserPolicy"),
    ("revoke", "ssm:DeleteParameter"),
    // A role is made in the place of a key, with the same rights, and taken away where the swap is taken back; a role that is made with a tag needs
    // `TagRole` too (IAM, "Tagging IAM roles").
    ("swap", "iam:ListOpenIDConnectProviders"),
    ("swap", "iam:GetOpenIDConnectProvider"),
    ("swap", "iam:GetUser"),
    ("swap", "iam:GetRole"),
    ("swap", "iam:CreateRole"),
    ("swap", "iam:TagRole"),
    ("swap", "iam:AttachRolePolicy"),
    ("swap", "iam:PutRolePolicy"),
    ("swap", "iam:DetachRolePolicy"),
    ("swap", "iam:DeleteRolePolicy"),
    ("swap", "iam:DeleteRole"),
    ("swap", "iam:UpdateAccessKey"),
    ("swap", "iam:DeleteAccessKey"),
    ("swap", "iam:PutUserPolicy"),
];

/// The permissions of each flow.
///
/// # Errors
/// As [`of`], when even asking is not possible.
pub(crate) async fn permissions(scan: Scan<'_>, caller: &Caller) -> Result<Vec<Permission>> {
    let known = if caller.root() { None } else { simulated(scan, caller).await? };
    let tried = if known.is_none() && !caller.root() { tried(scan).await? } else { BTreeMap::new() };
    Ok(NEEDED
        .iter()
        .map(|(flow, action)| {
            let allowed = if caller.root() {
                Some(true)
            } else {
                known.as_ref().and_then(|known| known.get(*action)).or_else(|| tried.get(action)).copied()
            };
            let status = match allowed {
                Some(true) => PermissionStatus::Present,
                Some(false) => PermissionStatus::Missing(format!(
                    r#"{{"Effect":"Allow","Action":"{action}","Resource":"*"}}"#
                )),
                None => PermissionStatus::Unknown(
                    "allow iam:SimulatePrincipalPolicy to see it without trying".to_owned(),
                ),
            };
            Permission { flow, name: (*action).to_owned(), status }
        })
        .collect())
}

/// What the simulator says about these actions for us, or `None` where we may not ask it.
async fn simulated(scan: Scan<'_>, caller: &Caller) -> Result<Option<BTreeMap<String, bool>>> {
    let Some(principal) = caller.principal() else { return Ok(None) };
    decide(scan, "check", &principal, NEEDED.iter().map(|(_, action)| *action), None).await
}

/// Asks the simulator; `None` where we may not, or it cannot say.
///
/// # Errors
/// `Unavailable`, `Unauthenticated`.
pub(crate) async fn decide(
    scan: Scan<'_>,
    operation: &'static str,
    principal: &str,
    actions: impl Iterator<Item = &str>,
    resource: Option<&str>,
) -> Result<Option<BTreeMap<String, bool>>> {
    let actions: Vec<String> = actions.map(str::to_owned).collect();
    let call = scan.clients.iam.simulate_principal_policy().policy_source_arn(principal);
    let call = call.set_action_names(Some(actions)).resource_arns(resource.unwrap_or("*"));
    match call.send().await {
        Ok(answer) => Ok(Some(
            answer
                .evaluation_results
                .unwrap_or_default()
                .into_iter()
                .map(|result| {
                    (result.eval_action_name, result.eval_decision == PolicyEvaluationDecisionType::Allowed)
                })
                .collect(),
        )),
        Err(error) => match of(operation, scan.account.endpoint(), "iam:SimulatePrincipalPolicy", &error) {
            error if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Unauthenticated) => {
                Err(error)
            }
            _ => Ok(None),
        },
    }
}

/// Tries the lists, one item each.
async fn tried(scan: Scan<'_>) -> Result<BTreeMap<&'static str, bool>> {
    let endpoint = scan.account.endpoint();
    let mut known = BTreeMap::new();
    let mut note = |action: &'static str, error: Option<claviger_backend::Error>| {
        match error {
            None => {
                known.insert(action, true);
            }
            Some(error) if error.kind() == ErrorKind::Denied => {
                known.insert(action, false);
            }
            Some(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Unauthenticated) => {
                return Err(error);
            }
            Some(_) => {}
        }
        Ok(())
    };
    let clients = scan.clients;
    let users = clients.iam.list_users().max_items(1).send().await;
    note("iam:ListUsers", users.err().map(|error| of("check", endpoint, "iam:ListUsers", &error)))?;
    let roles = clients.iam.list_roles().max_items(1).send().await;
    note("iam:ListRoles", roles.err().map(|error| of("check", endpoint, "iam:ListRoles", &error)))?;
    let secrets = clients.secrets.list_secrets().max_results(1).send().await;
    note(
        "secretsmanager:ListSecrets",
        secrets.err().map(|error| of("check", endpoint, "secretsmanager:ListSecrets", &error)),
    )?;
    let parameters = clients.parameters.describe_parameters().max_results(1).send().await;
    note(
        "ssm:DescribeParameters",
        parameters.err().map(|error| of("check", endpoint, "ssm:DescribeParameters", &error)),
    )?;
    Ok(known)
}
