//! Jenkinsfiles: which credentials each stage asks for by id, and which libraries of others it runs.
//!
//! Format: Jenkins' "Pipeline Syntax" and the documents of the Credentials Binding plugin. A Jenkinsfile is a program in Groovy; this reads its words and
//! its strings and runs nothing. What it cannot decide is told, never left out: an id that is computed, code that is loaded.

use std::collections::{BTreeMap, BTreeSet};

use super::{Job, Workflow};

/// A Jenkinsfile. A job is a stage, by its name; what stands outside of all stages is the job without a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jenkinsfile {
    /// Stages. Ids of credentials are as they stand. `takes_all`: it asks for one whose id is not known.
    pub workflow: Workflow,
    /// Why more may be asked for than is known: `an id that is computed`, `code that is loaded`.
    pub unknown: BTreeSet<&'static str>,
}

/// What is read at once.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word<'t> {
    /// A name, or a number.
    Name(&'t str),
    /// A string. `false`: something in it is computed.
    Text(String, bool),
    /// Any other sign.
    Sign(char),
}

/// Longest file that is read, in bytes.
const MOST_BYTES: usize = 1 << 20;
const COMPUTED: &str = "an id that is computed";
const LOADED: &str = "code that is loaded";

/// Reads a file. `None` if it asks for nothing that is known here: no pipeline, no node, no credential.
pub fn read(text: &str) -> Option<Jenkinsfile> {
    if text.len() > MOST_BYTES {
        return None;
    }
    let words = words(text);
    let is_one = words.iter().any(|word| {
        matches!(
            word,
            Word::Name("pipeline" | "node" | "withCredentials" | "credentials" | "library" | "Library")
        )
    });
    if !is_one {
        return None;
    }
    let mut reader = Reader::default();
    reader.run(&words);
    Some(reader.end())
}

/// Words of a text, without its comments.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("//").or_else(|| rest.strip_prefix("#!")) {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
        } else if first == '\'' || first == '"' {
            let (word, after) = string(rest, first);
            words.push(word);
            rest = after;
        } else if first.is_alphanumeric() || matches!(first, '_' | '$') {
            let end = rest
                .find(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '_' | '$'))
                .unwrap_or(rest.len());
            words.push(Word::Name(&rest[..end]));
            rest = &rest[end..];
        } else {
            if !first.is_whitespace() {
                words.push(Word::Sign(first));
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    words
}

/// A string that begins here, and what comes after it.
fn string(text: &str, quote: char) -> (Word<'_>, &str) {
    let three: String = [quote; 3].iter().collect();
    let (mut rest, close) = match text.strip_prefix(&three) {
        Some(rest) => (rest, three),
        None => (&text[1..], quote.to_string()),
    };
    let (mut found, mut plain) = (String::new(), true);
    loop {
        if let Some(after) = rest.strip_prefix(&close) {
            return (Word::Text(found, plain), after);
        }
        let mut letters = rest.chars();
        match letters.next() {
            // It never ends: what follows is part of it.
            None => return (Word::Text(found, plain), ""),
            Some('\\') => {
                found.extend(letters.next());
                rest = letters.as_str();
            }
            // A line ends a string of one quote: Groovy refuses it.
            Some('\n') if close.len() == 1 => return (Word::Text(found, plain), letters.as_str()),
            Some(letter) => {
                plain &= !(letter == '$' && quote == '"');
                found.push(letter);
                rest = letters.as_str();
            }
        }
    }
}

#[derive(Default)]
struct Reader {
    /// Open stages, with the depth of braces at which each began.
    stages: Vec<(String, usize)>,
    depth: usize,
    asked: BTreeMap<String, BTreeSet<String>>,
    unknown_in: BTreeSet<String>,
    order: Vec<String>,
    libraries: BTreeSet<String>,
    unknown: BTreeSet<&'static str>,
}

impl Reader {
    fn run(&mut self, words: &[Word<'_>]) {
        self.order.push(String::new());
        let mut index = 0;
        while index < words.len() {
            let rest = &words[index..];
            match &rest[0] {
                Word::Sign('{') => self.depth += 1,
                Word::Sign('}') => {
                    self.depth = self.depth.saturating_sub(1);
                    while self.stages.last().is_some_and(|(_, depth)| *depth >= self.depth) {
                        self.stages.pop();
                    }
                }
                Word::Name(name) => self.name(name, rest),
                _ => {}
            }
            index += 1;
        }
    }

    fn name(&mut self, name: &str, rest: &[Word<'_>]) {
        match name {
            "stage" => {
                if let Some(Word::Text(title, _)) = argument(rest) {
                    self.stages.push((title.clone(), self.depth));
                    if !self.order.contains(title) {
                        self.order.push(title.clone());
                    }
                }
            }
            // `X = credentials('id')` of declarative pipelines.
            "credentials" if matches!(rest.get(1), Some(Word::Sign('('))) => {
                self.asks(rest.get(2), rest.get(3))
            }
            // `usernamePassword(credentialsId: 'id', …)`, `sshagent(credentials: ['id'])`, and any other step's.
            "credentialsId" if matches!(rest.get(1), Some(Word::Sign(':' | '='))) => {
                self.asks(rest.get(2), rest.get(3));
            }
            "credentials" if matches!(rest.get(1), Some(Word::Sign(':'))) => self.list(&rest[2..]),
            "sshagent" => {
                let start = usize::from(matches!(rest.get(1), Some(Word::Sign('(')))) + 1;
                if let Some(Word::Sign('[')) = rest.get(start) {
                    self.list(&rest[start..]);
                }
            }
            "Library" | "library" => {
                let named = rest.iter().take(8).position(|word| *word == Word::Name("identifier"));
                let found = match named {
                    Some(at) => rest.get(at + 2),
                    None => argument(rest),
                };
                match found {
                    Some(Word::Text(library, true)) => {
                        self.libraries.insert(library.clone());
                    }
                    // `@Library(['one', 'two'])`
                    Some(Word::Sign('[')) => {
                        let texts = rest.iter().skip(2).take_while(|word| **word != Word::Sign(']'));
                        self.libraries.extend(texts.filter_map(|word| match word {
                            Word::Text(library, true) => Some(library.clone()),
                            _ => None,
                        }));
                    }
                    Some(Word::Text(_, false) | Word::Name(_)) => {
                        self.unknown.insert(LOADED);
                    }
                    _ => {}
                }
            }
            "load" | "evaluate" | "readTrusted" => {
                if matches!(rest.get(1), Some(Word::Sign('(') | Word::Text(..))) {
                    self.unknown.insert(LOADED);
                }
            }
            _ => {}
        }
    }

    /// `['one', 'two']`
    fn list(&mut self, rest: &[Word<'_>]) {
        if rest.first() != Some(&Word::Sign('[')) {
            return self.asks(rest.first(), rest.get(1));
        }
        for pair in rest[1..].windows(2) {
            match &pair[0] {
                Word::Sign(']') => break,
                Word::Sign(_) => {}
                word => self.asks(Some(word), Some(&pair[1])),
            }
        }
    }

    /// An id, if it is one text and nothing is done to it.
    fn asks(&mut self, id: Option<&Word<'_>>, next: Option<&Word<'_>>) {
        let stage = self.stages.last().map_or_else(String::new, |(name, _)| name.clone());
        match (id, next) {
            (Some(Word::Text(id, true)), next)
                if !id.is_empty() && !matches!(next, Some(Word::Sign('+' | '.' | '?'))) =>
            {
                self.asked.entry(stage).or_default().insert(id.clone());
            }
            _ => {
                self.unknown.insert(COMPUTED);
                self.unknown_in.insert(stage);
            }
        }
    }

    fn end(mut self) -> Jenkinsfile {
        // What stands outside of the stages holds in each.
        let around = self.asked.get("").cloned().unwrap_or_default();
        let all_around = self.unknown_in.contains("");
        let jobs = self.order.iter().map(|name| {
            let mut secrets = around.clone();
            secrets.extend(self.asked.remove(name).unwrap_or_default());
            let uses = self.libraries.iter().map(|library| (library.clone(), secrets.clone())).collect();
            let takes_all = all_around || self.unknown_in.contains(name);
            Job { name: name.clone(), secrets, takes_all, uses, ..Job::default() }
        });
        let jobs: Vec<Job> = jobs.filter(|job| !job.secrets.is_empty() || job.takes_all).collect();
        Jenkinsfile { workflow: Workflow { triggers: BTreeSet::new(), jobs }, unknown: self.unknown }
    }
}

/// The first argument of a call, with or without its parenthesis.
fn argument<'w, 't>(rest: &'w [Word<'t>]) -> Option<&'w Word<'t>> {
    match rest.get(1) {
        Some(Word::Sign('(')) => rest.get(2),
        text @ Some(Word::Text(..)) => text,
        _ => None,
    }
}

#[cfg(test)]
mod tests;
