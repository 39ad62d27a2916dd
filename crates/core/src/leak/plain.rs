use super::Leak;
use crate::secret::SecretValue;

/// The whole text as one value; white space alone is none.
pub(super) fn whole(text: &[u8]) -> Vec<Leak> {
    if text.trim_ascii().is_empty() { Vec::new() } else { vec![Leak::new(SecretValue::new(text.to_vec()))] }
}

/// One value per line.
pub(super) fn lines(text: &[u8]) -> Vec<Leak> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty())
        .map(|line| Leak::new(SecretValue::new(line.to_vec())))
        .collect()
}
