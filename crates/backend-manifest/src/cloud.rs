//! Cloud credential files: INI with profiles, as the AWS tools keep them.

use claviger_core::{
    canonical::bundle_of,
    model::CredentialKind,
    observation::{Content, Observation},
};

use crate::{
    environment::{self, Pair},
    sighting::{Home, is_reference},
};

/// Keys that hold secrets; what else a profile holds describes them.
const SECRET_KEYS: &[&str] = &["aws_secret_access_key", "aws_session_token"];

/// The copies of a credential file.
pub(crate) fn observe(home: &Home, text: &str) -> Vec<Observation> {
    let mut found = Vec::new();
    for (profile, pairs) in profiles(text) {
        let bundle = bundle_of(pairs.iter().map(|pair| (pair.name.as_str(), &pair.value)));
        for pair in pairs {
            if !SECRET_KEYS.contains(&pair.name.as_str())
                || pair.value.expose_text().is_some_and(is_reference)
            {
                continue;
            }
            let mut copy =
                home.copy(&[profile, &pair.name], &pair.name, Content::Value(pair.value), bundle.clone());
            if pair.name == "aws_secret_access_key" {
                copy.kind = Some(CredentialKind::AccessKey);
            }
            found.push(Observation::Copy(copy));
        }
    }
    found
}

fn profiles(text: &str) -> Vec<(&str, Vec<Pair>)> {
    let mut profiles = Vec::new();
    let mut name = "default";
    let mut lines = Vec::new();
    for line in text.lines().chain(["["]) {
        let line = line.trim();
        if let Some(heading) = line.strip_prefix('[') {
            let pairs = environment::dotenv(&lines.join("\n"));
            if !pairs.is_empty() {
                profiles.push((name, pairs));
            }
            name = heading.trim_end_matches(']').trim().trim_start_matches("profile ");
            lines.clear();
        } else {
            lines.push(line);
        }
    }
    profiles
}

#[cfg(test)]
mod tests {
    use claviger_core::{model::Place, reference::Ref};

    use super::*;

    #[test]
    fn each_profile_is_a_credential_with_its_key_id() {
        let home =
            Home::file(&Ref::from_text("repo/.aws/credentials"), Place::SecretStore, "aws-credentials");
        let text = "[default]\naws_access_key_id = AKIAQ2J5KLMNOPQRSTUV\naws_secret_access_key=s1\nregion=eu\n[profile ci]\naws_access_key_id=AKIAQ2J5KLMNOPQRSTUW\naws_secret_access_key = s2\n";
        let found: Vec<_> = observe(&home, text)
            .into_iter()
            .map(|item| match item {
                Observation::Copy(copy) => {
                    (copy.at.as_str().to_owned(), copy.bundle.aws_access_key_id, copy.kind)
                }
                _ => panic!("a copy"),
            })
            .collect();
        let key = Some(CredentialKind::AccessKey);
        assert_eq!(
            found,
            [
                (
                    "repo/.aws/credentials#default/aws_secret_access_key".to_owned(),
                    Some("AKIAQ2J5KLMNOPQRSTUV".to_owned()),
                    key
                ),
                (
                    "repo/.aws/credentials#ci/aws_secret_access_key".to_owned(),
                    Some("AKIAQ2J5KLMNOPQRSTUW".to_owned()),
                    key
                ),
            ]
        );
    }
}
