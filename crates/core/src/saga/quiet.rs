use serde::{Deserialize, Serialize};

/// How well it is known that nobody uses a value any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// Nobody can be asked, or what is told says nothing about the time in question.
    Blind,
    /// What is told covers an interval, or some of the uses.
    Sampled,
    /// Each use is told, with its moment.
    Measured,
}

impl Evidence {
    /// The word that policies have.
    pub fn word(self) -> &'static str {
        match self {
            Self::Blind => "blind",
            Self::Sampled => "sampled",
            Self::Measured => "measured",
        }
    }

    /// Reads it.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Blind, Self::Sampled, Self::Measured].into_iter().find(|grade| grade.word() == word)
    }
}

/// How quiet an old value has to be before it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub struct Quiet {
    /// For so many seconds, if it was used since the last consumer moved.
    pub seconds: u64,
    /// How coarse its issuer's last use is, in seconds; 0: it tells the moment.
    pub grain: u32,
    /// The least evidence that ends it.
    pub least: Evidence,
}

impl Quiet {
    /// Of an issuer that tells the moment of the last use.
    pub fn exact(seconds: u64) -> Self {
        Self { seconds, grain: 0, least: Evidence::Sampled }
    }
}

/// How it is written: a bare number where there is nothing else to say, as in journals from before there was.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Seconds(u64),
    Whole { seconds: u64, grain: u32, least: Evidence },
}

impl From<Form> for Quiet {
    fn from(form: Form) -> Self {
        match form {
            Form::Seconds(seconds) => Self::exact(seconds),
            Form::Whole { seconds, grain, least } => Self { seconds, grain, least },
        }
    }
}

impl From<Quiet> for Form {
    fn from(quiet: Quiet) -> Self {
        let Quiet { seconds, grain, least } = quiet;
        if quiet == Quiet::exact(seconds) {
            Self::Seconds(seconds)
        } else {
            Self::Whole { seconds, grain, least }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saga::Action;

    #[test]
    fn journals_from_before_are_read_and_written_as_they_were() {
        let text = r#"{"await-quiet":60}"#;
        let action: Action = serde_json::from_str(text).expect("an action");
        assert_eq!(action, Action::AwaitQuiet(Quiet::exact(60)));
        assert_eq!(serde_json::to_string(&action).expect("JSON"), text);
        let coarse = Action::AwaitQuiet(Quiet { seconds: 0, grain: 86_400, least: Evidence::Blind });
        let text = serde_json::to_string(&coarse).expect("JSON");
        assert_eq!(text, r#"{"await-quiet":{"seconds":0,"grain":86400,"least":"blind"}}"#);
        assert_eq!(serde_json::from_str::<Action>(&text).expect("an action"), coarse);
    }

    #[test]
    fn grades_are_ordered_and_have_words() {
        assert!(Evidence::Blind < Evidence::Sampled && Evidence::Sampled < Evidence::Measured);
        assert_eq!(Evidence::parse("sampled"), Some(Evidence::Sampled));
        assert_eq!(Evidence::parse("certain"), None);
    }
}
