//! New values in old wrappings.

use claviger_core::canonical::{SpliceError, splice};
use serde_json::json;

use crate::support::{encode, in_store, only, secret, shown};

fn spliced(value: &str, pointer: &str, old: &str, new: &str) -> Result<String, SpliceError> {
    let written = splice(&secret(value), pointer, &secret(old), &secret(new))?;
    Ok(written.expose_text().expect("text").to_owned())
}

#[test]
fn everything_around_the_leaf_stays() {
    let old = "k3J9x2Lq8Zp4";
    let auth = |password: &str| encode(format!("robot:{password}"));
    for (document, pointer) in [
        ("OLD\n", ""),
        ("postgres://app:OLD@db.lab:5432/pay?sslmode=disable", ""),
        ("{ \"a\":\"OLD\",\n\t\"password\" : \"OLD\", \"n\": 1.0e2 }\n", "password"),
        ("# c\nUSER=OLD\nexport DB_PASSWORD='OLD' # OLD\n\nEMPTY=\n", "DB_PASSWORD"),
        (
            "[ci]\naws_secret_access_key = OLD\n[default]\n# OLD\naws_access_key_id = x\naws_secret_access_key=OLD\n",
            "default/aws_secret_access_key",
        ),
        ("# OLD\ndb: {user: OLD, password: OLD} # OLD\nother: OLD\n", "db/password"),
        (
            "kind: Config\nclusters: []\nusers:\n- name: OLD\n  user: {token: OLD}\n- name: b\n  user: {token: OLD}\n",
            "users/b/token",
        ),
        ("{\"dsn\":\"mysql://u:OLD@h/d\",\"x\":\"mysql://u:OLD@h/d\"}", "dsn"),
    ] {
        let text = document.replace("OLD", old);
        let written =
            spliced(&text, pointer, old, "NEW-9-value").unwrap_or_else(|error| panic!("{document}: {error}"));
        assert_eq!(written.matches("NEW-9-value").count(), 1, "{written}");
        let back = spliced(&written, pointer, "NEW-9-value", old)
            .unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(back, text);
    }
    // Both notations of one password are one leaf.
    let docker =
        format!("{{\"auths\":{{\"reg.io\":{{\"password\":\"{old}\",\"auth\":\"{}\"}}}}}}", auth(old));
    let expected = docker.replace(old, "NEW").replace(&auth(old), &auth("NEW"));
    assert_eq!(spliced(&docker, "auths/reg.io/password", old, "NEW"), Ok(expected));
}

#[test]
fn values_that_need_quotes_get_them() {
    let new = "a \"b\": #'c @/%";
    for (document, pointer) in [
        ("{\"password\":\"old-value\"}", "password"),
        ("db:\n  password: old-value\n", "db/password"),
        ("postgres://app:old-value@h/d", ""),
        ("host=h password=old-value", ""),
        ("Server=h;Password=old-value", ""),
    ] {
        let written = spliced(document, pointer, "old-value", new)
            .unwrap_or_else(|error| panic!("{document}: {error}"));
        let key = if document.contains("db:") { "x.yaml" } else { "password" };
        assert_eq!(only(in_store(key, &written)).canonical.expose_text(), Some(new), "{written}");
    }
    assert_eq!(
        spliced("A=1\nDB_PASSWORD=old-value\n", "DB_PASSWORD", "old-value", "two words").as_deref(),
        Ok("A=1\nDB_PASSWORD='two words'\n")
    );
}

#[test]
fn what_cannot_be_done_is_said() {
    let json = "{\"password\":\"old-value\"}";
    assert_eq!(spliced(json, "gone", "old-value", "x"), Err(SpliceError::NoSuchLeaf));
    assert_eq!(spliced(json, "password", "another", "x"), Err(SpliceError::OldValueDiffers));
    assert_eq!(spliced("value", "", "another", "x"), Err(SpliceError::OldValueDiffers));
    assert_eq!(spliced("postgres://a:old-value@h/d", "", "another", "x"), Err(SpliceError::OldValueDiffers));
    assert_eq!(
        spliced("A=1\nDB_PASSWORD=old-value\n", "DB_PASSWORD", "old-value", "a\nb"),
        Err(SpliceError::NotRepresentable)
    );
    assert_eq!(spliced(json, "password", "old-value", ""), Err(SpliceError::NotRepresentable));
    // What would be read as something else could never be seen to have arrived.
    assert_eq!(
        spliced("old-value", "", "old-value", "postgres://a:b@h/d"),
        Err(SpliceError::NotRepresentable)
    );
    let manifest = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: x}}\ndata:\n  password: {}\n",
        encode("old-value")
    );
    assert_eq!(spliced(&manifest, "Secret/x/data/password", "old-value", "new"), Err(SpliceError::ReadOnly));
}

#[test]
fn keys_are_exchanged_whatever_their_notation() {
    let (pkcs1, pkcs8) = (include_str!("data/rsa.pkcs1.pem"), include_str!("data/rsa.pkcs8.pem"));
    let (ec, certificate) = (include_str!("data/ec.sec1.pem"), include_str!("data/client.crt.pem"));
    assert_eq!(spliced(pkcs1, "", pkcs8, ec).as_deref(), Ok(ec));
    // The leaf's own canonical form is an old value too.
    let spki = only(in_store("tls.key", pkcs1)).canonical;
    assert!(splice(&secret(pkcs1), "", &spki, &secret(ec)).is_ok());
    assert!(splice(&secret(certificate), "", &spki, &secret(ec)).is_ok());
    assert_eq!(spliced(pkcs1, "", ec, ec), Err(SpliceError::OldValueDiffers));
    let json = json!({"key": pkcs1, "other": "x"}).to_string();
    let written = spliced(&json, "key", pkcs1, ec).expect("written");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&written).expect("JSON"),
        json!({"key": ec.trim_end().to_owned() + "\n", "other": "x"})
    );
}

#[test]
fn a_member_that_occurs_twice_is_two_leaves() {
    let text = "{\"password\":\"first-value-1\",\"password\":\"second-value-2\"}";
    let found = in_store("x", text);
    let pointers: Vec<_> =
        shown(&found).into_iter().map(|(pointer, _, text)| (pointer.to_owned(), text.to_owned())).collect();
    assert_eq!(
        pointers,
        [("password".into(), "first-value-1".into()), ("password~n2".into(), "second-value-2".into())]
    );
    let written = spliced(text, "password~n2", "second-value-2", "NEW").expect("written");
    assert_eq!(written, text.replace("second-value-2", "NEW"));
}
