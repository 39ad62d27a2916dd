//! Google Cloud service account keys: the JSON file that `gcloud iam service-accounts keys create` writes.

use super::{
    json_text,
    slot::{Says, Slot},
};
use crate::{model::CredentialKind, observation::Bundle};

/// The private key, with what the IAM API names it by (`private_key_id`). `None` for other JSON.
pub fn slots(text: &str) -> Option<Vec<Slot>> {
    if !text.contains("service_account") {
        return None;
    }
    let mut scalars = json_text::scalars(text)?;
    let field = |name: &str| {
        scalars.iter().find(|scalar| scalar.pointer == name).map(|scalar| scalar.text.to_string())
    };
    if field("type").as_deref() != Some("service_account") {
        return None;
    }
    let email = field("client_email");
    let attributes = ["project_id", "private_key_id", "client_email"]
        .into_iter()
        .filter_map(|name| Some((format!("gcp_{name}"), field(name)?.into())))
        .collect();
    let key = scalars.iter().position(|scalar| scalar.pointer == "private_key")?;
    let slot = json_text::to_slot(scalars.swap_remove(key));
    Some(vec![Slot {
        says: Says::Secret(CredentialKind::AccessKey),
        bundle: Bundle { user: email.clone(), engine: Some("gcp".to_owned()), ..Bundle::default() },
        subject: email,
        attributes,
        container: 0,
        ..slot
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_with_its_public_names() {
        let text = r#"{"type":"service_account","project_id":"p","private_key_id":"k1","private_key":"PEM","client_email":"a@p.iam"}"#;
        let found = slots(text).expect("a key file");
        assert_eq!(found[0].pointer, "private_key");
        assert_eq!(found[0].subject.as_deref(), Some("a@p.iam"));
        assert_eq!(found[0].attributes["gcp_private_key_id"], "k1");
        assert!(slots(&text.replace("service_account", "authorized_user")).is_none());
    }
}
