//! Making new passwords: every character is drawn evenly from the alphabet of a policy.

use zeroize::Zeroize;

use crate::{random::Random, secret::SecretValue};

/// A version 4 UUID (RFC 9562, section 5.4): 122 random bits, in the form that servers which make UUIDs expect.
pub fn uuid(random: &dyn Random) -> SecretValue {
    let mut bytes = [0_u8; 16];
    random.fill(&mut bytes);
    let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
    bytes.zeroize();
    SecretValue::from_text(id.hyphenated().to_string())
}

/// What a generated password looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    length: usize,
    alphabet: Vec<char>,
}

/// Why rules make no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Fewer than two different characters.
    #[error("the alphabet has {0} different characters, at least 2 are needed")]
    Alphabet(usize),
    /// A range such as `z-a`.
    #[error("the range `{0}-{1}` runs backwards")]
    Range(char, char),
    /// A control character or a space, which some target would trim, cut or refuse.
    #[error("the alphabet holds a space or control character")]
    Unprintable,
    /// Too little to withstand guessing.
    #[error("{bits} bits of entropy, at least {least} are needed: make it longer, or widen the alphabet")]
    TooWeak {
        /// What the rules give.
        bits: u32,
        /// What is needed: [`Rules::LEAST_BITS`].
        least: u32,
    },
    /// Longer than [`Rules::MOST_CHARACTERS`].
    #[error("a length of {0} is more than {most}", most = Rules::MOST_CHARACTERS)]
    TooLong(usize),
}

impl Rules {
    /// Least entropy of a machine's password, in bits.
    pub const LEAST_BITS: u32 = 80;

    /// Longest password: more than any target takes.
    pub const MOST_CHARACTERS: usize = 4096;

    /// Rules from a length in characters and an alphabet in the notation of `[policies.*]`: `A-Za-z0-9_-`. A `-` at either end
    /// stands for itself; a character that is named twice counts once.
    ///
    /// # Errors
    /// See [`RulesError`].
    pub fn new(length: usize, alphabet: &str) -> Result<Self, RulesError> {
        let alphabet = expand(alphabet)?;
        if alphabet.len() < 2 {
            return Err(RulesError::Alphabet(alphabet.len()));
        }
        if length > Self::MOST_CHARACTERS {
            return Err(RulesError::TooLong(length));
        }
        let rules = Self { length, alphabet };
        let bits = rules.entropy_bits();
        if bits < f64::from(Self::LEAST_BITS) {
            // Fewer than 80, so the conversion is exact enough to print.
            let bits = (0..Self::LEAST_BITS).rev().find(|whole| f64::from(*whole) <= bits).unwrap_or(0);
            return Err(RulesError::TooWeak { bits, least: Self::LEAST_BITS });
        }
        Ok(rules)
    }

    /// Entropy of a password made by these rules: length × log2(characters of the alphabet).
    pub fn entropy_bits(&self) -> f64 {
        let count = u32::try_from(self.alphabet.len()).unwrap_or(u32::MAX);
        let length = u32::try_from(self.length).unwrap_or(u32::MAX);
        f64::from(count).log2() * f64::from(length)
    }

    /// A new password. Bytes that would favour some characters are thrown away and drawn again, so there is no modulo bias.
    pub fn generate(&self, random: &dyn Random) -> SecretValue {
        let count = u32::try_from(self.alphabet.len()).expect("an alphabet of Unicode characters fits");
        let fair = u32::MAX - u32::MAX % count;
        let mut text = String::with_capacity(self.length * 4);
        let mut pool = [0_u8; 256];
        let mut drawn = 0;
        while drawn < self.length {
            random.fill(&mut pool);
            for chunk in pool.chunks_exact(4) {
                let number = u32::from_le_bytes(chunk.try_into().expect("chunks of four"));
                if drawn < self.length && number < fair {
                    text.push(self.alphabet[(number % count) as usize]);
                    drawn += 1;
                }
            }
        }
        pool.zeroize();
        SecretValue::from_text(text)
    }
}

impl Default for Rules {
    /// 32 characters of `A-Za-z0-9_-`: 192 bits, and nothing that a URL, a shell or YAML would need quoted.
    fn default() -> Self {
        Self::new(32, "A-Za-z0-9_-").expect("the default rules are sound")
    }
}

fn expand(notation: &str) -> Result<Vec<char>, RulesError> {
    let chars: Vec<char> = notation.chars().collect();
    let mut alphabet = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let first = chars[at];
        if chars.get(at + 1) == Some(&'-') && at + 2 < chars.len() {
            let last = chars[at + 2];
            if last < first {
                return Err(RulesError::Range(first, last));
            }
            alphabet.extend(first..=last);
            at += 3;
        } else {
            alphabet.push(first);
            at += 1;
        }
    }
    alphabet.sort_unstable();
    alphabet.dedup();
    if alphabet.iter().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(RulesError::Unprintable);
    }
    Ok(alphabet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn notation_is_read_as_the_configuration_means_it() {
        assert_eq!(expand("a-cX_-").expect("valid"), ['-', 'X', '_', 'a', 'b', 'c']);
        assert_eq!(expand("-a").expect("valid"), ['-', 'a']);
        assert_eq!(expand("aab").expect("valid"), ['a', 'b']);
        assert_eq!(expand("z-a"), Err(RulesError::Range('z', 'a')));
        assert_eq!(expand("a b"), Err(RulesError::Unprintable));
    }

    #[test]
    fn weak_rules_are_refused() {
        assert!(matches!(Rules::new(32, "a"), Err(RulesError::Alphabet(1))));
        assert_eq!(Rules::new(8, "a-z"), Err(RulesError::TooWeak { bits: 37, least: 80 }));
        assert!(matches!(Rules::new(0, "a-z"), Err(RulesError::TooWeak { bits: 0, .. })));
        assert!(matches!(Rules::new(5000, "a-z"), Err(RulesError::TooLong(5000))));
        let rules = Rules::default();
        assert!((rules.entropy_bits() - 192.0).abs() < 1e-9);
    }

    #[test]
    fn passwords_have_the_length_use_the_whole_alphabet_evenly_and_differ() {
        let rules = Rules::new(4000, "a-j").expect("valid");
        let random = SeededRandom::new(1);
        let (one, two) = (rules.generate(&random), rules.generate(&random));
        assert_eq!(one.len(), 4000);
        assert_ne!(one.expose(), two.expose());
        for c in b'a'..=b'j' {
            let count = one.expose().iter().filter(|b| **b == c).count();
            assert!((300..500).contains(&count), "{} occurs {count} times", char::from(c));
        }
    }

    #[test]
    fn numbers_in_the_unfair_tail_are_drawn_again() {
        /// First all ones, which lies in the tail of every alphabet that is no power of two, then all zeros.
        struct Tail(std::sync::atomic::AtomicBool);
        impl Random for Tail {
            fn fill(&self, buffer: &mut [u8]) {
                buffer.fill(if self.0.swap(true, std::sync::atomic::Ordering::Relaxed) { 0 } else { 0xff });
            }
        }
        let rules = Rules::new(40, "a-j").expect("valid");
        let value = rules.generate(&Tail(std::sync::atomic::AtomicBool::new(false)));
        assert_eq!(value.expose(), [b'a'; 40]);
    }
}
