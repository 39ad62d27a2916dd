//! kubeconfig files (`kind: Config`, the `clientcmd` API): the credentials of each user, and the server that it is for.

use yaml_serde::Value;

use super::{
    slot::{self, Says, Slot, Write},
    yaml_text::{self, Step},
};
use crate::{model::CredentialKind, observation::Bundle};

/// Secret fields of a user; the last two are under `auth-provider.config`.
const FIELDS: [&str; 4] = ["token", "password", "client-certificate-data", "client-key-data"];
const PROVIDER_FIELDS: [&str; 4] = ["access-token", "refresh-token", "id-token", "client-secret"];

/// One slot per user and secret, `users/<name>/<field>`, with the server of the first context that uses it. Users that log in by a plugin or by
/// files have none. `None` for other documents.
pub fn slots(text: &str) -> Option<Vec<Slot>> {
    // Cheap refusal before the expensive parser.
    if !text.contains("users") || !text.contains("clusters") || !text.contains("Config") {
        return None;
    }
    let documents = yaml_text::parse(text)?;
    let [config] = documents.as_slice() else { return None };
    if text_of(config, "kind") != Some("Config") {
        return None;
    }
    let mut found = Vec::new();
    for (index, entry) in list(config, "users").iter().enumerate() {
        let (Some(name), Some(user)) = (text_of(entry, "name"), entry.get("user")) else { continue };
        let server = server_of(config, name);
        let bundle = Bundle {
            user: text_of(user, "username").or(Some(name)).map(str::to_owned),
            host: server.map(host),
            ..Bundle::default()
        };
        let path = [Step::Index(0), Step::Key("users".into()), Step::Index(index), Step::Key("user".into())];
        let mut push = |field: &str, value: &str, inner: &[&str]| {
            if value.is_empty() {
                return;
            }
            let steps = path.iter().cloned().chain(inner.iter().map(|key| Step::Key((*key).to_owned())));
            let pointer = format!("users/{}/{field}", slot::segment(name));
            let slot = Slot::new(pointer, field, value, Write::Yaml(steps.collect()));
            let mut attributes =
                crate::model::Attributes::from([("kubeconfig_user".to_owned(), name.into())]);
            if let Some(server) = server {
                attributes.insert("server".to_owned(), server.into());
            }
            found.push(Slot {
                says: Says::Secret(CredentialKind::Kubeconfig),
                bundle: bundle.clone(),
                attributes,
                ..slot
            });
        };
        for field in FIELDS {
            if let Some(value) = text_of(user, field) {
                push(field, value, &[field]);
            }
        }
        let provider = user.get("auth-provider").and_then(|provider| provider.get("config"));
        for field in PROVIDER_FIELDS {
            if let Some(value) = provider.and_then(|config| text_of(config, field)) {
                push(field, value, &["auth-provider", "config", field]);
            }
        }
    }
    Some(found)
}

fn list<'a>(node: &'a Value, key: &str) -> &'a [Value] {
    node.get(key).and_then(Value::as_sequence).map_or(&[], Vec::as_slice)
}

fn text_of<'a>(node: &'a Value, key: &str) -> Option<&'a str> {
    node.get(key)?.as_str()
}

fn server_of<'a>(config: &'a Value, user: &str) -> Option<&'a str> {
    let contexts = list(config, "contexts").iter().filter_map(|context| context.get("context"));
    let cluster = contexts.into_iter().find(|context| text_of(context, "user") == Some(user))?;
    let cluster = text_of(cluster, "cluster")?;
    let entry = list(config, "clusters").iter().find(|entry| text_of(entry, "name") == Some(cluster))?;
    text_of(entry.get("cluster")?, "server")
}

fn host(server: &str) -> String {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster: {server: 'https://api.lab:6443'}\n\
        contexts:\n- name: x\n  context: {cluster: c, user: ci}\nusers:\n- name: ci\n  user:\n    token: abc\n\
        - name: plugin\n  user: {exec: {command: aws}}\n- name: basic\n  user: {username: u, password: p}\n";

    #[test]
    fn each_user_with_a_static_credential_is_found() {
        let found = slots(TEXT).expect("a kubeconfig");
        let shown: Vec<_> = found
            .iter()
            .map(|s| (s.pointer.as_str(), s.bundle.user.as_deref(), s.bundle.host.as_deref()))
            .collect();
        assert_eq!(
            shown,
            [("users/ci/token", Some("ci"), Some("api.lab:6443")), ("users/basic/password", Some("u"), None)]
        );
    }

    #[test]
    fn other_documents_are_refused() {
        assert!(slots(&TEXT.replace("kind: Config", "kind: Configuration")).is_none());
        assert!(slots("users: [").is_none());
    }
}
