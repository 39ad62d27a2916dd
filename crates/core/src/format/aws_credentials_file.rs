//! The AWS tools' credential file: INI with one profile per section.

use super::{
    aws,
    slot::{self, Encoding, Says, Slot, Write},
};
use crate::{
    model::CredentialKind,
    observation::{Beside, Bundle},
};

/// `<profile>/aws_secret_access_key` and `<profile>/aws_session_token` of each profile, with the key id beside it, which is a slot of its own.
/// `None` for other texts.
pub fn slots(text: &str) -> Option<Vec<Slot>> {
    if !text.contains("aws_secret_access_key") || !text.contains('[') {
        return None;
    }
    let mut found: Vec<Slot> = Vec::new();
    let mut profile = String::new();
    let mut key_id: Option<String> = None;
    let mut at = 0;
    // An id may stand before or after its secret: it is filled in when the profile ends.
    let close = |found: &mut Vec<Slot>, profile: &str, key_id: &Option<String>| {
        let prefix = format!("{}/", slot::segment(profile));
        for slot in found.iter_mut().filter(|slot| slot.pointer.starts_with(&prefix)) {
            slot.bundle.aws_access_key_id.clone_from(key_id);
            slot.bundle.aws_access_key_at =
                key_id.as_ref().map(|_| Beside::Within(format!("{prefix}aws_access_key_id")));
        }
    };
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(heading) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            close(&mut found, &profile, &key_id);
            let heading = heading.trim();
            profile = heading.strip_prefix("profile ").unwrap_or(heading).trim().to_owned();
            key_id = None;
            continue;
        }
        let (name, value) = line.split_once('=')?;
        let (key, text) = (name.trim(), value.trim());
        let offset = start + name.len() + 1 + (value.len() - value.trim_start().len());
        let write = Write::Ranges(vec![(offset..offset + text.len(), Encoding::Line)]);
        let pointer = format!("{}/{key}", slot::segment(&profile));
        match key {
            "aws_access_key_id" if !text.is_empty() => {
                key_id = aws::looks_like_access_key_id(text).then(|| text.to_owned());
                found.push(Slot::new(pointer, key, text, write));
            }
            "aws_secret_access_key" | "aws_session_token" if !text.is_empty() => {
                let kind = if key == "aws_session_token" {
                    CredentialKind::Token
                } else {
                    CredentialKind::AccessKey
                };
                let bundle = Bundle { engine: Some("aws".to_owned()), ..Bundle::default() };
                found.push(Slot { says: Says::Secret(kind), bundle, ..Slot::new(pointer, key, text, write) });
            }
            _ => {}
        }
    }
    close(&mut found, &profile, &key_id);
    found.iter().any(|slot| slot.says != Says::Nothing).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_has_its_own_key_id() {
        let text = "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = one/+\nregion=eu\n\n\
            [profile ci]\naws_secret_access_key=two\naws_access_key_id=ASIAY34FZKBOKMUTVV7A\naws_session_token= three\n";
        let found = slots(text).expect("a credential file");
        let shown: Vec<_> = found
            .iter()
            .map(|s| {
                (s.pointer.as_str(), s.value.expose_text().unwrap(), s.bundle.aws_access_key_id.as_deref())
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("default/aws_access_key_id", "AKIAIOSFODNN7EXAMPLE", Some("AKIAIOSFODNN7EXAMPLE")),
                ("default/aws_secret_access_key", "one/+", Some("AKIAIOSFODNN7EXAMPLE")),
                ("ci/aws_secret_access_key", "two", Some("ASIAY34FZKBOKMUTVV7A")),
                ("ci/aws_access_key_id", "ASIAY34FZKBOKMUTVV7A", Some("ASIAY34FZKBOKMUTVV7A")),
                ("ci/aws_session_token", "three", Some("ASIAY34FZKBOKMUTVV7A")),
            ]
        );
        for slot in &found {
            let Write::Ranges(ranges) = &slot.write else { panic!("ranges") };
            assert_eq!(&text[ranges[0].0.clone()], slot.value.expose_text().unwrap());
        }
        assert!(slots("aws_secret_access_key=x").is_none());
    }
}
