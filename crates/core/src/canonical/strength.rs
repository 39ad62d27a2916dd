//! How hard a value is to hit upon: whether two places that hold it hold a copy of one credential, or the same bad idea.

use std::sync::LazyLock;

use super::{Strength, Weakness};

/// Bits from which on a value is strong. Two of a million values of 60 bits are equal by chance once in two million estates.
pub(super) const LEAST_BITS: u32 = 60;

/// Fewest bytes of a strong value.
const LEAST_BYTES: usize = 8;

/// Bytes that are looked at: more cannot make a strong value weak.
const MOST_BYTES: usize = 512;

/// Bytes that are looked at first: they decide for most values.
const FIRST_BYTES: usize = 64;

/// What products ship with and people try first, in lower case. Compared without the marks and digits around them.
const DEFAULTS: &str = "password passwd pass passw0rd p@ssw0rd p@ssword changeme changeit change-me change_me changethis \
    change-this replaceme replace-me secret supersecret topsecret mysecret s3cr3t letmein welcome \
    qwerty qwertz azerty abc abcd test testing tester admin administrator root toor user guest default \
    demo example sample foobar foo bar dummy fake none empty blank temp tmp postgres postgresql mysql \
    mariadb mongo mongodb redis rabbitmq minio minioadmin elastic elasticsearch kibana grafana jenkins \
    tomcat oracle sa sysadmin docker vagrant ansible kubernetes vault dev development prod production \
    staging local app database db dbpassword prom-operator hunter insecure todo tbd fixme placeholder \
    your-password yourpassword your_password mypassword my-password masterpassword insertpasswordhere \
    iloveyou monkey dragon correct-horse-battery-staple correcthorsebatterystaple notasecret \
    not-a-secret nosecret keyboard-cat";

/// Words that a guesser joins with digits and marks.
const WORDS: &str = "password passwort passwd secret admin administrator welcome changeme change default qwerty letmein \
    test user login root master super production development staging database postgres mysql redis \
    mongo kubernetes docker vault server service company internal example token summer winter spring \
    autumn january february march april june july august september october november december monday \
    tuesday wednesday thursday friday saturday sunday dragon monkey hello world please never apple \
    orange";

/// No word is longer.
const LONGEST_WORD: usize = 16;

/// The verdict on a text that is compared byte by byte.
pub(super) fn of(bytes: &[u8]) -> Strength {
    if std::str::from_utf8(bytes).is_ok_and(is_known_default) {
        Strength::Weak(Weakness::KnownDefault)
    } else if bytes.len() < LEAST_BYTES {
        Strength::Weak(Weakness::Short)
    } else if !has_bits(bytes, LEAST_BITS) {
        Strength::Weak(Weakness::Guessable)
    } else {
        Strength::Strong
    }
}

/// True for a known default, also with digits and marks behind it (`Password123!`).
pub(super) fn is_known_default(text: &str) -> bool {
    if text.len() > 64 {
        return false;
    }
    let lower = text.to_lowercase();
    let stem = lower.trim_end_matches(|c: char| c.is_ascii_digit() || c.is_ascii_punctuation());
    let runs = ["0123456789", "1234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop"];
    let is_run = lower.len() >= 3 && runs.iter().any(|run| run.contains(lower.as_str()));
    let one = lower.chars().next();
    is_listed(&lower)
        || is_listed(stem)
        || is_run
        || (lower.len() > 1 && lower.chars().all(|c| Some(c) == one))
}

fn is_listed(text: &str) -> bool {
    DEFAULTS.split_ascii_whitespace().any(|word| word == text)
}

/// Estimated entropy in bits: what a guesser who knows the habits below would need. Deliberately low where it is unsure, since too low an
/// estimate costs a link that other evidence may make, and too high a one joins two credentials into one.
///
/// - A character counts log2 of the alphabet in use: 16 for hexadecimal, 26 for letters of one case (as words are likelier than random
///   letters, only 3 bits each if there is nothing but lower-case letters and separators), 52, 62, 95, 256 for bytes.
/// - A character that repeats its predecessor or continues a run (`abc`, `321`) counts one bit.
/// - A common word counts ten bits as a whole, also with `0` for `o` and the like.
/// - A text made of few different characters counts no more than their entropy.
///
/// Only the first 512 bytes count.
pub fn estimate_bits(bytes: &[u8]) -> u32 {
    let bytes = &bytes[..bytes.len().min(MOST_BYTES)];
    if bytes.is_empty() {
        return 0;
    }
    let bits =
        most_bits(bytes).map_or_else(|| sum(bytes, bytes.len()), |most| sum(bytes, bytes.len()).min(most));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 512 × 8")]
    let whole = bits as u32;
    whole
}

/// Whether the estimate is so many bits at least. Most values show it in their first bytes, and a scan asks it of every value.
fn has_bits(bytes: &[u8], least: u32) -> bool {
    let first = &bytes[..bytes.len().min(MOST_BYTES)];
    // Bytes add bits and never take any, so what a beginning has the whole has too.
    let enough =
        || most_bits(first).is_none() && sum(first, first.len().min(FIRST_BYTES)) >= f64::from(least);
    first.len() > FIRST_BYTES && enough() || estimate_bits(bytes) >= least
}

/// The bits of the first `end` bytes within the whole.
fn sum(bytes: &[u8], end: usize) -> f64 {
    let per_character = f64::from(alphabet(bytes)).log2().min(if is_wordlike(bytes) { 3.0 } else { 8.0 });
    let common = common_words(bytes, end);
    let mut bits = 0.0;
    for (at, byte) in bytes[..end].iter().enumerate() {
        let step = at.checked_sub(1).map(|before| i16::from(*byte) - i16::from(bytes[before]));
        let former = at.checked_sub(2).map(|before| i16::from(bytes[before + 1]) - i16::from(bytes[before]));
        bits += match (common[at], step) {
            (Common::Start, _) => 10.0,
            (Common::Inside, _) => 0.0,
            (Common::No, Some(0)) => 1.0,
            // A single step occurs by chance; two in a row are a habit.
            (Common::No, Some(1 | -1)) if step == former => 1.0,
            (Common::No, _) => per_character,
        };
    }
    bits
}

/// What a text of few different characters has at most.
fn most_bits(bytes: &[u8]) -> Option<f64> {
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let different = u32::try_from(seen.iter().filter(|seen| **seen).count()).unwrap_or(256);
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    (different * 4 <= length && different < 16)
        .then(|| f64::from(different).log2() * f64::from(length) / 2.0 + f64::from(different))
}

fn alphabet(bytes: &[u8]) -> u32 {
    let any = |class: fn(&u8) -> bool| bytes.iter().any(class);
    if any(|byte| !byte.is_ascii()) {
        return 256;
    }
    let hexadecimal = bytes.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
        || bytes.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'A'..=b'F'));
    if hexadecimal {
        return if bytes.iter().all(u8::is_ascii_digit) { 10 } else { 16 };
    }
    let sizes = [
        (any(u8::is_ascii_lowercase), 26),
        (any(u8::is_ascii_uppercase), 26),
        (any(u8::is_ascii_digit), 10),
        // `-` and `_` are separators more often than characters of an alphabet.
        (any(|byte| matches!(byte, b'-' | b'_')), 2),
        (any(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_')), 31),
    ];
    sizes.iter().filter(|(present, _)| *present).map(|(_, size)| size).sum()
}

fn is_wordlike(bytes: &[u8]) -> bool {
    let letters = |case: fn(&u8) -> bool| {
        bytes.iter().all(|byte| case(byte) || matches!(byte, b'-' | b'_' | b'.' | b' '))
    };
    letters(u8::is_ascii_lowercase) || letters(u8::is_ascii_uppercase)
}

#[derive(Clone, Copy, PartialEq)]
enum Common {
    No,
    Start,
    Inside,
}

/// The marks of the first `end` bytes; a word that begins before the end may go beyond it.
fn common_words(bytes: &[u8], end: usize) -> Vec<Common> {
    let plain: Vec<u8> = bytes
        .iter()
        .take(end + LONGEST_WORD)
        .map(|byte| match byte.to_ascii_lowercase() {
            b'0' => b'o',
            b'1' | b'!' => b'i',
            b'3' => b'e',
            b'4' | b'@' => b'a',
            b'5' | b'$' => b's',
            b'7' => b't',
            other => other,
        })
        .collect();
    let mut found = Vec::new();
    for at in 0..end {
        // Nearly no place begins a word, and a scan asks this of every byte of every value.
        for (rank, word) in words_from(plain[at]) {
            if plain[at..].starts_with(word) {
                found.push((*rank, at, word.len()));
            }
        }
    }
    // Word by word: where a word begins within an earlier listed one, the earlier one stands.
    found.sort_unstable();
    let mut marks = vec![Common::No; plain.len()];
    for (_, at, length) in found {
        if marks[at] == Common::No {
            marks[at + 1..at + length].fill(Common::Inside);
            marks[at] = Common::Start;
        }
    }
    marks
}

type Word = (usize, &'static [u8]);

/// The common words that begin with this byte, with their places in the list.
fn words_from(first: u8) -> &'static [Word] {
    static BY_LETTER: LazyLock<[Vec<Word>; 26]> = LazyLock::new(|| {
        let words = || WORDS.split_ascii_whitespace().map(str::as_bytes).enumerate();
        std::array::from_fn(|letter| {
            words().filter(|(_, word)| usize::from(word[0] - b'a') == letter).collect()
        })
    });
    let letter = usize::from(first.wrapping_sub(b'a'));
    BY_LETTER.get(letter).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{password::Rules, random::SeededRandom};

    #[test]
    fn habits_are_weak() {
        for (text, why) in [
            ("x7#", Weakness::Short),
            ("changeme", Weakness::KnownDefault),
            ("Password123!", Weakness::KnownDefault),
            ("12345678", Weakness::KnownDefault),
            ("aaaaaaaaaaaaaaaaaaaaaaaa", Weakness::KnownDefault),
            ("Summer2024!", Weakness::Guessable),
            ("p@ssw0rd-adm1n-2024", Weakness::Guessable),
            ("production-db", Weakness::Guessable),
            ("abcdefghijklm0123456789", Weakness::Guessable),
            ("ababababababababababababababababab", Weakness::Guessable),
            ("00000000000000000000000000000001", Weakness::Guessable),
        ] {
            assert_eq!(of(text.as_bytes()), Strength::Weak(why), "{text}");
        }
    }

    #[test]
    fn random_values_are_strong() {
        let random = SeededRandom::new(3);
        for (length, alphabet) in [
            (20, "a-z"),
            (16, "A-Za-z0-9"),
            (24, "0-9a-f"),
            (14, "!-~"),
            (28, "A-Za-z0-9"),
            (32, "A-Za-z0-9_-"),
        ] {
            for _ in 0..200 {
                let value = Rules::new(length, alphabet).expect("strong rules").generate(&random);
                let text = value.expose_text().expect("text");
                // Twenty letters of one case may be words: those are the only random ones that may be called weak.
                assert!(
                    alphabet == "a-z" || of(value.expose()) == Strength::Strong,
                    "{text} has {} bits",
                    estimate_bits(text.as_bytes())
                );
            }
        }
        assert_eq!(of("67e55044-10b1-426f-9247-bb680e5fe0c8".as_bytes()), Strength::Strong);
    }

    #[test]
    fn words_are_marked_where_they_are_the_later_listed_over_the_earlier() {
        for (text, starts, inside) in [
            ("passwordpassword", vec![0, 8], 14),
            ("xS3cretServer", vec![1, 7], 10),
            ("superuser", vec![0, 5], 7),
            // `test` is listed before `root`, which takes its first letter.
            ("rootest", vec![0], 6),
            ("nothing-at-4ll", vec![], 0),
            ("roo", vec![], 0),
        ] {
            let marks = common_words(text.as_bytes(), text.len());
            let of = |kind: Common| marks.iter().enumerate().filter(move |(_, mark)| **mark == kind);
            assert_eq!(of(Common::Start).map(|(at, _)| at).collect::<Vec<_>>(), starts, "{text}");
            assert_eq!(of(Common::Inside).count(), inside, "{text}");
        }
    }

    #[test]
    fn a_beginning_decides_only_what_the_whole_would() {
        assert!(WORDS.split_ascii_whitespace().all(|word| word.len() <= LONGEST_WORD));
        let random = SeededRandom::new(5);
        let strong = Rules::new(200, "!-~").expect("strong rules");
        let weak = ["changeme".repeat(20), "0".repeat(200), "ab".repeat(90), "monday-".repeat(30)];
        for number in 0..300_usize {
            let value = strong.generate(&random);
            let mut bytes = weak[number % weak.len()].clone().into_bytes();
            // From nothing random to nothing else, at the beginning and at the end.
            bytes.truncate(200 - number % 200);
            let rest = &value.expose()[bytes.len().min(200)..];
            if number % 2 == 0 {
                bytes.extend_from_slice(rest);
            } else {
                bytes.splice(..0, rest.iter().copied());
            }
            for least in [20, LEAST_BITS, 200, 600] {
                assert_eq!(has_bits(&bytes, least), estimate_bits(&bytes) >= least, "{bytes:?}");
            }
        }
    }

    #[test]
    fn bytes_and_nothing() {
        assert_eq!(estimate_bits(b""), 0);
        assert!(estimate_bits(&[0; 4096]) < LEAST_BITS, "a block of zeros");
        let varied: Vec<u8> = (0..=255).map(|n: u8| n.wrapping_mul(167)).collect();
        assert!(estimate_bits(&varied) > 1000);
    }
}
