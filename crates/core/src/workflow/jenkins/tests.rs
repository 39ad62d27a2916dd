use super::*;

const FILE: &str = r#"
#!/usr/bin/env groovy
@Library('acme-pipelines@v2') _
// credentials('in-a-comment')
/* withCredentials([string(credentialsId: 'in-another', variable: 'X')]) */
pipeline {
  agent any
  environment {
    AWS = credentials('aws-key')
    NOTE = "say credentials('in-a-string')"
  }
  stages {
    stage('Build') {
      steps { sh 'make' }
    }
    stage("Deploy") {
      environment { TOKEN = credentials("deploy-token") }
      steps {
        withCredentials([usernamePassword(credentialsId: 'registry', usernameVariable: 'U', passwordVariable: 'P'),
                         string(variable: 'DB', credentialsId: "db-password")]) {
          sh '''docker login -u $U -p $P
                credentials('not-this') '''
        }
        sshagent(['git-key', 'other-key']) { sh 'git push' }
      }
    }
    stage('Computed') {
      steps {
        withCredentials([string(credentialsId: "db-${env.STAGE}", variable: 'X')]) { sh 'x' }
      }
    }
  }
}
"#;

fn asked<'f>(file: &'f Jenkinsfile, stage: &str) -> Vec<&'f str> {
    let job = file.workflow.jobs.iter().find(|job| job.name == stage).expect(stage);
    job.secrets.iter().map(String::as_str).collect()
}

#[test]
fn each_stage_asks_for_its_own_and_for_what_stands_around_it() {
    let file = read(FILE).expect("a pipeline");
    assert_eq!(asked(&file, ""), ["aws-key"]);
    assert_eq!(asked(&file, "Build"), ["aws-key"]);
    assert_eq!(
        asked(&file, "Deploy"),
        ["aws-key", "db-password", "deploy-token", "git-key", "other-key", "registry"]
    );
    let job = &file.workflow.jobs[2];
    let facts = job.facts(&file.workflow, "registry");
    assert_eq!(facts["third_party_unpinned"], serde_json::json!(["acme-pipelines@v2"]));
}

#[test]
fn what_is_computed_is_told_and_not_guessed() {
    let file = read(FILE).expect("a pipeline");
    let computed = file.workflow.jobs.iter().find(|job| job.name == "Computed").expect("the stage");
    assert!(computed.takes_all && !computed.secrets.iter().any(|id| id.contains("db-$")), "{computed:?}");
    assert!(file.unknown.contains(COMPUTED) && !file.unknown.contains(LOADED));
    for text in [
        "node { withCredentials([string(credentialsId: ID, variable: 'X')]) { } }",
        "node { withCredentials([string(credentialsId: 'a' + b, variable: 'X')]) { } }",
        "pipeline { environment { X = credentials(name) } }",
    ] {
        let file = read(text).expect(text);
        assert!(file.unknown.contains(COMPUTED) && file.workflow.jobs[0].takes_all, "{text}");
        assert!(file.workflow.jobs[0].secrets.is_empty(), "{text}");
    }
    let loaded = read("node { def x = load 'deploy.groovy'; x.run() }").expect("a node");
    assert!(loaded.unknown.contains(LOADED));
}

#[test]
fn libraries_are_found_in_all_their_forms() {
    for text in [
        "@Library('one@1') _\nnode { x(credentialsId: 'a') }",
        "library 'one@1'\nnode { x(credentialsId: 'a') }",
        "library(identifier: 'one@1', retriever: y)\nnode { x(credentialsId: 'a') }",
        "@Library(['one@1', 'two']) import a.B\nnode { x(credentialsId: 'a') }",
    ] {
        let file = read(text).expect(text);
        assert!(file.workflow.jobs[0].uses.contains_key("one@1"), "{text}: {file:?}");
    }
}

#[test]
fn what_is_no_pipeline_is_none() {
    for text in ["", "println 'x'", "class A { }"] {
        assert_eq!(read(text), None, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_fall_over(text in r#"([a-z{}()\[\]:,'"\\$\n/* @é]|pipeline|stage|credentials|credentialsId:|withCredentials|Library|sshagent|load ){0,200}"#) {
        if let Some(file) = read(&text) {
            for job in &file.workflow.jobs {
                proptest::prop_assert!(job.secrets.iter().all(|id| !id.is_empty()));
            }
        }
    }
}
