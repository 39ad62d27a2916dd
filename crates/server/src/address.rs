//! Addresses that are asked for something, or told something: nobody on the way may read or change that.

use reqwest::Url;

/// `https`, or plain HTTP to this machine.
///
/// # Errors
/// It is no address, or another one. The address is not repeated whole: it may have a token in it.
pub(crate) fn safe(address: &str) -> Result<Url, String> {
    let url = Url::parse(address).map_err(|_| "this is no address".to_owned())?;
    let host = url.host_str().unwrap_or_default();
    let local = match host {
        "localhost" | "[::1]" => true,
        host => host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback()),
    };
    match url.scheme() {
        "https" if !host.is_empty() => Ok(url),
        "http" if local => Ok(url),
        scheme => Err(format!(
            "`{scheme}://{host}` is neither https nor on this machine: what goes there can be read and changed on the way"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn only_https_and_this_machine_are_safe() {
        for good in [
            "https://a.example/x",
            "http://127.0.0.1:80/",
            "http://127.9.9.9",
            "http://localhost:1",
            "http://[::1]/",
        ] {
            assert!(safe(good).is_ok(), "{good}");
        }
        for bad in [
            "http://a.example/x",
            "http://127.0.0.1.a.example",
            "http://localhost.a.example",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "127.0.0.1",
            "",
        ] {
            assert!(safe(bad).is_err(), "{bad}");
        }
        let said = safe("http://a.example/hooks/SECRET").err().unwrap_or_default();
        assert!(said.contains("a.example") && !said.contains("SECRET"), "{said}");
    }
}
