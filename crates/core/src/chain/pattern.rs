use crate::reference::Ref;

/// Objects that a grant lets its holder read, as its backend says them: a ref without field, in which a segment `*` stands for any one segment, and a `*` at the end
/// for any rest. `prod/payments/Secret/*`, `prod/*/Secret/*`, `vault/kv/app*`, `prod/payments/Secret/db`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern<'p>(&'p str);

impl<'p> Pattern<'p> {
    /// Takes its text.
    pub const fn new(text: &'p str) -> Self {
        Self(text)
    }

    /// Its text.
    pub const fn as_str(self) -> &'p str {
        self.0
    }

    /// What every ref that it covers begins with.
    pub fn beginning(self) -> &'p str {
        self.0.split('*').next().unwrap_or_default()
    }

    /// Does it cover the object of this ref?
    pub fn covers(self, at: &Ref) -> bool {
        let text = at.as_str();
        let object = text.split_once('#').map_or(text, |(object, _)| object);
        let mut segments = object.split('/');
        let mut parts = self.0.split('/').peekable();
        while let Some(part) = parts.next() {
            let Some(segment) = segments.next() else { return false };
            let is_last = parts.peek().is_none();
            match part.strip_suffix('*') {
                Some(beginning) if is_last => return segment.starts_with(beginning),
                Some("") => {}
                _ if part == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_a_segment_or_for_the_rest() {
        for (pattern, at, covers) in [
            ("prod/payments/Secret/*", "prod/payments/Secret/db#password", true),
            ("prod/payments/Secret/*", "prod/payments/ConfigMap/db#password", false),
            ("prod/payments/Secret/*", "prod/payments2/Secret/db", false),
            ("prod/*/Secret/*", "prod/payments/Secret/db#a/b", true),
            ("prod/*/Secret/*", "prod/payments/ConfigMap/db", false),
            ("prod/payments/Secret/db", "prod/payments/Secret/db#password", true),
            ("prod/payments/Secret/db", "prod/payments/Secret/db2#password", false),
            ("vault/kv/app*", "vault/kv/app-one/deep#key", true),
            ("vault/kv/app*", "vault/kv/other#key", false),
            ("vault/*", "vault/kv/a/b#c", true),
            ("vault/*", "prod/a", false),
            ("prod/a/b", "prod/a", false),
            ("", "prod/a", false),
        ] {
            assert_eq!(Pattern::new(pattern).covers(&Ref::from_text(at)), covers, "{pattern} {at}");
            if covers {
                assert!(at.starts_with(Pattern::new(pattern).beginning()), "{pattern} {at}");
            }
        }
    }
}
