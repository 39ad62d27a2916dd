//! What a policy document allows, coarsely. Grammar: the IAM User Guide's "Grammar of the IAM JSON policy language".

use claviger_core::model::PrivilegeLevel;
use serde_json::Value;

/// What a document comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) level: PrivilegeLevel,
    /// The actions, the first 20.
    pub(super) actions: Vec<String>,
    /// The resources, shortened: `*`, or the first few.
    pub(super) reach: String,
    /// Some statement holds only under conditions.
    pub(super) conditional: bool,
    /// Paths of refs of the secrets and parameters that it lets read, with `*` as in a chain's patterns.
    pub(super) opens: Vec<String>,
}

/// Actions with which a principal can give itself what it lacks, lower case; a trailing `*` in a policy covers them too.
const ESCALATION: [&str; 22] = [
    "iam:addusertogroup",
    "iam:attachgrouppolicy",
    "iam:attachrolepolicy",
    "iam:attachuserpolicy",
    "iam:createaccesskey",
    "iam:createloginprofile",
    "iam:createpolicyversion",
    "iam:deletegrouppolicy",
    "iam:deletepermissionsboundary",
    "iam:deleterolepermissionsboundary",
    "iam:deleteuserpermissionsboundary",
    "iam:putgrouppolicy",
    "iam:putrolepermissionsboundary",
    "iam:putrolepolicy",
    "iam:putuserpermissionsboundary",
    "iam:putuserpolicy",
    "iam:setdefaultpolicyversion",
    "iam:updateaccesskey",
    "iam:updateassumerolepolicy",
    "iam:updateloginprofile",
    "iam:createrole",
    "iam:passrole",
];

/// Actions that show secrets or lend somebody else's rights, lower case.
const SENSITIVE: [&str; 9] = [
    "kms:decrypt",
    "secretsmanager:batchgetsecretvalue",
    "secretsmanager:getsecretvalue",
    "ssm:getparameter",
    "ssm:getparameterhistory",
    "ssm:getparameters",
    "ssm:getparametersbypath",
    "sts:assumerole",
    "ssm:sendcommand",
];

const READING: [&str; 8] = ["get", "list", "describe", "view", "lookup", "search", "batchget", "simulate"];

/// A pattern of IAM's (`*` and `?`) against a lower-case text.
fn covers(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.to_ascii_lowercase().chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) && pattern[p] != '*' {
            p += 1;
            t += 1;
        } else if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if let Some((at, from)) = star {
            p = at + 1;
            t = from + 1;
            star = Some((at, from + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

fn list(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => {
            items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

fn level_of(action: &str, everywhere: bool) -> PrivilegeLevel {
    let lower = action.to_ascii_lowercase();
    if everywhere
        && (lower == "*"
            || lower == "*:*"
            || lower == "iam:*"
            || ESCALATION.iter().any(|it| covers(action, it)))
    {
        return PrivilegeLevel::Admin;
    }
    if SENSITIVE.iter().any(|it| covers(action, it)) || ESCALATION.iter().any(|it| covers(action, it)) {
        return PrivilegeLevel::Sensitive;
    }
    let verb = lower.split_once(':').map_or(lower.as_str(), |(_, verb)| verb);
    if READING.iter().any(|reading| verb.starts_with(reading)) {
        PrivilegeLevel::Read
    } else {
        PrivilegeLevel::Write
    }
}

/// Reads a document, URL-encoded as IAM sends it or not. `None` when it is no policy.
pub(super) fn read(document: &str) -> Option<Allowed> {
    let value: Value = serde_json::from_str(&decode(document)).ok()?;
    let statements = match value.get("Statement")? {
        Value::Array(all) => all.clone(),
        one @ Value::Object(_) => vec![one.clone()],
        _ => return None,
    };
    let mut allowed = Allowed {
        level: PrivilegeLevel::Unknown,
        actions: Vec::new(),
        reach: String::new(),
        conditional: false,
        opens: Vec::new(),
    };
    let mut resources = Vec::new();
    for statement in statements.iter().filter(|it| it.get("Effect").and_then(Value::as_str) == Some("Allow"))
    {
        allowed.conditional |= statement.get("Condition").is_some();
        let here = list(statement.get("Resource"));
        let everywhere = here.iter().any(|it| it == "*") || statement.get("NotResource").is_some();
        allowed.opens.extend(opened(statement, &here, everywhere));
        for action in list(statement.get("Action")) {
            allowed.level = allowed.level.min(level_of(&action, everywhere));
            allowed.actions.push(action);
        }
        let except = list(statement.get("NotAction"));
        if !except.is_empty() {
            // Everything but a few: all secrets, unless those are among the few.
            allowed.level = allowed.level.min(if except.iter().any(|it| covers(it, "iam:putuserpolicy")) {
                PrivilegeLevel::Sensitive
            } else {
                PrivilegeLevel::Admin
            });
            allowed.actions.push(format!("not {}", except.join(", not ")));
        }
        resources.extend(here);
        if statement.get("NotResource").is_some() {
            resources.push("*".to_owned());
        }
    }
    allowed.opens.sort();
    allowed.opens.dedup();
    allowed.opens.truncate(OPENED);
    allowed.actions.sort();
    allowed.actions.dedup();
    allowed.actions.truncate(20);
    resources.sort();
    resources.dedup();
    allowed.reach = if resources.iter().any(|it| it == "*") || resources.is_empty() {
        "*".to_owned()
    } else {
        resources.truncate(3);
        resources.join(", ")
    };
    Some(allowed)
}

/// As many patterns as are kept.
const OPENED: usize = 50;
/// Actions that show a value, with the service in the ref.
const SHOWING: [(&str, &str); 5] = [
    ("secretsmanager:getsecretvalue", "secretsmanager"),
    ("secretsmanager:batchgetsecretvalue", "secretsmanager"),
    ("ssm:getparameter", "ssm"),
    ("ssm:getparameters", "ssm"),
    ("ssm:getparametersbypath", "ssm"),
];

/// What a statement that allows lets read.
fn opened(statement: &Value, resources: &[String], everywhere: bool) -> Vec<String> {
    let (actions, except) = (list(statement.get("Action")), list(statement.get("NotAction")));
    let shows = |action: &str| {
        actions.iter().any(|it| covers(it, action))
            || (!except.is_empty() && !except.iter().any(|it| covers(it, action)))
    };
    let services: std::collections::BTreeSet<&str> =
        SHOWING.iter().filter(|(action, _)| shows(action)).map(|(_, service)| *service).collect();
    let mut found = Vec::new();
    for service in services {
        if everywhere {
            found.push(format!("{service}/*"));
        } else {
            found.extend(resources.iter().flat_map(|arn| of_arn(service, arn)));
        }
    }
    found
}

/// The paths that a resource of a statement stands for. Secrets Manager puts a hyphen and six characters behind a secret's name (its user guide, "Secret ARN").
fn of_arn(service: &str, arn: &str) -> Vec<String> {
    let mut parts = arn.splitn(6, ':');
    let (of, resource) = (parts.nth(2).unwrap_or_default(), parts.nth(2).unwrap_or_default());
    if !covers(of, service) {
        return Vec::new();
    }
    if resource == "*" {
        return vec![format!("{service}/*")];
    }
    let name = match service {
        "ssm" => resource.strip_prefix("parameter").map(|name| name.trim_start_matches('/')),
        _ => resource.strip_prefix("secret:"),
    };
    let Some(name) = name else { return Vec::new() };
    let plain = |name: &str| (!name.contains(['*', '?'])).then(|| format!("{service}/{name}"));
    if service == "secretsmanager" {
        let suffix = |length: usize| name.len().checked_sub(length).filter(|at| name.is_char_boundary(*at));
        if let Some((name, end)) = suffix(7).map(|at| name.split_at(at))
            && end.starts_with('-')
            && end[1..].chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '?')
        {
            return plain(name).into_iter().collect();
        }
        if let Some(exact) = name.strip_suffix("-*").and_then(plain) {
            return vec![exact.clone(), format!("{exact}-*")];
        }
    }
    match name.split_once(['*', '?']) {
        // A star within is no more than the beginning can say.
        Some((beginning, _)) => vec![format!("{service}/{beginning}*")],
        None => plain(name).into_iter().collect(),
    }
}

/// What is known of a policy by its name, where its document may not be read.
pub(super) fn by_name(name: &str) -> PrivilegeLevel {
    match name {
        "AdministratorAccess" | "IAMFullAccess" => PrivilegeLevel::Admin,
        "PowerUserAccess" | "SecretsManagerReadWrite" | "AmazonSSMFullAccess" => PrivilegeLevel::Sensitive,
        _ if name.ends_with("ReadOnlyAccess") || name.ends_with("ReadOnly") => PrivilegeLevel::Read,
        _ if name.ends_with("FullAccess") => PrivilegeLevel::Write,
        _ => PrivilegeLevel::Unknown,
    }
}

/// IAM sends documents percent-encoded (RFC 3986). What is not encoded stays as it is.
pub(crate) fn decode(text: &str) -> String {
    if text.trim_start().starts_with('{') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = if *first == b'%' { tail.get(..2) } else { None };
        let decoded =
            digits.and_then(|it| std::str::from_utf8(it).ok()).and_then(|it| u8::from_str_radix(it, 16).ok());
        match decoded {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(statement: &str) -> PrivilegeLevel {
        read(&format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)).expect("a policy").level
    }

    #[test]
    fn levels_follow_what_the_actions_can_do() {
        for (statement, expected) in [
            (r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#, PrivilegeLevel::Admin),
            (
                r#"[{"Effect":"Allow","Action":["s3:GetObject","iam:*"],"Resource":"*"}]"#,
                PrivilegeLevel::Admin,
            ),
            (r#"{"Effect":"Allow","Action":"iam:Put*","Resource":"*"}"#, PrivilegeLevel::Admin),
            (
                r#"{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::1:role/x"}"#,
                PrivilegeLevel::Sensitive,
            ),
            (
                r#"{"Effect":"Allow","Action":"secretsmanager:Get*","Resource":"*"}"#,
                PrivilegeLevel::Sensitive,
            ),
            (r#"{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}"#, PrivilegeLevel::Write),
            (
                r#"{"Effect":"Allow","Action":["s3:Get*","ec2:Describe*"],"Resource":"*"}"#,
                PrivilegeLevel::Read,
            ),
            (
                r#"{"Effect":"Allow","NotAction":["iam:*","organizations:*"],"Resource":"*"}"#,
                PrivilegeLevel::Sensitive,
            ),
            (r#"{"Effect":"Allow","NotAction":"s3:*","Resource":"*"}"#, PrivilegeLevel::Admin),
            (r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#, PrivilegeLevel::Unknown),
        ] {
            assert_eq!(level(statement), expected, "{statement}");
        }
    }

    #[test]
    fn what_shows_values_opens_what_its_resources_name() {
        let opens = |statement: &str| {
            read(&format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)).expect("a policy").opens
        };
        let secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:";
        for (action, resource, expected) in [
            ("secretsmanager:GetSecretValue", "*".to_owned(), vec!["secretsmanager/*"]),
            ("*", "*".to_owned(), vec!["secretsmanager/*", "ssm/*"]),
            ("secretsmanager:Get*", format!("{secret}app/db-a1B2c3"), vec!["secretsmanager/app/db"]),
            ("secretsmanager:Get*", format!("{secret}app/db-??????"), vec!["secretsmanager/app/db"]),
            (
                "secretsmanager:Get*",
                format!("{secret}app/db-*"),
                vec!["secretsmanager/app/db", "secretsmanager/app/db-*"],
            ),
            ("secretsmanager:Get*", format!("{secret}app/*"), vec!["secretsmanager/app/*"]),
            (
                "ssm:GetParameter",
                "arn:aws:ssm:eu-central-1:123456789012:parameter/prod/db".to_owned(),
                vec!["ssm/prod/db"],
            ),
            ("ssm:GetParameter", format!("{secret}x-a1B2c3"), vec![]),
            ("secretsmanager:ListSecrets", "*".to_owned(), vec![]),
            ("s3:GetObject", "arn:aws:s3:::secrets/*".to_owned(), vec![]),
        ] {
            let statement = format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}"#);
            assert_eq!(opens(&statement), expected, "{statement}");
        }
        assert_eq!(opens(r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#), Vec::<String>::new());
        assert_eq!(opens(r#"{"Effect":"Allow","NotAction":["ssm:*"],"Resource":"*"}"#), ["secretsmanager/*"]);
    }

    #[test]
    fn documents_come_encoded() {
        let plain = r#"{"Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/*","Condition":{}}}"#;
        let encoded: String = plain.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let allowed = read(&encoded).expect("a policy");
        assert_eq!(Some(&allowed), read(plain).as_ref());
        assert_eq!((allowed.reach.as_str(), allowed.conditional), ("arn:aws:s3:::b/*", true));
        for other in ["", "{", "[]", "%zz", "{\"Statement\":3}", "{\"Version\":1}"] {
            assert!(read(other).is_none(), "{other}");
        }
    }

    #[test]
    fn patterns_are_iams() {
        assert!(
            covers("iam:*Policy", "iam:putuserpolicy")
                && covers("*", "iam:passrole")
                && covers("iam:Pass?ole", "iam:passrole")
        );
        assert!(!covers("iam:Get*", "iam:putuserpolicy") && !covers("iam:PassRole", "iam:passroles"));
    }
}
