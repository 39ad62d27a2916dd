//! What a file is, as far as its name says.

/// How a file is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// YAML or JSON: what kind of document it is its content says.
    Document,
    /// A CI workflow.
    Workflow,
    /// A pipeline of Jenkins.
    Jenkinsfile,
    /// `NAME=value` lines.
    Dotenv,
    /// Docker's `config.json` or `.dockercfg`.
    DockerConfig,
    /// A kubeconfig by name.
    Kubeconfig,
    /// INI with profiles.
    AwsCredentials,
    /// PEM blocks.
    Pem,
    /// `name = "value"` lines.
    TerraformVariables,
    /// A state, or variables as JSON.
    TerraformJson,
}

impl Format {
    /// By the path below the folder, `/` between segments; `None` for files that are not looked at.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = folder.rsplit('/').next().unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        let extension = lower.rsplit_once('.').map_or("", |(_, extension)| extension);
        let is_yaml = matches!(extension, "yaml" | "yml");
        Some(match lower.as_str() {
            ".env" | ".envrc" => Self::Dotenv,
            ".dockercfg" | ".dockerconfigjson" => Self::DockerConfig,
            "config.json" if parent == ".docker" || parent == "docker" => Self::DockerConfig,
            // They describe packages and compilers, and their checksums look like keys.
            "package.json" | "package-lock.json" | "tsconfig.json" | "composer.json" => return None,
            "config" if parent == ".kube" => Self::Kubeconfig,
            "kubeconfig" => Self::Kubeconfig,
            "credentials" | "aws_credentials" | ".aws_credentials" => Self::AwsCredentials,
            "config" if parent == ".aws" => Self::AwsCredentials,
            "id_rsa" | "id_dsa" | "id_ecdsa" | "id_ed25519" => Self::Pem,
            _ if lower == "jenkinsfile"
                || lower.starts_with("jenkinsfile.")
                || extension == "jenkinsfile" =>
            {
                Self::Jenkinsfile
            }
            _ if is_yaml && is_workflow(folder, &lower) => Self::Workflow,
            _ if lower.starts_with(".env.") || extension == "env" => Self::Dotenv,
            _ if lower.ends_with(".tfvars.json") || lower.ends_with(".tfstate.backup") => Self::TerraformJson,
            _ => match extension {
                "yaml" | "yml" | "json" => Self::Document,
                "kubeconfig" => Self::Kubeconfig,
                "pem" | "key" | "crt" | "cer" => Self::Pem,
                "tfvars" => Self::TerraformVariables,
                "tfstate" => Self::TerraformJson,
                _ => return None,
            },
        })
    }

    /// The word in the attribute `format`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Workflow => "workflow",
            Self::Jenkinsfile => "jenkinsfile",
            Self::Dotenv => "dotenv",
            Self::DockerConfig => "docker-config",
            Self::Kubeconfig => "kubeconfig",
            Self::AwsCredentials => "aws-credentials",
            Self::Pem => "pem",
            Self::TerraformVariables | Self::TerraformJson => "terraform",
        }
    }
}

/// GitHub, Gitea and Forgejo keep workflows in a folder, GitLab, CircleCI and Bitbucket in a file.
fn is_workflow(folder: &str, name: &str) -> bool {
    let in_folder = [".github", ".gitea", ".forgejo"].iter().any(|forge| {
        ["workflows", "actions"]
            .iter()
            .any(|kind| format!("/{folder}/").contains(&format!("/{forge}/{kind}/")))
    });
    in_folder
        || name.ends_with(".gitlab-ci.yml")
        || name == "bitbucket-pipelines.yml"
        || format!("/{folder}").ends_with("/.circleci")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_files_are() {
        for (path, expected) in [
            ("k8s/db.yaml", Some(Format::Document)),
            ("app/.github/workflows/ci.yml", Some(Format::Workflow)),
            (".gitlab-ci.yml", Some(Format::Workflow)),
            ("Jenkinsfile", Some(Format::Jenkinsfile)),
            ("ci/Jenkinsfile.nightly", Some(Format::Jenkinsfile)),
            ("ci/deploy.jenkinsfile", Some(Format::Jenkinsfile)),
            (".env.production", Some(Format::Dotenv)),
            ("prod.env", Some(Format::Dotenv)),
            (".docker/config.json", Some(Format::DockerConfig)),
            ("web/config.json", Some(Format::Document)),
            (".kube/config", Some(Format::Kubeconfig)),
            ("prod.kubeconfig", Some(Format::Kubeconfig)),
            (".aws/credentials", Some(Format::AwsCredentials)),
            ("tls/server.KEY", Some(Format::Pem)),
            ("infra/prod.tfvars", Some(Format::TerraformVariables)),
            ("infra/terraform.tfstate.backup", Some(Format::TerraformJson)),
            ("src/main.rs", None),
            ("web/package-lock.json", None),
            ("config", None),
            ("README", None),
        ] {
            assert_eq!(Format::of(path), expected, "{path}");
        }
    }
}
