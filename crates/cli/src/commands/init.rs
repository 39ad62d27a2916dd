use std::{
    fmt::Write as _,
    fs,
    io::{IsTerminal, Write as _},
    path::{Path, PathBuf},
};

use claviger_core::random::OsRandom;

use crate::{
    args::{Global, InitArgs},
    config::Loaded,
    error::{Exit, Failure, Result},
    keys, output,
};

/// A backend that could be configured.
struct Found {
    name: String,
    why: String,
    section: String,
}

/// Finds what there is, writes a commented configuration and the keys. What exists is never overwritten.
pub(super) fn run(global: &Global, args: &InitArgs) -> Result<Exit> {
    let file = global.config.clone().unwrap_or_else(|| PathBuf::from("claviger.toml"));
    let found = discover();
    if file.exists() {
        let loaded = Loaded::read(&file)?;
        let missing: Vec<&Found> =
            found.iter().filter(|found| !loaded.config.backends.contains_key(&found.name)).collect();
        output::remark(
            global,
            &format!("`{}` exists and is left as it is, but for what is missing", file.display()),
        );
        append(global, &file, &missing, args)?;
    } else {
        let mut text = HEAD.to_owned();
        let chosen: Vec<&Found> = found
            .iter()
            .filter(|found| confirm(args, &format!("add backend `{}` ({})?", found.name, found.why)))
            .collect();
        for found in &chosen {
            text.push_str(&found.section);
        }
        if chosen.is_empty() {
            text.push_str(NOTHING);
        }
        let write = || -> std::io::Result<()> {
            let mut out = fs::OpenOptions::new().write(true).create_new(true).open(&file)?;
            out.write_all(text.as_bytes())
        };
        write().map_err(|error| Failure::file("write", &file, &error))?;
        output::text(&format!("wrote {} with {} backends\n", file.display(), chosen.len()));
    }
    let loaded = Loaded::read(&file)?;
    for path in keys::create(&loaded.keys(), &OsRandom)? {
        output::text(&format!("made {}\n", path.display()));
    }
    output::text("next: `claviger db migrate`, then `claviger doctor`, then `claviger scan`\n");
    Ok(Exit::Done)
}

fn append(global: &Global, file: &Path, missing: &[&Found], args: &InitArgs) -> Result<()> {
    let mut text = String::new();
    for found in missing {
        if confirm(args, &format!("add backend `{}` ({})?", found.name, found.why)) {
            text.push_str(&found.section);
            output::remark(global, &format!("adds backend `{}`: {}", found.name, found.why));
        }
    }
    if text.is_empty() {
        return Ok(());
    }
    let write = || -> std::io::Result<()> {
        fs::OpenOptions::new().append(true).open(file)?.write_all(text.as_bytes())
    };
    write().map_err(|error| Failure::file("write", file, &error))
}

fn confirm(args: &InitArgs, question: &str) -> bool {
    if args.yes || !std::io::stdin().is_terminal() {
        return true;
    }
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{question} [Y/n] ");
    let _ = stderr.flush();
    let mut line = String::new();
    let _ = std::io::stdin().read_line(&mut line);
    !matches!(line.trim(), "n" | "N" | "no")
}

fn discover() -> Vec<Found> {
    let mut found = Vec::new();
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let kubeconfig =
        std::env::var_os("KUBECONFIG").map(PathBuf::from).unwrap_or_else(|| home.join(".kube/config"));
    for context in contexts(&kubeconfig) {
        let name = name_of(&context);
        let section = format!(
            "\n[backends.{name}]\nkind = \"kubernetes\"\nkubeconfig = {}\ncontext = {}\n# include = [\"*\"]                        # namespaces; globs\n# labels = {{ env = \"prod\" }}             # for selectors, and for copies across environments\n",
            quoted(&kubeconfig.display().to_string()),
            quoted(&context)
        );
        found.push(Found { name, why: format!("context `{context}` of {}", kubeconfig.display()), section });
    }
    if let Ok(address) = std::env::var("VAULT_ADDR") {
        let section = format!(
            "\n[backends.vault]\nkind = \"vault\"                           # OpenBao too\naddress = {}\ntoken = {{ env = \"VAULT_TOKEN\" }}         # or auth = {{ kubernetes = {{ role = \"claviger\" }} }}\n",
            quoted(&address)
        );
        found.push(Found { name: "vault".to_owned(), why: "VAULT_ADDR is set".to_owned(), section });
    }
    let profiles = home.join(".aws/config").is_file() || home.join(".aws/credentials").is_file();
    if profiles || std::env::var_os("AWS_ACCESS_KEY_ID").is_some() {
        let region = std::env::var("AWS_REGION")
            .or_else(|_| std::env::var("AWS_DEFAULT_REGION"))
            .unwrap_or_else(|_| "eu-central-1".to_owned());
        let endpoint = std::env::var("AWS_ENDPOINT_URL")
            .map(|url| format!("endpoint = {}\n", quoted(&url)))
            .unwrap_or_default();
        let keys = if profiles {
            "# The SDK's own chain: environment, profile, role.\n".to_owned()
        } else {
            "access_key_id = { env = \"AWS_ACCESS_KEY_ID\" }\nsecret_access_key = { env = \"AWS_SECRET_ACCESS_KEY\" }\n".to_owned()
        };
        let section =
            format!("\n[backends.aws]\nkind = \"aws\"\nregion = {}\n{endpoint}{keys}", quoted(&region));
        found.push(Found {
            name: "aws".to_owned(),
            why: if profiles {
                "there are AWS profiles".to_owned()
            } else {
                "AWS_ACCESS_KEY_ID is set".to_owned()
            },
            section,
        });
    }
    if let Ok(host) = std::env::var("PGHOST") {
        let user = std::env::var("PGUSER").unwrap_or_else(|_| "claviger".to_owned());
        let port = std::env::var("PGPORT").unwrap_or_else(|_| "5432".to_owned());
        let password = if std::env::var_os("PGPASSWORD").is_some() {
            "password = { env = \"PGPASSWORD\" }\n"
        } else {
            "# password = { file = \"db.password\" }\n"
        };
        let section = format!(
            "\n[backends.db]\nkind = \"postgresql\"\nurl = {}\n{password}",
            quoted(&format!("postgres://{user}@{host}:{port}/postgres"))
        );
        found.push(Found { name: "db".to_owned(), why: "PGHOST is set".to_owned(), section });
    }
    found
}

/// Context names of a kubeconfig; an unreadable or malformed one has none.
fn contexts(path: &Path) -> Vec<String> {
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    let Ok(document) = yaml_serde::from_str::<serde_json::Value>(&text) else { return Vec::new() };
    let contexts = document["contexts"].as_array().cloned().unwrap_or_default();
    contexts.iter().filter_map(|context| context["name"].as_str().map(str::to_owned)).collect()
}

fn name_of(context: &str) -> String {
    let mut name = String::new();
    for c in context.chars() {
        let _ = write!(name, "{}", if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' });
    }
    if name.is_empty() { "cluster".to_owned() } else { name }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

const HEAD: &str = "\
# claviger: made by `claviger init`. config/claviger.toml in the source documents every setting.
# A secret is never written here: { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"pass\", \"show\", \"x\"] }.

database = \"sqlite://claviger.db\"        # or \"postgres://claviger@db.internal/claviger\"
keys = \"keys\"                            # fingerprint, sealing and signing keys: back them up, apart from the database
";

const NOTHING: &str = "
# Nothing was found on this machine: no kubeconfig, VAULT_ADDR, AWS profile or PGHOST. For example:
#
# [backends.repo]
# kind = \"manifest\"
# path = \"k8s\"
";
