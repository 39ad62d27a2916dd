//! Role × verb × scope against a table that was written by hand, from cli.md and the roles' purposes, not from the code.

use std::collections::BTreeMap;

use claviger_core::model::Labels;

use super::{Role, Scope, Subject, Verb, decide};

/// Who may do what, one line per verb: `x` may. Columns: viewer, auditor, operator, approver, responder, admin.
const VERBS: &str = "
    read             x x x x x x
    audit            . x . . . x
    plan-rotation    . . x . . x
    plan-revocation  . . . . x x
    read-plan        . x x x x x
    rotate           . . x . . x
    roll-back        . . x . . x
    revoke           . . . . x x
    approve          . . . x . .
    incident         . . . . x x
    schedule         . . x . x x
    scan             . . x . x x
    drill            . . . . x x
    trace            . . . . x x
";

/// What each scope covers. Scopes: none given (`all`), `*`, backend `prod`, backends `p*`, label `env=prod`, `prod` with `env=prod`.
/// Subjects, one line each: its name, and whether each of the scopes covers it.
const SCOPES: &str = "
    estate                x x . . . .
    backend-prod          x x x x . .
    backend-pay           x x . x . .
    backend-db            x x . . . .
    prod-env=prod         x x x x x x
    prod-env=test         x x x x . .
    prod-none             x x x x . .
    pay-env=prod          x x . x x .
    db-env=prod           x x . . x .
    db-env=prod-team=a    x x . . x .
    db-none               x x . . . .
";

fn table(text: &str) -> BTreeMap<&str, Vec<bool>> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.map(|word| word == "x").collect()))
        })
        .collect()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn scopes() -> Vec<Scope> {
    let of = |backends: &[&str], pairs: &[(&str, &str)]| Scope {
        backends: backends.iter().map(|name| (*name).to_owned()).collect(),
        labels: labels(pairs),
    };
    vec![
        of(&[], &[]),
        of(&["*"], &[]),
        of(&["prod"], &[]),
        of(&["p*"], &[]),
        of(&[], &[("env", "prod")]),
        of(&["prod"], &[("env", "prod")]),
    ]
}

#[test]
fn the_decision_is_the_tables() {
    let (verbs, covers) = (table(VERBS), table(SCOPES));
    assert_eq!(verbs.len(), Verb::ALL.len(), "each verb has a line");
    let (prod, test, none) = (labels(&[("env", "prod")]), labels(&[("env", "test")]), labels(&[]));
    let two = labels(&[("env", "prod"), ("team", "a")]);
    let object = |backend, labels| Subject::Object { backend, labels };
    let subjects = [
        ("estate", Subject::Estate),
        ("backend-prod", Subject::Backend("prod")),
        ("backend-pay", Subject::Backend("pay")),
        ("backend-db", Subject::Backend("db")),
        ("prod-env=prod", object("prod", &prod)),
        ("prod-env=test", object("prod", &test)),
        ("prod-none", object("prod", &none)),
        ("pay-env=prod", object("pay", &prod)),
        ("db-env=prod", object("db", &prod)),
        ("db-env=prod-team=a", object("db", &two)),
        ("db-none", object("db", &none)),
    ];
    assert_eq!(covers.len(), subjects.len(), "each subject has a line");
    let (mut decided, mut differences) = (0, Vec::new());
    for verb in Verb::ALL {
        let may = &verbs[verb.as_str()];
        assert_eq!(may.len(), Role::ALL.len());
        for (role, may) in Role::ALL.into_iter().zip(may) {
            for (at, scope) in scopes().iter().enumerate() {
                for (name, subject) in &subjects {
                    let expected = *may && covers[name][at];
                    decided += 1;
                    if decide(role, verb, scope, subject) != expected {
                        differences
                            .push(format!("{role} {verb} {name} in {scope:?}: the table says {expected}"));
                    }
                }
            }
        }
    }
    assert_eq!(decided, 14 * 6 * 6 * 11);
    assert!(differences.is_empty(), "{} differences: {differences:#?}", differences.len());
}
