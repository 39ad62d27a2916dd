//! The statements that change a server. PostgreSQL takes no parameters in `ALTER ROLE`, so the text is quoted here.

/// A stored password: what `pg_authid.rolpassword` may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// RFC 5802 with SHA-256, and its iterations.
    Scram(u32),
    /// `md5` and the hex of md5(password ‖ role).
    Md5,
}

impl Method {
    /// Recognises a stored password; anything else (the plain text of versions before 10) is `None`.
    pub(crate) fn of(stored: &str) -> Option<Self> {
        if let Some(rest) = stored.strip_prefix("SCRAM-SHA-256$") {
            let (iterations, rest) = rest.split_once(':')?;
            let iterations = iterations.parse().ok()?;
            let base64 = |part: &str| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
            };
            let (salt, keys) = rest.split_once('$')?;
            let (stored_key, server_key) = keys.split_once(':')?;
            return (base64(salt) && base64(stored_key) && base64(server_key))
                .then_some(Self::Scram(iterations));
        }
        let digest = stored.strip_prefix("md5")?;
        (digest.len() == 32 && digest.bytes().all(|b| b.is_ascii_hexdigit())).then_some(Self::Md5)
    }
}

/// A role's name as a quoted identifier.
pub(crate) fn identifier(role: &str) -> String {
    format!("\"{}\"", role.replace('"', "\"\""))
}

/// `ALTER ROLE … PASSWORD` with a verifier, or with `NULL`. `None` when the text is no verifier: it would be taken for a password in
/// the clear, and stand in the server's log.
pub(crate) fn set_password(role: &str, verifier: Option<&str>) -> Option<String> {
    let literal = match verifier {
        // The alphabet of a verifier has no character that a literal must escape.
        Some(verifier) => Method::of(verifier).map(|_| format!("'{verifier}'"))?,
        None => "NULL".to_owned(),
    };
    Some(format!("ALTER ROLE {} PASSWORD {literal}", identifier(role)))
}

/// `ALTER ROLE … LOGIN PASSWORD`: the role may log in with the password behind this verifier. `None` as above.
pub(crate) fn let_in(role: &str, verifier: &str) -> Option<String> {
    Method::of(verifier).map(|_| format!("ALTER ROLE {} LOGIN PASSWORD '{verifier}'", identifier(role)))
}

/// `CREATE ROLE … LOGIN` with the password behind this verifier and nothing else. `None` as above.
pub(crate) fn create(role: &str, verifier: &str) -> Option<String> {
    Method::of(verifier).map(|_| {
        format!("CREATE ROLE {} LOGIN NOINHERIT CONNECTION LIMIT 4 PASSWORD '{verifier}'", identifier(role))
    })
}

/// `DROP ROLE`: refused by the server where it owns something.
pub(crate) fn drop(role: &str) -> String {
    format!("DROP ROLE IF EXISTS {}", identifier(role))
}

/// `ALTER ROLE … NOLOGIN PASSWORD NULL`: the role is there, and nobody logs in as it.
pub(crate) fn rest(role: &str) -> String {
    format!("ALTER ROLE {} NOLOGIN PASSWORD NULL", identifier(role))
}

/// `ALTER ROLE … LOGIN` or `NOLOGIN`; the password stays.
pub(crate) fn may_log_in(role: &str, may: bool) -> String {
    format!("ALTER ROLE {} {}", identifier(role), if may { "LOGIN" } else { "NOLOGIN" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAM: &str = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy";

    #[test]
    fn stored_passwords_are_recognised() {
        assert_eq!(Method::of(SCRAM), Some(Method::Scram(4096)));
        assert_eq!(Method::of("md5900150983cd24fb0d6963f7d28e17f72"), Some(Method::Md5));
        for other in [
            "hunter2",
            "",
            "md5",
            "md5xyz",
            "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk",
            "SCRAM-SHA-256$4096:a'$b:c",
        ] {
            assert_eq!(Method::of(other), None, "{other}");
        }
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(
            set_password("o\"; DROP ROLE x; --", Some(SCRAM)).expect("a statement"),
            format!("ALTER ROLE \"o\"\"; DROP ROLE x; --\" PASSWORD '{SCRAM}'")
        );
        assert_eq!(set_password("a", None).expect("a statement"), "ALTER ROLE \"a\" PASSWORD NULL");
    }

    #[test]
    fn a_password_in_the_clear_makes_no_statement() {
        assert!(set_password("a", Some("hunter2")).is_none());
        assert!(set_password("a", Some("x' SUPERUSER --")).is_none());
        assert!(let_in("a", "hunter2").is_none());
    }
}
