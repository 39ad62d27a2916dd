//! Connection strings: URLs with a password (RFC 3986 userinfo, or a query parameter as JDBC has it), libpq's `host=… password=…`, and the
//! `;`-separated form of ADO.NET, ODBC and Azure.

use std::ops::Range;

use zeroize::Zeroizing;

use super::{
    github,
    slot::{Encoding, Says, Slot, Write, percent_decode},
    vendor,
};
use crate::{
    model::CredentialKind,
    observation::{Beside, Bundle},
};

/// Longest connection string, in bytes.
const MOST_BYTES: usize = 8 << 10;

/// A parsed connection string.
pub struct Connection {
    /// What it opens.
    pub bundle: Bundle,
    /// Its password, if it has one.
    pub password: Option<Slot>,
    /// Its user's name, if it stands in one place.
    pub user: Option<Slot>,
}

/// The pointer of the user's name; the password has none, as it is what the text is there for.
const USER: &str = "user";

/// Parses any of the forms; `None` for other texts. A connection string without a password is one, and has no slot.
pub fn parse(text: &str) -> Option<Connection> {
    if text.len() > MOST_BYTES || text.contains(['\n', '\r', '\0']) {
        return None;
    }
    parse_url(text).or_else(|| parse_libpq(text)).or_else(|| parse_semicolons(text))
}

fn slot(key: &str, value: &str, range: Range<usize>, encoding: Encoding, bundle: &Bundle) -> Slot {
    let slot = Slot::new(String::new(), key, value, Write::Ranges(vec![(range, encoding)]));
    Slot { says: Says::Secret(CredentialKind::Password), bundle: bundle.clone(), ..slot }
}

/// The slot of the user's name, which the bundle then tells.
fn named(
    value: Option<&str>,
    range: Option<Range<usize>>,
    encoding: Encoding,
    bundle: &mut Bundle,
) -> Option<Slot> {
    let (value, range) = (value?, range.filter(|range| !range.is_empty())?);
    bundle.user_at = Some(Beside::Within(USER.to_owned()));
    let slot = Slot::new(USER.to_owned(), USER, value, Write::Ranges(vec![(range, encoding)]));
    Some(Slot { says: Says::User, ..slot })
}

/// `scheme://[user[:password]@]host[:port][/database][?query]`, also behind `jdbc:`.
pub fn parse_url(text: &str) -> Option<Connection> {
    let start = if text.starts_with("jdbc:") { "jdbc:".len() } else { 0 };
    let colon = text[start..].find("://")? + start;
    let scheme = &text[start..colon];
    let sound = scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'));
    if !sound || !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || text.contains(char::is_whitespace)
    {
        return None;
    }
    let engine = engine(scheme);
    let authority = colon + 3;
    let rest = &text[authority..];
    // JDBC for SQL Server separates its parameters by `;`; elsewhere that is a character of the user's part.
    let marks: &[char] = if start > 0 { &['/', '?', '#', ';'] } else { &['/', '?', '#'] };
    let mut end = authority + rest.find(marks).unwrap_or(rest.len());
    if !text[authority..end].contains('@') && is_database(&engine) {
        // A password with a raw `/`, `?` or `#` is wrong and common: the last `@` ends it, if a colon comes before the mark.
        if let Some(at) = rest.rfind('@')
            && text[authority..end].split_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_err())
        {
            let after = authority + at;
            end = after + text[after..].find(['/', '?', '#']).unwrap_or(text.len() - after);
        }
    }
    let (user_info, host_start) = match text[authority..end].rfind('@') {
        Some(at) => (Some(authority..authority + at), authority + at + 1),
        None => (None, authority),
    };
    let mut bundle = Bundle { engine: Some(engine), ..Bundle::default() };
    (bundle.host, bundle.port) = host_and_port(&text[host_start..end]);
    let (path, query) = path_and_query(text, end);
    bundle.database = percent_decode(path.trim_start_matches('/')).filter(|name| !name.is_empty());
    let (mut password, mut users) = (None, Vec::new());
    if let Some(info) = user_info {
        let written = &text[info.clone()];
        let (user, range) = match written.find(':') {
            Some(at) => (&written[..at], Some(info.start + at + 1..info.end)),
            // `https://<token>@host`: only a token that names its vendor is told from a user.
            None if is_token(written) => ("", Some(info.clone())),
            None => (written, None),
        };
        bundle.user = percent_decode(user).filter(|user| !user.is_empty());
        users.extend(bundle.user.is_some().then(|| info.start..info.start + user.len()));
        password = range.filter(|range| !range.is_empty());
    }
    for (name, range) in parameters(text, query) {
        let value = || percent_decode(&text[range.clone()]).filter(|value| !value.is_empty());
        match name.to_ascii_lowercase().as_str() {
            "user" | "username" => {
                users.push(range.clone());
                bundle.user = value().or(bundle.user);
            }
            "host" | "hostname" => bundle.host = value().or(bundle.host),
            "dbname" | "database" | "databasename" => bundle.database = value().or(bundle.database),
            "password" | "pwd" if password.is_none() && !range.is_empty() => password = Some(range),
            _ => {}
        }
    }
    let place = if users.len() == 1 { users.pop() } else { None };
    let user = named(bundle.user.clone().as_deref(), place, Encoding::Percent, &mut bundle);
    let password = password.and_then(|range| {
        let value = Zeroizing::new(percent_decode(&text[range.clone()])?);
        Some(slot("password", &value, range, Encoding::Percent, &bundle))
    });
    Some(Connection { bundle, password, user })
}

fn is_token(text: &str) -> bool {
    github::parse(text).is_some() || vendor::parse(text).is_some()
}

/// One name for each engine, whichever driver the scheme names.
fn engine(scheme: &str) -> String {
    let scheme = scheme.to_ascii_lowercase();
    let name = scheme.split('+').next().unwrap_or_default();
    match name {
        "postgresql" | "postgis" | "pgsql" => "postgres",
        "mariadb" | "mysql2" => "mysql",
        "rediss" | "valkey" | "valkeys" => "redis",
        "amqps" => "amqp",
        "sqlserver" => "mssql",
        other => other,
    }
    .to_owned()
}

fn is_database(engine: &str) -> bool {
    ["postgres", "mysql", "mongodb", "redis", "amqp", "mssql", "clickhouse", "cockroachdb", "oracle"]
        .contains(&engine)
}

/// The first of several hosts. A port that is no number is left out.
fn host_and_port(text: &str) -> (Option<String>, Option<u16>) {
    let first = text.split(',').next().unwrap_or_default();
    let (host, port) = match first.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address, port.strip_prefix(':')),
        None => first.split_once(':').map_or((first, None), |(host, port)| (host, Some(port))),
    };
    let host = percent_decode(host).filter(|host| !host.is_empty());
    (host, port.and_then(|port| port.parse().ok()))
}

fn path_and_query(text: &str, end: usize) -> (&str, Range<usize>) {
    let stop = text[end..].find('#').map_or(text.len(), |at| end + at);
    match text[end..stop].find(['?', ';']) {
        Some(at) => (&text[end..end + at], end + at + 1..stop),
        None => (&text[end..stop], stop..stop),
    }
}

fn parameters(text: &str, query: Range<usize>) -> Vec<(&str, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = query.start;
    for pair in text[query].split(['&', ';']) {
        if let Some((name, value)) = pair.split_once('=') {
            let start = at + name.len() + 1;
            found.push((name, start..start + value.len()));
        }
        at += pair.len() + 1;
    }
    found
}

/// libpq keywords and values (PostgreSQL manual 34.1.1.1).
fn parse_libpq(text: &str) -> Option<Connection> {
    let mut bundle = Bundle { engine: Some("postgres".to_owned()), ..Bundle::default() };
    let (mut password, mut users, mut opens, mut at) = (None, Vec::new(), false, 0);
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        if at == text.len() {
            break;
        }
        let equals = text[at..].find('=')? + at;
        let name = text[at..equals].trim();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            return None;
        }
        let start = equals + 1 + (text[equals + 1..].len() - text[equals + 1..].trim_start().len());
        let (length, value) = libpq_value(&text[start..])?;
        at = start + length;
        opens |= matches!(name, "host" | "hostaddr" | "user" | "dbname");
        match name {
            "host" | "hostaddr" => bundle.host = Some(value),
            "port" => bundle.port = value.parse().ok(),
            "user" => {
                users.push(start..at);
                bundle.user = Some(value);
            }
            "dbname" => bundle.database = Some(value),
            "password" if !value.is_empty() => password = Some((Zeroizing::new(value), start..at)),
            _ => {}
        }
    }
    let (value, range) = password.filter(|_| opens)?;
    let place = if users.len() == 1 { users.pop() } else { None };
    let user = named(bundle.user.clone().as_deref(), place, Encoding::Libpq, &mut bundle);
    let password = Some(slot("password", &value, range, Encoding::Libpq, &bundle));
    Some(Connection { bundle, password, user })
}

fn libpq_value(text: &str) -> Option<(usize, String)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut letters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => value.push(letters.next()?.1),
            '\'' if quoted => return Some((at + 1, value)),
            letter if letter.is_whitespace() && !quoted => return Some((at, value)),
            letter => value.push(letter),
        }
    }
    (!quoted).then_some((text.len(), value))
}

/// `Server=…;User Id=…;Password=…`.
fn parse_semicolons(text: &str) -> Option<Connection> {
    if !text.contains(';') {
        return None;
    }
    let mut bundle = Bundle::default();
    let (mut password, mut users, mut pairs, mut at) = (None, Vec::new(), 0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.trim_start_matches([';', ' ']).is_empty() {
            break;
        }
        let equals = rest.find('=')?;
        let name = rest[..equals].trim().to_ascii_lowercase();
        if name.is_empty()
            || name.len() > 40
            || !name.chars().all(|c| c.is_ascii_alphanumeric() || " _-".contains(c))
        {
            return None;
        }
        let start = at + equals + 1;
        let (length, value) = semicolon_value(&text[start..])?;
        let range = start..start + length;
        at = range.end + usize::from(text[range.end..].starts_with(';'));
        pairs += 1;
        match name.replace([' ', '_', '-'], "").as_str() {
            "server" | "host" | "datasource" | "addr" | "address" | "endpoint" => {
                let value = value.strip_prefix("tcp:").unwrap_or(&value).replace(',', ":");
                (bundle.host, bundle.port) = host_and_port(&value);
            }
            "port" => bundle.port = value.parse().ok(),
            "userid" | "user" | "uid" | "username" | "accountname" | "sharedaccesskeyname" => {
                users.push(range);
                bundle.user = Some(value);
            }
            "database" | "initialcatalog" => bundle.database = Some(value),
            "password" | "pwd" | "accountkey" | "sharedaccesskey" if !value.is_empty() => {
                password = Some((Zeroizing::new(value), range));
            }
            _ => {}
        }
    }
    let (value, range) = password.filter(|_| pairs > 1)?;
    let place = if users.len() == 1 { users.pop() } else { None };
    let user = named(bundle.user.clone().as_deref(), place, Encoding::Semicolon, &mut bundle);
    let password = Some(slot("password", &value, range, Encoding::Semicolon, &bundle));
    Some(Connection { bundle, password, user })
}

fn semicolon_value(text: &str) -> Option<(usize, String)> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let length = text.find(';').unwrap_or(text.len());
        return Some((length, text[..length].trim().to_owned()));
    };
    let mut value = String::new();
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != quote {
            value.push(letter);
        } else if letters.next_if(|(_, next)| *next == quote).is_some() {
            value.push(quote);
        } else {
            return Some((at + 1, value));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::slot::write_ranges;

    /// user, password, host, port, database, engine
    fn shown(text: &str) -> Option<String> {
        let connection = parse(text)?;
        let bundle = connection.bundle;
        let part = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
        let password = connection.password.map(|slot| slot.value.expose_text().unwrap().to_owned());
        let port = bundle.port.map(|port| port.to_string());
        let parts = [bundle.user, password, bundle.host, port, bundle.database, bundle.engine];
        Some(parts.map(part).join(" "))
    }

    #[test]
    fn urls() {
        for (text, expected) in [
            (
                "postgres://app:p%40s%2Fs@db.lab:5432/pay?sslmode=disable",
                "app p@s/s db.lab 5432 pay postgres",
            ),
            ("postgresql+asyncpg://app:pw@[::1]:5432/", "app pw ::1 5432 - postgres"),
            ("postgres:///pay?host=/run&user=app&password=p%20w", "app p w /run - pay postgres"),
            ("redis://:pw@cache:6379/0", "- pw cache 6379 0 redis"),
            ("mongodb+srv://u:p:q@h1:27017,h2:27017/db", "u p:q h1 27017 db mongodb"),
            ("amqps://u:pw@mq/%2fvhost", "u pw mq - /vhost amqp"),
            ("mysql://root@h/db", "root - h - db mysql"),
            ("postgres://app:pa/ss?w@h/db", "app pa/ss?w h - db postgres"),
            ("postgres://app:p@ss@h/db", "app p@ss h - db postgres"),
            ("jdbc:postgresql://h:5432/db?user=u&password=pw&ssl=true", "u pw h 5432 db postgres"),
            ("jdbc:sqlserver://h:1433;databaseName=db;user=u;password=pw", "u pw h 1433 db mssql"),
            ("https://example.com/a:b@c", "- - example.com - a:b@c https"),
            ("https://user:token@git.lab/x.git", "user token git.lab - x.git https"),
            ("postgres://user:%zz@:99999/", "user %zz - - - postgres"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        let token = github::with_checksum("ghp_", "abcdefghijklmnopqrstuvwxyz0123");
        assert_eq!(
            shown(&format!("https://{token}@git.lab/x")),
            Some(format!("- {token} git.lab - x https"))
        );
    }

    #[test]
    fn other_forms() {
        for (text, expected) in [
            ("host=h port=5432 user = app password='it\\'s' dbname=d", "app it's h 5432 d postgres"),
            ("Server=tcp:h,1433;Database=d;User Id=u;Password=\"a;\"\"b\";", "u a;\"b h 1433 d -"),
            (
                "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=abc==;EndpointSuffix=x",
                "acc abc== - - - -",
            ),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "://", "a b://c:d@e", "password=x", "hello; world", "password=x;", "1x://a:b@c", "key=value"]
        {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn a_new_password_is_written_so_that_it_is_read_back() {
        let new = "n;e w'\"/@:%?#\\";
        for text in [
            "postgres://app:p%40s@db.lab:5432/pay?sslmode=disable",
            "redis://:pw@cache",
            "jdbc:postgresql://h/db?user=u&password=pw&ssl=true",
            "host=h password=old dbname=d",
            "Server=h;Password=old;Encrypt=true",
        ] {
            let before = parse(text).expect("parses");
            let Write::Ranges(ranges) = before.password.expect("a password").write else { panic!("ranges") };
            let written = write_ranges(text, &ranges, new).expect("written");
            let after = parse(&written).expect("parses");
            assert_eq!(
                after.password.expect("a password").value.expose_text(),
                Some(new),
                "{}",
                written.as_str()
            );
            assert_eq!(after.bundle, before.bundle);
        }
    }

    #[test]
    fn a_user_in_one_place_can_be_exchanged() {
        let new = "n;e w'\"/@:%?#\\";
        for text in [
            "postgres://app:p%40s@db.lab:5432/pay?sslmode=disable",
            "jdbc:postgresql://h/db?user=app&password=pw&ssl=true",
            "host=h user = app password=old dbname=d",
            "Server=h;User Id=app;Password=old;Encrypt=true",
        ] {
            let before = parse(text).expect("parses");
            assert_eq!(before.bundle.user_at, Some(Beside::Within("user".to_owned())), "{text}");
            let Write::Ranges(ranges) = before.user.expect("a user").write else { panic!("ranges") };
            let written = write_ranges(text, &ranges, new).expect("written");
            let after = parse(&written).expect("parses");
            assert_eq!(after.bundle.user.as_deref(), Some(new), "{}", written.as_str());
            let password = |slot: Option<Slot>| slot.map(|slot| slot.value.expose_text().map(str::to_owned));
            assert_eq!(password(after.password), password(before.password));
            let host = (after.bundle.host, after.bundle.database);
            assert_eq!(host, (before.bundle.host, before.bundle.database));
        }
        let twice = parse("postgres://app:pw@h/db?user=other").expect("parses");
        assert!(twice.user.is_none() && twice.bundle.user_at.is_none(), "nobody knows which one counts");
    }
}
