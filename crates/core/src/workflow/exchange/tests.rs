use std::{fs, process::Command};

use super::*;

const ROLE: &str = "arn:aws:iam::123456789012:role/claviger-ci";
const WANTED: Exchange<'_> = Exchange { secret: "DEPLOY_KEY", role: ROLE, region: "eu-central-1" };
const PATH: &str = ".github/workflows/deploy.yml";

fn changed(text: &str) -> Exchanged {
    let changed = exchange(PATH, text, WANTED).unwrap_or_else(|why| panic!("{why}:\n{text}"));
    assert_eq!(applied(text, &changed.patch), changed.text, "git applies it");
    changed
}

fn refused(text: &str) -> String {
    exchange(PATH, text, WANTED).expect_err("it is not understood").to_string()
}

/// What git makes of the file with the patch.
fn applied(text: &str, patch: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join(PATH);
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    fs::write(&file, text).expect("a file");
    fs::write(directory.path().join("it.patch"), patch).expect("a file");
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(directory.path()).output().expect("git");
        assert!(output.status.success(), "{}\n{patch}", String::from_utf8_lossy(&output.stderr));
    };
    git(&["init", "-q"]);
    git(&["apply", "--check", "it.patch"]);
    git(&["apply", "it.patch"]);
    fs::read_to_string(file).expect("a file")
}

#[test]
fn the_action_takes_a_role_and_the_rest_of_the_file_stays() {
    let text = "\
# Deploys.
on:
  push: { branches: [main] } # nowhere else
jobs:
  test:
    runs-on: x
    steps:
      - run: make test
  deploy:
    # The one that matters.
    runs-on: x
    permissions:
      packages: write
    steps:
      - uses: actions/checkout@v4
      - name: Log in
        uses: aws-actions/configure-aws-credentials@v2 # old
        with:
          # who
          aws-access-key-id: ${{ secrets.DEPLOY_ID }}
          aws-secret-access-key: ${{ secrets.DEPLOY_KEY }}
          aws-region: us-east-1
          mask-aws-account-id: true
      - run: |
          aws s3 sync . s3://x
          permissions: none
";
    let after = changed(text);
    assert_eq!(after.jobs, ["deploy"]);
    assert!(
        after.text.contains("    permissions:\n      id-token: write\n      packages: write\n"),
        "{}",
        after.text
    );
    assert!(
        after.text.contains(&format!(
            "        with:\n          # who\n          role-to-assume: {ROLE}\n          aws-region: us-east-1\n          mask-aws-account-id: true\n"
        )),
        "{}",
        after.text
    );
    for line in text.lines().filter(|line| !line.contains("secrets.DEPLOY")) {
        assert!(after.text.lines().any(|kept| kept == line), "{line} is lost");
    }
    assert!(after.patch.starts_with("--- a/.github/workflows/deploy.yml\n+++ b/"), "{}", after.patch);
    assert!(!after.notes.iter().any(|note| note.contains("default ones")), "{:?}", after.notes);
}

#[test]
fn variables_give_way_to_a_step_that_logs_in() {
    let text = "\
on: { push: { branches: [main] } }
jobs:
  deploy:
    runs-on: x
    steps:
    - uses: actions/checkout@v4
    # Puts it there.
    - name: put
      env:
        AWS_ACCESS_KEY_ID: AKIAIOSFODNN7EXAMPLE
        AWS_SECRET_ACCESS_KEY: ${{ secrets.deploy_key }}
        AWS_REGION: us-west-2
      run: make put
    - run: make tell
      env:
        AWS_ACCESS_KEY_ID: ${{ secrets.DEPLOY_ID }}
        AWS_SECRET_ACCESS_KEY: ${{ secrets.DEPLOY_KEY }}";
    let after = changed(text);
    let step = format!(
        "    - uses: actions/checkout@v4\n    - uses: aws-actions/configure-aws-credentials@v4\n      with:\n        role-to-assume: {ROLE}\n        aws-region: us-west-2\n    # Puts it there.\n    - name: put\n      env:\n        AWS_REGION: us-west-2\n      run: make put\n    - run: make tell\n"
    );
    assert!(after.text.ends_with(&step), "{}", after.text);
    assert!(
        after.text.contains(
            "  deploy:\n    permissions:\n      contents: read\n      id-token: write\n    runs-on: x\n"
        ),
        "{}",
        after.text
    );
    assert!(after.notes.iter().any(|note| note.contains("default ones")), "{:?}", after.notes);
}

#[test]
fn variables_of_the_whole_file_are_every_job_s() {
    let text = "\
on: { push: { branches: [main] } }
permissions: { contents: read, packages: write }
env:
  AWS_ACCESS_KEY_ID: ${{ vars.DEPLOY_ID }}
  AWS_SECRET_ACCESS_KEY: ${{ secrets.DEPLOY_KEY }}
jobs:
  one:
    runs-on: x
    steps:
      - run: a
  two:
    runs-on: x
    permissions: {} # none
    steps:
      - run: b
";
    let after = changed(text);
    assert_eq!(after.jobs, ["one", "two"]);
    assert_eq!(after.text.matches("role-to-assume").count(), 2, "{}", after.text);
    assert!(!after.text.contains("\nenv:"), "{}", after.text);
    assert!(
        after.text.contains(
            "  one:\n    permissions:\n      contents: read\n      packages: write\n      id-token: write\n"
        ),
        "{}",
        after.text
    );
    assert!(after.text.contains("    permissions: { id-token: write } # none\n"), "{}", after.text);
}

#[test]
fn a_key_of_another_secret_stays() {
    let text = "\
on: { push: { branches: [main] } }
jobs:
  deploy:
    runs-on: x
    permissions: write-all
    steps:
      - run: a
        env:
          AWS_SECRET_ACCESS_KEY: ${{ secrets.DEPLOY_KEY }}
      - run: b
        env:
          AWS_SECRET_ACCESS_KEY: ${{ secrets.DEPLOY_KEY_2 }}
      - uses: aws-actions/configure-aws-credentials@v4
        with:
          aws-access-key-id: x
          aws-secret-access-key: ${{ secrets.OTHER }}
";
    let after = changed(text);
    assert!(
        after.text.contains("secrets.DEPLOY_KEY_2") && after.text.contains("secrets.OTHER"),
        "{}",
        after.text
    );
    assert!(after.text.contains("permissions: write-all"), "{}", after.text);
}

#[test]
fn what_is_not_understood_is_not_changed() {
    let file = |job: &str| format!("on: push\njobs:\n  deploy:\n    runs-on: x\n{job}");
    let login = |with: &str| {
        file(&format!(
            "    steps:\n      - uses: aws-actions/configure-aws-credentials@v4\n        with:\n          aws-secret-access-key: ${{{{ secrets.DEPLOY_KEY }}}}\n{with}"
        ))
    };
    for (text, word) in [
        (file("    steps:\n      - run: aws configure set x ${{ secrets.DEPLOY_KEY }}\n"), "elsewhere"),
        (
            file(
                "    steps:\n      - run: x\n        env: { AWS_SECRET_ACCESS_KEY: \"${{ secrets.DEPLOY_KEY }}\" }\n",
            ),
            "elsewhere",
        ),
        (file("    steps: [{ run: x, env: { A: \"${{ secrets.DEPLOY_KEY }}\" } }]\n"), "one below the other"),
        (file("    steps:\n      - run: echo ${{ toJSON(secrets) }}\n"), "takes all"),
        (
            file(
                "    uses: acme/x/.github/workflows/y.yml@v1\n    secrets: { K: \"${{ secrets.DEPLOY_KEY }}\" }\n",
            ),
            "no steps",
        ),
        (login("          role-to-assume: arn:other\n"), "another role"),
        (login("    permissions: read-all\n"), "one by one"),
        (login("    permissions: { id-token: none }\n"), "wants no token"),
        (
            file(
                "    steps:\n      - run: x\n        env:\n          AWS_SECRET_ACCESS_KEY: >-\n            ${{ secrets.DEPLOY_KEY }}\n",
            ),
            "elsewhere",
        ),
        (
            file(
                "    steps:\n      - run: x\n        env:\n          AWS_ACCESS_KEY_ID: |\n            x\n          AWS_SECRET_ACCESS_KEY: ${{ secrets.DEPLOY_KEY }}\n",
            ),
            "one line",
        ),
        (file("    steps:\n      - run: x\n"), "no job"),
        ("a: [".to_owned(), "no single"),
        ("a: b\r\n".to_owned(), "line ends"),
    ] {
        let why = refused(&text);
        assert!(why.contains(word), "{why}\n{text}");
    }
}

#[test]
fn a_file_is_changed_once() {
    let text = "on: push\njobs:\n  deploy:\n    runs-on: x\n    steps:\n      - run: x\n        env:\n          AWS_SECRET_ACCESS_KEY: ${{ secrets.DEPLOY_KEY }}\n";
    assert!(refused(&changed(text).text).contains("no job"));
}
