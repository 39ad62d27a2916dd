use super::*;

const FILE: &str = r#"
include:
  - local: /ci/lint.yml
  - template: Jobs/Build.gitlab-ci.yml
  - project: acme/pipelines
    ref: 0123456789abcdef0123456789abcdef01234567
    file: [/deploy.yml]
  - remote: https://ci.example/all.yml
  - component: $CI_SERVER_FQDN/acme/scan/sast@1.2
stages: [build, deploy]
variables:
  REGION: eu-central-1
  DATABASE_URL: postgres://app:$DB_PASSWORD@db/app
default:
  before_script:
    - docker login -p "${REGISTRY_TOKEN}" $CI_REGISTRY
.base:
  extends: .root
  variables: { SCRATCH: "1" }
  script:
    - deploy --key=$DEPLOY_KEY $$ESCAPED
.root:
  id_tokens: { VAULT_ID: { aud: https://vault } }
  extends: .base
.notify:
  script: [curl -H "X: $HOOK_TOKEN" https://chat]
build:
  script: |
    TAG=$(git rev-parse HEAD)
    for part in a b; do make $part $TAG; done
    echo "$env:POWER %BATCH_ONE% %Y%m%d"
deploy:
  extends: .base
  environment: { name: production }
  secrets:
    OPS: { vault: production/db/password@ops }
    LONG: { vault: { engine: { name: kv-v2, path: kv }, path: team/x, field: key } }
    CLOUD: { aws_secrets_manager: { secret_id: x } }
  after_script:
    - !reference [.notify, script]
child:
  trigger: { include: child.yml }
downstream:
  variables: { HANDED: $CLOUD_TOKEN }
  trigger: acme/infra
"#;

fn job<'p>(pipeline: &'p Pipeline, name: &str) -> &'p Job {
    pipeline.workflow.jobs.iter().find(|job| job.name == name).expect(name)
}

#[test]
fn a_job_names_its_own_variables_those_of_its_templates_and_those_of_all() {
    let pipeline = read(FILE).expect("a pipeline");
    let names: Vec<&str> = pipeline.workflow.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["build", "deploy", "child", "downstream"]);
    let build: Vec<&str> = job(&pipeline, "build").secrets.iter().map(String::as_str).collect();
    assert_eq!(build, ["BATCH_ONE", "DB_PASSWORD", "POWER", "REGISTRY_TOKEN", "TAG", "part"]);
    let deploy = job(&pipeline, "deploy");
    for name in ["DEPLOY_KEY", "HOOK_TOKEN", "DB_PASSWORD"] {
        assert!(deploy.secrets.contains(name), "{name}: {:?}", deploy.secrets);
    }
    assert!(!deploy.secrets.contains("ESCAPED"));
    assert_eq!(deploy.environment.as_deref(), Some("production"));
    assert!(deploy.asks_for_identity() && !job(&pipeline, "build").asks_for_identity());
    for name in ["REGION", "DATABASE_URL", "TAG", "part", "SCRATCH", "HANDED"] {
        assert!(pipeline.defined.contains(name), "{name}: {:?}", pipeline.defined);
    }
}

#[test]
fn what_others_wrote_sees_what_a_job_is_given_and_the_rest_is_told() {
    let pipeline = read(FILE).expect("a pipeline");
    let elsewhere: Vec<&str> = pipeline.elsewhere.iter().map(String::as_str).collect();
    assert_eq!(
        elsewhere,
        ["child pipeline of child", "local /ci/lint.yml", "template Jobs/Build.gitlab-ci.yml"]
    );
    let deploy = job(&pipeline, "deploy");
    let facts = deploy.facts(&pipeline.workflow, "DEPLOY_KEY");
    let unpinned = facts["third_party_unpinned"].as_array().expect("a list");
    assert!(unpinned.contains(&"https://ci.example/all.yml".into()) && unpinned.len() == 2, "{unpinned:?}");
    assert_eq!(facts["third_party"].as_array().map(Vec::len), Some(3));
    let downstream = job(&pipeline, "downstream");
    assert!(downstream.uses["pipeline of acme/infra"].contains("CLOUD_TOKEN"));
}

#[test]
fn what_gitlab_reads_of_vault_is_known_by_path_and_field() {
    let pipeline = read(FILE).expect("a pipeline");
    let secret = |variable: &str, mount: &str, path: &str, field: &str| VaultSecret {
        variable: variable.into(),
        mount: mount.into(),
        path: path.into(),
        field: field.into(),
    };
    assert_eq!(
        pipeline.vault["deploy"],
        [secret("OPS", "ops", "production/db", "password"), secret("LONG", "kv", "team/x", "key")]
    );
}

#[test]
fn a_digest_pins_a_remote_file() {
    let text = "include: [{ remote: https://a/b.yml, integrity: sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= }]\nx: { script: [echo $A] }";
    let pipeline = read(text).expect("a pipeline");
    let facts = job(&pipeline, "x").facts(&pipeline.workflow, "A");
    assert_eq!(facts["third_party_unpinned"].as_array().map(Vec::len), Some(0), "{facts:?}");
}

#[test]
fn anchors_and_merge_keys_are_read() {
    let text = ".a: &a\n  script: [use $ANCHORED]\n  environment: prod\nx:\n  <<: *a\n";
    let pipeline = read(text).expect("a pipeline");
    let found = job(&pipeline, "x");
    assert!(found.secrets.contains("ANCHORED") && found.environment.as_deref() == Some("prod"));
}

#[test]
fn what_is_no_pipeline_is_none() {
    for text in ["", "a: b", "- 1", "stages: [a]", ".hidden: { script: [x] }"] {
        assert_eq!(read(text), None, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_fall_over(text in r#"([a-z.$%{}:!&* \n\-<\[\],"']|include|extends|script|!reference |\$\{|é|\.x){0,200}"#) {
        let _ = read(&text);
        let mut names = BTreeSet::new();
        in_text(&text, &mut names);
        assigned(&text, &mut names);
        proptest::prop_assert!(names.iter().all(|name| !name.is_empty() && name.chars().all(is_letter)));
    }
}
