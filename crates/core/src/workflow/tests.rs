use super::*;

const FILE: &str = r#"
name: deploy
on:
  push: { branches: [main] }
  pull_request_target:
permissions: read-all
env:
  SENTRY: ${{ secrets.SENTRY_DSN }}
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: make test
        env: { TOKEN: "${{ secrets.github_token }}" }
  deploy:
    if: secrets.GATE != ''
    environment: { name: production }
    permissions: { id-token: write, contents: read }
    env:
      DATABASE: postgres://app:${{ secrets.db_password }}@db/app
    steps:
      - uses: ./.github/actions/own
        with: { key: "${{ secrets.OWN_KEY }}" }
      - uses: acme/deploy@0123456789abcdef0123456789abcdef01234567
        with:
          token: ${{ secrets['DEPLOY_TOKEN'] }}
      - run: echo "${{ mysecrets.NOT }} ${{ env.secrets }} secrets.NOT_AN_EXPRESSION"
  call:
    uses: acme/shared/.github/workflows/x.yml@main
    secrets: { password: "${{ secrets.CALLED }}" }
  all:
    uses: acme/shared/.github/workflows/y.yml@main
    secrets: inherit
  dump:
    steps: [{ run: "echo '${{ toJSON(secrets) }}'" }]
  computed:
    steps: [{ run: "echo ${{ secrets[format('X_{0}', matrix.a)] }}" }]
"#;

fn names(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(ToString::to_string).collect()
}

fn job<'w>(workflow: &'w Workflow, name: &str) -> &'w Job {
    workflow.jobs.iter().find(|job| job.name == name).expect(name)
}

#[test]
fn each_job_has_the_secrets_that_it_names_and_the_workflows_own() {
    let workflow = read(FILE).expect("a workflow");
    assert_eq!(workflow.triggers, names(&["pull_request_target", "push"]));
    assert_eq!(
        job(&workflow, "test").secrets,
        names(&["SENTRY_DSN"]),
        "its own token is no secret of the forge"
    );
    assert_eq!(
        job(&workflow, "deploy").secrets,
        names(&["DB_PASSWORD", "DEPLOY_TOKEN", "GATE", "OWN_KEY", "SENTRY_DSN"])
    );
    assert_eq!(job(&workflow, "call").secrets, names(&["CALLED", "SENTRY_DSN"]));
    for (name, all) in [("deploy", false), ("call", false), ("all", true), ("dump", true), ("computed", true)]
    {
        assert_eq!(job(&workflow, name).takes_all, all, "{name}");
    }
}

#[test]
fn what_others_wrote_is_told_with_what_it_sees() {
    let workflow = read(FILE).expect("a workflow");
    let deploy = job(&workflow, "deploy");
    let action = "acme/deploy@0123456789abcdef0123456789abcdef01234567";
    let seen = BTreeMap::from([(action.to_owned(), names(&["DB_PASSWORD", "DEPLOY_TOKEN", "SENTRY_DSN"]))]);
    assert_eq!(deploy.uses, seen, "an action of the repository's own is none");
    let facts = |name: &str, secret: &str| job(&workflow, name).facts(&workflow, secret);
    assert_eq!(facts("deploy", "DEPLOY_TOKEN")["third_party"], json!([action]));
    assert_eq!(facts("deploy", "DEPLOY_TOKEN")["third_party_unpinned"], json!([]));
    assert_eq!(facts("deploy", "OWN_KEY")["third_party"], json!([]));
    assert_eq!(facts("test", "SENTRY_DSN")["third_party_unpinned"], json!(["actions/checkout@v4"]));
    let called = &job(&workflow, "call").uses["acme/shared/.github/workflows/x.yml@main"];
    assert_eq!(*called, names(&["CALLED"]));
}

#[test]
fn permissions_are_the_jobs_else_the_workflows() {
    let workflow = read(FILE).expect("a workflow");
    assert!(job(&workflow, "deploy").asks_for_identity());
    assert!(!job(&workflow, "test").asks_for_identity());
    assert_eq!(job(&workflow, "test").permissions, BTreeMap::from([("*".to_owned(), "read".to_owned())]));
    assert_eq!(job(&workflow, "deploy").environment.as_deref(), Some("production"));
    let all = read("permissions: write-all\njobs: { a: { steps: [] } }").expect("a workflow");
    assert!(job(&all, "a").asks_for_identity());
}

#[test]
fn what_is_no_workflow_is_none() {
    for text in ["", "a: b", "jobs: 3", "- jobs: {}", "jobs: [a]", "{{"] {
        assert_eq!(read(text), None, "{text}");
    }
    let bare = read("on: [push, workflow_dispatch]\njobs: { a: {} }").expect("a workflow");
    assert_eq!(bare.triggers, names(&["push", "workflow_dispatch"]));
}
