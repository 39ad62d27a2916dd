//! What the neighbours of a secret say about it: user, host, port, database, key ids.

use super::name;
use crate::{
    format::{aws, database_url, slot},
    observation::{Beside, Bundle},
    secret::SecretValue,
};

/// Neighbours that are kept: an object of a hundred thousand fields describes nothing.
const MOST: usize = 64;
/// Longest value that describes something.
const MOST_BYTES: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    User,
    Host,
    Port,
    Database,
    Engine,
    AwsAccessKeyId,
    RoleId,
    Url,
}

struct Neighbour {
    /// Words before those that name the part: `db` of `DB_USER`.
    family: Vec<String>,
    part: Part,
    value: String,
    /// Its pointer in the document, or its name in the object.
    at: String,
}

/// The describing fields of one object.
#[derive(Default)]
pub struct Neighbours(Vec<Neighbour>);

impl Neighbours {
    /// The fields of one object.
    pub fn of<'a>(fields: impl Iterator<Item = (&'a str, &'a SecretValue)>) -> Self {
        let mut neighbours = Self::default();
        for (key, value) in fields {
            neighbours.add(key, key, value.expose());
        }
        neighbours
    }

    /// Takes a field into account, if it describes something. `at` is its pointer in a document, its name in an object.
    pub(super) fn add(&mut self, key: &str, at: &str, value: &[u8]) {
        if self.0.len() >= MOST || value.len() > MOST_BYTES {
            return;
        }
        let Ok(text) = std::str::from_utf8(value) else { return };
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        let words = name::words(key);
        if let Some((part, count)) = part_of(&words, text) {
            let family = words[..words.len() - count].to_vec();
            self.0.push(Neighbour { family, part, value: text.to_owned(), at: at.to_owned() });
        }
    }

    /// What they say of the field `key`: those of its own family (`DB_USER` for `DB_PASSWORD`) before those of none, before the only one.
    pub fn describe(&self, key: &str) -> Bundle {
        let family = family_of(key);
        let choose = |part: Part| {
            let of_part = || self.0.iter().filter(move |neighbour| neighbour.part == part);
            let own: Vec<_> =
                of_part().filter(|neighbour| !family.is_empty() && neighbour.family == family).collect();
            let bare: Vec<_> = of_part().filter(|neighbour| neighbour.family.is_empty()).collect();
            only(own).or_else(|| only(bare)).or_else(|| only(of_part().collect()))
        };
        let pick = |part| choose(part).map(|neighbour| neighbour.value.clone());
        let beside = pick(Part::Url).and_then(|url| database_url::parse_url(&url));
        // A URL that names the user and holds no password is a second place of the name.
        let elsewhere =
            beside.as_ref().is_some_and(|url| url.bundle.user.is_some() && url.password.is_none());
        let mut bundle = beside.map(|url| Bundle { user_at: None, ..url.bundle }).unwrap_or_default();
        let set = |slot: &mut Option<String>, part| {
            if let Some(value) = pick(part) {
                *slot = Some(value);
            }
        };
        set(&mut bundle.user, Part::User);
        if let Some(user) = choose(Part::User) {
            let same = |other: &&Neighbour| other.part == Part::User && other.value == user.value;
            let alone = self.0.iter().filter(same).count() == 1 && !elsewhere;
            bundle.user_at = alone.then(|| Beside::Field(user.at.clone()));
        }
        set(&mut bundle.host, Part::Host);
        set(&mut bundle.database, Part::Database);
        set(&mut bundle.engine, Part::Engine);
        if let Some(id) = choose(Part::AwsAccessKeyId) {
            bundle.aws_access_key_id = Some(id.value.clone());
            bundle.aws_access_key_at = Some(Beside::Field(id.at.clone()));
        }
        set(&mut bundle.role_id, Part::RoleId);
        bundle.port = pick(Part::Port).and_then(|port| port.parse().ok()).or(bundle.port);
        bundle.engine = bundle.engine.map(|engine| match engine.to_ascii_lowercase().as_str() {
            "postgresql" | "aurora-postgresql" => "postgres".to_owned(),
            "aurora-mysql" | "mariadb" => "mysql".to_owned(),
            other => other.to_owned(),
        });
        bundle
    }
}

/// What the fields of one object say about its secret. Where two fields contradict each other (`DB_USER`, `CACHE_USER`) the plain name wins, and
/// without one nothing is said.
pub fn bundle_of<'a>(fields: impl Iterator<Item = (&'a str, &'a SecretValue)>) -> Bundle {
    Neighbours::of(fields).describe("")
}

/// What a document at `outer` says of its own, in pointers of the field that holds it.
pub(super) fn within(mut bundle: Bundle, outer: &str) -> Bundle {
    let inside = |beside: Beside| {
        let (Beside::Field(pointer) | Beside::Within(pointer)) = beside;
        Beside::Within(slot::join(outer, &pointer))
    };
    bundle.aws_access_key_at = bundle.aws_access_key_at.map(inside);
    bundle.user_at = bundle.user_at.map(inside);
    bundle
}

/// `inner` where it says something, else `outer`.
pub(super) fn refine(outer: &Bundle, inner: Bundle) -> Bundle {
    // An id and its place belong together.
    let key = if inner.aws_access_key_id.is_some() { &inner } else { outer };
    let aws_access_key_at = key.aws_access_key_at.clone();
    let named = if inner.user.is_some() { &inner } else { outer };
    let user_at = named.user_at.clone();
    Bundle {
        aws_access_key_at,
        user_at,
        user: inner.user.or_else(|| outer.user.clone()),
        host: inner.host.or_else(|| outer.host.clone()),
        port: inner.port.or(outer.port),
        database: inner.database.or_else(|| outer.database.clone()),
        engine: inner.engine.or_else(|| outer.engine.clone()),
        aws_access_key_id: inner.aws_access_key_id.or_else(|| outer.aws_access_key_id.clone()),
        role_id: inner.role_id.or_else(|| outer.role_id.clone()),
    }
}

/// The first, where all say the same.
fn only(found: Vec<&Neighbour>) -> Option<&Neighbour> {
    let (first, rest) = found.split_first()?;
    rest.iter().all(|other| other.value == first.value).then_some(*first)
}

/// The part that a name's last words mean, and how many words that takes.
fn part_of(words: &[String], value: &str) -> Option<(Part, usize)> {
    let last: Vec<&str> = words.iter().rev().map(String::as_str).take(3).collect();
    let part = match *last.as_slice() {
        ["id", "key", "access"] => (Part::AwsAccessKeyId, 3),
        ["id", "role"] => (Part::RoleId, 2),
        ["id", "role", ..] => (Part::RoleId, 2),
        ["id", "client", ..] => (Part::User, 2),
        ["name", "user", ..] | ["name", "login", ..] => (Part::User, 2),
        ["name", "db" | "database", ..] => (Part::Database, 2),
        ["name", "host", ..] => (Part::Host, 2),
        ["username" | "user" | "usr" | "login" | "uid", ..] => (Part::User, 1),
        ["host" | "hostname" | "server" | "address" | "addr", ..] => (Part::Host, 1),
        ["port", ..] => (Part::Port, 1),
        ["database" | "dbname" | "db", ..] => (Part::Database, 1),
        ["engine" | "driver" | "dialect", ..] => (Part::Engine, 1),
        ["url" | "uri" | "dsn" | "jdbc", ..] => (Part::Url, 1),
        _ => return None,
    };
    let fits = match part.0 {
        Part::AwsAccessKeyId => aws::looks_like_access_key_id(value),
        Part::Port => value.parse::<u16>().is_ok(),
        Part::Url => database_url::parse_url(value).is_some(),
        _ => !value.contains('\n') && !value.contains("://"),
    };
    fits.then_some(part)
}

/// The words of a secret's name before those that say what it is.
fn family_of(key: &str) -> Vec<String> {
    let mut words = name::words(key);
    let secret = |word: &String| {
        [
            "password",
            "passwd",
            "pwd",
            "pass",
            "pw",
            "secret",
            "token",
            "key",
            "access",
            "api",
            "private",
            "credential",
            "credentials",
            "auth",
        ]
        .contains(&word.as_str())
            || word.bytes().all(|byte| byte.is_ascii_digit())
    };
    while words.last().is_some_and(secret) {
        words.pop();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbours(fields: &[(&str, &str)]) -> Neighbours {
        let mut neighbours = Neighbours::default();
        fields.iter().for_each(|(key, value)| neighbours.add(key, key, value.as_bytes()));
        neighbours
    }

    #[test]
    fn the_usual_names_are_understood() {
        let fields = [
            ("username", "app"),
            ("host", "h"),
            ("port", "5432"),
            ("dbname", "pay"),
            ("engine", "postgresql"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("role_id", "r-1"),
        ];
        let expected = Bundle {
            user: Some("app".into()),
            user_at: Some(Beside::Field("username".into())),
            host: Some("h".into()),
            port: Some(5432),
            database: Some("pay".into()),
            engine: Some("postgres".into()),
            aws_access_key_id: Some("AKIAIOSFODNN7EXAMPLE".into()),
            aws_access_key_at: Some(Beside::Field("AWS_ACCESS_KEY_ID".into())),
            role_id: Some("r-1".into()),
        };
        let values: Vec<_> =
            fields.iter().map(|(key, value)| (*key, SecretValue::from_text((*value).to_owned()))).collect();
        assert_eq!(bundle_of(values.iter().map(|(key, value)| (*key, value))), expected);
    }

    #[test]
    fn families_describe_their_own() {
        let fields =
            neighbours(&[("DB_USER", "app"), ("DB_HOST", "h"), ("CACHE_USER", "cache"), ("PGUSER", "pg")]);
        assert_eq!(fields.describe("DB_PASSWORD").user.as_deref(), Some("app"));
        assert_eq!(fields.describe("CACHE_PASSWORD").user.as_deref(), Some("cache"));
        assert_eq!(fields.describe("PGPASSWORD").user.as_deref(), Some("pg"));
        assert_eq!(fields.describe("OTHER_PASSWORD").user, None, "nobody knows which");
        assert_eq!(fields.describe("OTHER_PASSWORD").host.as_deref(), Some("h"), "there is only one");
        let [live, test] = ["AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLF"];
        let fields = neighbours(&[("LIVE_AWS_ACCESS_KEY_ID", live), ("TEST_AWS_ACCESS_KEY_ID", test)]);
        let of = |key: &str| fields.describe(key).aws_access_key_at;
        let field = |name: &str| Some(Beside::Field(name.to_owned()));
        assert_eq!(of("LIVE_AWS_SECRET_ACCESS_KEY"), field("LIVE_AWS_ACCESS_KEY_ID"));
        assert_eq!(of("TEST_AWS_SECRET_ACCESS_KEY"), field("TEST_AWS_ACCESS_KEY_ID"));
        assert_eq!(of("AWS_SECRET_ACCESS_KEY"), None, "nobody knows which");
    }

    #[test]
    fn a_user_that_is_named_in_two_places_has_no_place() {
        let at = |fields: &[(&str, &str)]| neighbours(fields).describe("password").user_at;
        assert_eq!(at(&[("username", "app")]), Some(Beside::Field("username".into())));
        assert_eq!(at(&[("username", "app"), ("db_user", "app")]), None);
        assert_eq!(at(&[("username", "app"), ("url", "jdbc:postgresql://h/pay?user=app")]), None);
        // A URL with a password is a copy of its own.
        let whole = at(&[("username", "app"), ("url", "postgres://app:pw@h/pay")]);
        assert_eq!(whole, Some(Beside::Field("username".into())));
    }

    #[test]
    fn a_url_beside_the_password_describes_it() {
        let bundle =
            neighbours(&[("url", "jdbc:postgresql://h:5433/pay"), ("username", "app")]).describe("password");
        assert_eq!(
            (bundle.user.as_deref(), bundle.host.as_deref(), bundle.port),
            (Some("app"), Some("h"), Some(5433))
        );
        assert_eq!((bundle.database.as_deref(), bundle.engine.as_deref()), (Some("pay"), Some("postgres")));
    }
}
