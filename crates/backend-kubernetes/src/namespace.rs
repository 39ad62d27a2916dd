//! Which namespaces are read.

/// `include` and `exclude` of the configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct NamespaceFilter {
    include: Vec<String>,
    exclude: Vec<String>,
}

impl NamespaceFilter {
    pub(crate) fn new(include: &[String], exclude: &[String]) -> Self {
        Self { include: include.to_vec(), exclude: exclude.to_vec() }
    }

    /// Is the namespace to be read?
    pub(crate) fn selects(&self, namespace: &str) -> bool {
        (self.include.is_empty() || self.include.iter().any(|pattern| glob_matches(pattern, namespace)))
            && !self.exclude.iter().any(|pattern| glob_matches(pattern, namespace))
    }

    /// The namespaces that `include` names without a glob: all that can be read where namespaces cannot be listed.
    pub(crate) fn named(&self) -> Vec<String> {
        let plain = self.include.iter().filter(|pattern| !pattern.contains(['*', '?']));
        plain.filter(|name| self.selects(name)).cloned().collect()
    }
}

/// Does the whole text match a pattern of `*` (any run) and `?` (any one character)? Linear memory, no recursion.
fn glob_matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut seen) = (0, 0);
    // Where to go on when the last `*` has to swallow one character more.
    let mut retry: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some('*') => {
                at += 1;
                retry = Some((at, seen));
            }
            Some(&wanted) if wanted == '?' || wanted == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match retry {
                Some((after_star, from)) => {
                    at = after_star;
                    seen = from + 1;
                    retry = Some((after_star, seen));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "payments", true),
            ("pay*", "payments", true),
            ("*-prod", "pay-prod", true),
            ("*-prod", "pay-prod-eu", false),
            ("a*b*c", "aXbYbZc", true),
            ("pay", "payments", false),
            ("p?y", "pay", true),
            ("p?y", "py", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(glob_matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn exclude_wins_over_include() {
        let filter = NamespaceFilter::new(&["pay*".into(), "web".into()], &["*-test".into()]);
        assert!(filter.selects("payments") && filter.selects("web"));
        assert!(!filter.selects("pay-test") && !filter.selects("other"));
        assert_eq!(filter.named(), ["web"]);
        assert!(NamespaceFilter::default().selects("anything"));
    }
}
