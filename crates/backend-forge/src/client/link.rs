//! How a list goes on, where the server says it by a link (RFC 8288). The link is never followed as it stands: only its query is taken, and only if it points at
//! the origin that was configured. An emulator of GitHub in wide use points at the real one from everywhere.

use reqwest::Url;

/// The query of the link with `rel="next"`; `None` where there is none. The error is the origin where it points at another one.
pub(super) fn next(header: &str, base: &Url) -> Result<Option<Vec<(String, String)>>, String> {
    let Some(target) = target(header) else { return Ok(None) };
    // One without an origin is ours.
    let url = base.join(target).map_err(|_| "no URL".to_owned())?;
    if url.origin() != base.origin() {
        return Err(url.origin().ascii_serialization());
    }
    Ok(Some(url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
}

fn target(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>')?;
        let (target, after) = (&rest[start + 1..end], &rest[end + 1..]);
        // The parameters end where the next link begins.
        let parameters = &after[..after.find('<').unwrap_or(after.len())];
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let parameter = parameter.trim();
            parameter.eq_ignore_ascii_case("rel=\"next\"") || parameter.eq_ignore_ascii_case("rel=next")
        });
        if is_next {
            return Some(target);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_query_of_a_link_to_our_own_origin_is_taken() {
        let base = Url::parse("https://ghe.example:8443/api/v3/").expect("a URL");
        let pairs = |all: &[(&str, &str)]| {
            Ok(Some(all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()))
        };
        for (header, expected) in [
            ("", Ok(None)),
            ("<https://ghe.example:8443/api/v3/x?page=1>; rel=\"prev\"", Ok(None)),
            (
                "<https://ghe.example:8443/x?page=1>; rel=\"prev\", <https://ghe.example:8443/repositories/7/keys?per_page=2&page=3>; rel=\"next\"",
                pairs(&[("per_page", "2"), ("page", "3")]),
            ),
            ("</api/v3/x?after=a%3D%3D>; rel=next", pairs(&[("after", "a==")])),
            ("<https://api.github.com/x?page=2>; rel=\"next\"", Err("https://api.github.com".to_owned())),
            ("<https://ghe.example/x?page=2>; rel=\"next\"", Err("https://ghe.example".to_owned())),
            ("<http://ghe.example:8443/x?page=2>; rel=\"next\"", Err("http://ghe.example:8443".to_owned())),
            ("<//evil.example/x?page=2>; rel=\"next\"", Err("https://evil.example".to_owned())),
        ] {
            assert_eq!(next(header, &base), expected, "{header}");
        }
    }
}
