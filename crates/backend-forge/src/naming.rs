//! Names of the tokens that we make: what people called the old one, and the operation that made the new one, by which it is found again.

use claviger_backend::Operation;

/// Longest part of the old name that a new one begins with, in characters.
const NAME: usize = 120;

/// The words in a new token's name by which the operation that made it is known.
pub(crate) fn mark(op: &Operation) -> String {
    format!("claviger {}", op.key)
}

/// The name of the token that takes this one's place.
pub(crate) fn successor(name: &str, op: &Operation) -> String {
    format!("{} ({})", base(name), mark(op))
}

/// The name that people gave it, without our mark.
fn base(name: &str) -> String {
    let base = name.split("(claviger ").next().unwrap_or_default().trim();
    base.chars().take(NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_what_people_wrote_and_one_mark() {
        assert_eq!(base("deploy"), "deploy");
        assert_eq!(base("deploy (claviger 0b7f8a52-6f1e-5f0a-9d3c-2a1b3c4d5e6f)"), "deploy");
        assert_eq!(base(&"x".repeat(300)).len(), NAME);
    }
}
