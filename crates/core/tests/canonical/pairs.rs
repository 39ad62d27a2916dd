//! A key id and its secret: where both lie, so that they can be changed together.

use claviger_core::{
    canonical::{Input, bundle_of, leaves, splice, value_at},
    model::{CredentialKind, Place},
    observation::{Beside, Bundle},
};

use crate::support::{encode, secret};

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// The secret's pointer and its id's place.
fn places(key: &str, text: &str) -> Vec<(String, Option<Beside>)> {
    let bundle = Bundle::default();
    let input = Input { key, place: Place::SecretStore, kind: None, bundle: &bundle };
    let found = leaves(&input, &secret(text)).into_iter();
    let keys = found.filter(|leaf| leaf.kind == CredentialKind::AccessKey);
    keys.map(|leaf| (leaf.pointer, leaf.bundle.aws_access_key_at)).collect()
}

#[test]
fn both_halves_in_one_field_are_found_and_changed() {
    let json =
        format!("{{\"aws\":{{\"accessKeyId\":\"{ID}\",\"secretAccessKey\":\"{SECRET}\"}},\"id\":\"{ID}\"}}");
    let env =
        format!("# {ID}\nexport PROD_AWS_ACCESS_KEY_ID='{ID}'\nPROD_AWS_SECRET_ACCESS_KEY={SECRET}\nA=b\n");
    let file =
        format!("[default]\nregion = x\n[ci]\naws_secret_access_key={SECRET}\naws_access_key_id={ID}\n");
    for (key, text, at_secret, at_id) in [
        ("config.json", json.clone(), "aws/secretAccessKey", "aws/accessKeyId"),
        (".env", env, "PROD_AWS_SECRET_ACCESS_KEY", "PROD_AWS_ACCESS_KEY_ID"),
        ("credentials", file.clone(), "ci/aws_secret_access_key", "ci/aws_access_key_id"),
        ("credentials", encode(file), "ci/aws_secret_access_key", "ci/aws_access_key_id"),
        (
            "x",
            format!("{{\"inner\":{}}}", serde_json::to_string(&json).unwrap()),
            "inner/aws/secretAccessKey",
            "inner/aws/accessKeyId",
        ),
    ] {
        let found = places(key, &text);
        assert_eq!(found, [(at_secret.to_owned(), Some(Beside::Within(at_id.to_owned())))], "{text}");
        let value = secret(&text);
        for (pointer, half) in [(at_id, ID), (at_secret, SECRET)] {
            let held = value_at(&value, pointer).unwrap_or_else(|| panic!("{pointer} of {text}"));
            assert_eq!(held.expose_text(), Some(half), "{text}");
        }
        let (new_id, new_secret) = ("AKIANEWNEWNEWNEWNEW2", "zJ8lrXUtnFEMI/K7MDENG+bPxRfiCYNEWKEYxx12");
        let one = splice(&value, at_secret, &secret(SECRET), &secret(new_secret)).expect("the secret");
        let both = splice(&one, at_id, &secret(ID), &secret(new_id)).expect("the id");
        for (pointer, half) in [(at_id, new_id), (at_secret, new_secret)] {
            assert_eq!(value_at(&both, pointer).expect("a half").expose_text(), Some(half), "{text}");
        }
        let back = splice(&both, at_id, &secret(new_id), &secret(ID)).expect("the id again");
        let back = splice(&back, at_secret, &secret(new_secret), &secret(SECRET)).expect("the secret again");
        assert_eq!(back.expose_text(), Some(text.as_str()), "something else changed");
        assert!(value_at(&value, "no/such").is_none());
    }
}

#[test]
fn an_id_in_a_field_of_its_own_is_named() {
    let fields = [("region", "eu"), ("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    let fields = fields.map(|(key, text)| (key, secret(text)));
    let bundle = bundle_of(fields.iter().map(|(key, value)| (*key, value)));
    let input =
        Input { key: "AWS_SECRET_ACCESS_KEY", place: Place::SecretStore, kind: None, bundle: &bundle };
    let found = leaves(&input, &secret(SECRET));
    assert_eq!(found[0].bundle.aws_access_key_at, Some(Beside::Field("AWS_ACCESS_KEY_ID".to_owned())));
    assert_eq!(value_at(&secret(ID), "").expect("the field").expose_text(), Some(ID));
    assert_eq!(value_at(&secret(format!("{ID}\n")), "").expect("the field").expose_text(), Some(ID));
}
