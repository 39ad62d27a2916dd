//! Registry credentials as Docker and Kubernetes keep them: `{"auths": {"<registry>": {"auth": base64(user:password), …}}}`, and the older
//! `.dockercfg` without the outer object.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{
    json_text::{self, Scalar},
    slot::{self, Encoding, Says, Slot, Write},
};
use crate::{model::CredentialKind, observation::Bundle};

/// One slot per registry and secret. The password is one secret wherever the entry says it: in `auth`, in `password`, or in both, which are
/// written together; its pointer is `auths/<registry>/password` in either case. An `auth` that says something else than `password` is a
/// slot of its own. `None` for JSON of another shape.
pub fn slots(text: &str) -> Option<Vec<Slot>> {
    let scalars = json_text::scalars(text)?;
    let has_auths = scalars.iter().any(|scalar| scalar.pointer.starts_with("auths/"));
    let depth = if has_auths { 3 } else { 2 };
    let mut registries: BTreeMap<String, BTreeMap<String, Scalar>> = BTreeMap::new();
    for scalar in scalars {
        let segments: Vec<&str> = scalar.pointer.split('/').collect();
        let (true, Some((field, registry))) =
            (scalar.is_string && segments.len() == depth, segments.split_last())
        else {
            continue;
        };
        if !has_auths || registry.first() == Some(&"auths") {
            registries.entry(registry.join("/")).or_default().insert((*field).to_owned(), scalar);
        }
    }
    if !has_auths {
        // Without the outer object only `auth` in every entry tells that this is a registry configuration.
        let all = registries.values().all(|fields| {
            fields.contains_key("auth")
                && fields.keys().all(|key| ["auth", "email", "username", "password"].contains(&key.as_str()))
        });
        if !all || registries.is_empty() {
            return None;
        }
    }
    Some(registries.into_iter().flat_map(|(pointer, fields)| registry(&pointer, fields)).collect())
}

fn registry(pointer: &str, mut fields: BTreeMap<String, Scalar>) -> Vec<Slot> {
    let name = pointer.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~");
    let auth = fields.remove("auth");
    let pair = auth.as_ref().and_then(|auth| basic_auth(&auth.text));
    let user = fields.remove("username").map(|user| user.text.to_string()).filter(|user| !user.is_empty());
    let user = user.or_else(|| pair.as_ref().map(|(user, _)| user.clone()));
    let bundle = Bundle { user: user.clone(), host: Some(host(&name).to_owned()), ..Bundle::default() };
    let mut found = Vec::new();
    let mut push = |field: &str, value: &str, writes: Vec<_>, kind| {
        let slot = Slot::new(slot::join(pointer, field), field, value, Write::Ranges(writes));
        let attributes = [("registry".to_owned(), name.as_str().into())].into();
        found.push(Slot {
            says: Says::Secret(kind),
            bundle: bundle.clone(),
            subject: user.clone(),
            attributes,
            ..slot
        });
    };
    let password = fields.remove("password").filter(|password| !password.text.is_empty());
    match (password, auth.zip(pair)) {
        (Some(password), Some((auth, (user, same)))) if *same == *password.text => {
            let writes = vec![(password.range, Encoding::Json), (auth.range, Encoding::JsonBasicAuth(user))];
            push("password", &same, writes, CredentialKind::Registry);
        }
        (password, auth) => {
            let in_auth = if password.is_some() { "auth" } else { "password" };
            if let Some(password) = password {
                push(
                    "password",
                    &password.text,
                    vec![(password.range, Encoding::Json)],
                    CredentialKind::Registry,
                );
            }
            if let Some((auth, (user, value))) = auth {
                push(
                    in_auth,
                    &value,
                    vec![(auth.range, Encoding::JsonBasicAuth(user))],
                    CredentialKind::Registry,
                );
            }
        }
    }
    for field in ["identitytoken", "registrytoken"] {
        if let Some(token) = fields.remove(field) {
            push(field, &token.text, vec![(token.range, Encoding::Json)], CredentialKind::Registry);
        }
    }
    found
}

/// `user:password`, where the password may hold further colons. An empty password is none (a credential helper's mark).
fn basic_auth(encoded: &str) -> Option<(String, Zeroizing<String>)> {
    let bytes = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    // Some clients pad the pair with NUL.
    let text = std::str::from_utf8(&bytes).ok()?.trim_end_matches('\0');
    let (user, password) = text.split_once(':')?;
    (!password.is_empty()).then(|| (user.to_owned(), Zeroizing::new(password.to_owned())))
}

fn host(registry: &str) -> &str {
    let registry = registry.split_once("://").map_or(registry, |(_, rest)| rest);
    registry.split('/').next().unwrap_or(registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<Vec<(String, String, Option<String>)>> {
        let value = |slot: &Slot| slot.value.expose_text().unwrap_or_default().to_owned();
        slots(text)
            .map(|slots| slots.iter().map(|s| (s.pointer.clone(), value(s), s.bundle.user.clone())).collect())
    }

    #[test]
    fn the_password_is_found_wherever_it_is_said() {
        let auth = STANDARD.encode("robot:p:w");
        let expected =
            Some(vec![("auths/reg.io/password".to_owned(), "p:w".to_owned(), Some("robot".to_owned()))]);
        for entry in [
            format!("{{\"auth\":\"{auth}\"}}"),
            format!("{{\"username\":\"robot\",\"password\":\"p:w\",\"auth\":\"{auth}\"}}"),
            "{\"username\":\"robot\",\"password\":\"p:w\"}".to_owned(),
        ] {
            assert_eq!(shown(&format!("{{\"auths\":{{\"reg.io\":{entry}}}}}")), expected, "{entry}");
        }
        assert_eq!(
            shown(&format!("{{\"https://reg.io/v1/\":{{\"auth\":\"{auth}\",\"email\":\"\"}}}}")),
            Some(vec![(
                "https:~1~1reg.io~1v1~1/password".to_owned(),
                "p:w".to_owned(),
                Some("robot".to_owned())
            )])
        );
    }

    #[test]
    fn contradictory_entries_are_two_secrets() {
        let auth = STANDARD.encode("robot:other");
        let text = format!("{{\"auths\":{{\"r\":{{\"password\":\"one\",\"auth\":\"{auth}\"}}}}}}");
        let found: Vec<_> =
            shown(&text).expect("a docker config").into_iter().map(|(at, value, _)| (at, value)).collect();
        assert_eq!(
            found,
            [("auths/r/password".into(), "one".into()), ("auths/r/auth".into(), "other".into())]
        );
    }

    #[test]
    fn other_documents_are_refused_and_empty_entries_give_nothing() {
        assert_eq!(shown("{\"a\":{\"b\":\"c\"}}"), None);
        assert_eq!(shown("{\"auths\":{\"r\":{\"auth\":\"!!!\"}}}"), Some(vec![]));
        assert_eq!(shown("{\"auths\":{\"r\":{}},\"credsStore\":\"desktop\"}"), None);
    }
}
