//! Dependencies point one way. Read from `cargo metadata`, so that a wrong line in a manifest fails here.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// What each crate may depend on, of ours.
const ALLOWED: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("migrations", &[]),
    ("backend", &["core"]),
    ("report", &["core"]),
    ("store", &["core", "migrations"]),
    ("engine", &["core", "backend", "store"]),
    ("server", &["core", "store", "engine", "report"]),
    ("testkit", &["core", "backend", "store", "engine", "backend-simulated"]),
    ("backend-aws", &["core", "backend"]),
    ("backend-forge", &["core", "backend"]),
    ("backend-kubernetes", &["core", "backend"]),
    ("backend-manifest", &["core", "backend"]),
    ("backend-postgresql", &["core", "backend"]),
    ("backend-simulated", &["core", "backend"]),
    ("backend-vault", &["core", "backend"]),
    (
        "cli",
        &[
            "core",
            "backend",
            "store",
            "engine",
            "report",
            "server",
            "backend-aws",
            "backend-forge",
            "backend-kubernetes",
            "backend-manifest",
            "backend-postgresql",
            "backend-simulated",
            "backend-vault",
        ],
    ),
    ("tests", &[]),
];
/// What only some crates may know.
const KEPT_IN: &[(&str, &[&str])] = &[
    ("sea-orm", &["store"]),
    ("sea-orm-migration", &["migrations"]),
    ("sqlx", &["store"]),
    // Of the tests, the fakes of the lab.
    ("axum", &["server", "tests"]),
    ("kube", &["backend-kubernetes"]),
    ("k8s-openapi", &["backend-kubernetes"]),
    ("vaultrs", &["backend-vault"]),
    ("aws-config", &["backend-aws"]),
    ("aws-sdk-iam", &["backend-aws"]),
    ("aws-sdk-secretsmanager", &["backend-aws"]),
    ("aws-sdk-ssm", &["backend-aws"]),
    ("aws-sdk-sts", &["backend-aws"]),
    ("anyhow", &["cli", "tests", "testkit"]),
    ("clap", &["cli", "tests"]),
];
/// What the domain must not know.
const NOT_IN_CORE: &[&str] =
    &["tokio", "futures", "async-trait", "reqwest", "kube", "sea-orm", "hyper", "axum", "tracing"];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("metadata is JSON")
}

/// Normal and build dependencies of each of our crates; dev-dependencies are free.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let name = package["name"].as_str().expect("name").trim_start_matches("claviger-").to_owned();
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let names = dependencies.iter().filter(|dependency| dependency["kind"] != "dev");
            (name, names.map(|dependency| dependency["name"].as_str().expect("name").to_owned()).collect())
        })
        .collect()
}

#[test]
fn each_crate_depends_only_on_what_lies_below_it() {
    let dependencies = dependencies();
    assert!(dependencies.len() >= ALLOWED.len(), "{:?}", dependencies.keys());
    for (name, theirs) in &dependencies {
        let (_, allowed) = ALLOWED
            .iter()
            .find(|(allowed, _)| allowed == name)
            .unwrap_or_else(|| panic!("crate `{name}` has no line in ALLOWED"));
        for dependency in theirs.iter().filter_map(|dependency| dependency.strip_prefix("claviger-")) {
            assert!(allowed.contains(&dependency), "`{name}` must not depend on `{dependency}`");
        }
    }
}

#[test]
fn sdk_and_database_types_stay_in_their_crates() {
    for (name, theirs) in dependencies() {
        for (library, homes) in KEPT_IN {
            let used = theirs.iter().any(|dependency| dependency == library);
            assert!(!used || homes.contains(&name.as_str()), "`{name}` must not know `{library}`");
        }
        if name == "core" {
            let known: Vec<_> =
                theirs.iter().filter(|dependency| NOT_IN_CORE.contains(&dependency.as_str())).collect();
            assert!(known.is_empty(), "the domain must not know {known:?}");
        }
    }
}
