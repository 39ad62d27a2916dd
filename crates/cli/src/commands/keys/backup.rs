use std::{
    fs,
    io::{IsTerminal as _, stdin},
    path::Path,
};

use claviger_core::{
    audit::{AuditDraft, AuditKind},
    own_key::{Backup, BackupError, Identity, KeyId, Opener, Recipient},
    random::OsRandom,
    secret::SecretValue,
};
use serde_json::json;

use crate::{
    args::{Global, PassphraseArgs},
    compose::{Needs, compose},
    config::{Loaded, SecretSource},
    error::{Exit, Failure, Result},
    keys::{self, KeyFile},
    output,
};

/// Writes all keys into one file.
pub(super) async fn run(
    global: &Global,
    out: &Path,
    to: Option<&str>,
    passphrase: &PassphraseArgs,
) -> Result<Exit> {
    let to = to.map(read_recipient).transpose()?;
    let composed = compose(global, Needs::Database).await?;
    let engine = &composed.engine;
    let files = keys::read_all(&composed.loaded.keys())?;
    if out.exists() {
        return Err(Failure::new(693, Exit::Usage, format!("`{}` exists", out.display()))
            .hint("a backup never overwrites a file: name another one"));
    }
    let backup = Backup { files: files.iter().map(|file| (file.name(), file.text().duplicate())).collect() };
    let (at, random) = (engine.clock.now(), engine.random.as_ref());
    // What opens it again, where it is here.
    let (text, opener) = match &to {
        Some(to) => (backup.seal_for(to, at, random).map_err(refused)?, None),
        None => {
            let passphrase = fetch(&composed.loaded, passphrase, true)?;
            let text = backup.seal(&passphrase, at, random).map_err(refused)?;
            (text, Some(Opener::Passphrase(passphrase)))
        }
    };
    let entry = AuditDraft {
        kind: AuditKind::Exported,
        actor: engine.actor.clone(),
        subject: "keys".to_owned(),
        saga: None,
        step: None,
        detail: json!({
            "keys": files.iter().map(|file| file.id).collect::<Vec<KeyId>>(), "to": to.as_ref().map(ToString::to_string),
        }),
    };
    engine.ports.audit.append(vec![entry]).await?;
    keys::write_new(out, &SecretValue::from_text(text.clone()))?;
    // What cannot be read back is no backup.
    let written = fs::read_to_string(out).map_err(|error| Failure::file("read", out, &error))?;
    match &opener {
        Some(opener) => drop(Backup::open(&written, opener).map_err(refused)?),
        None if written == text => {}
        None => return Err(refused(BackupError::Format)),
    }
    let rest = match &to {
        Some(to) => format!("only the private half of {to} opens it"),
        None => "keep it and its passphrase apart".to_owned(),
    };
    output::text(&format!("{} keys in {}; {rest}\n", files.len(), out.display()));
    Ok(Exit::Done)
}

/// Writes what is missing. If any key is here with other content, nothing is written.
pub(super) fn restore(
    global: &Global,
    file: &Path,
    identity: Option<&Path>,
    passphrase: &PassphraseArgs,
) -> Result<Exit> {
    let loaded = Loaded::find(global)?;
    let dir = loaded.keys();
    let text = fs::read_to_string(file).map_err(|error| Failure::file("read", file, &error))?;
    let opener = match identity {
        Some(file) => Opener::Identity(read_identity(file)?),
        None => Opener::Passphrase(fetch(&loaded, passphrase, false)?),
    };
    let backup = Backup::open(&text, &opener).map_err(refused)?;
    let here = if dir.is_dir() { keys::read_all(&dir)? } else { Vec::new() };
    let mut missing = Vec::new();
    for (name, text) in &backup.files {
        let (Some(kind), Some(bytes)) = (keys::kind_of(name), keys::bytes_of(text)) else {
            return Err(refused(BackupError::Format));
        };
        let id = KeyId::of(kind, &bytes);
        // Whatever it is called: names change with rotations.
        if here.iter().any(|file| file.kind == kind && file.id == id) {
            continue;
        }
        let path = dir.join(name);
        if let Some(other) = here.iter().find(|file| file.path == path) {
            return Err(conflict(other, id));
        }
        missing.push((path, text));
    }
    keys::make_directory(&dir)?;
    for (path, text) in &missing {
        keys::write_new(path, text)?;
    }
    keys::publish(&dir)?;
    output::text(&format!(
        "{} keys restored, {} were here\n",
        missing.len(),
        backup.files.len() - missing.len()
    ));
    output::remark(global, "any other command says whether they are the ones of the database");
    Ok(Exit::Done)
}

/// Makes a key for whoever may read backups, apart from any installation.
pub(super) fn recipient(out: &Path) -> Result<Exit> {
    if out.exists() {
        return Err(Failure::new(693, Exit::Usage, format!("`{}` exists", out.display()))
            .hint("a key never overwrites a file: name another one"));
    }
    let identity = Identity::generate(&OsRandom);
    keys::write_new(out, &identity.text())?;
    output::text(&format!("{}\n", identity.recipient()));
    Ok(Exit::Done)
}

fn read_recipient(text: &str) -> Result<Recipient> {
    Recipient::parse(text).map_err(|error| {
        Failure::new(792, Exit::Usage, format!("`--to` cannot be used: {error}"))
            .hint("`claviger keys recipient --out FILE` makes a key and prints what is wanted here")
    })
}

fn read_identity(file: &Path) -> Result<Identity> {
    Identity::parse(&SecretValue::new(keys::private(file)?)).map_err(|error| {
        Failure::new(792, Exit::Usage, format!("`{}` cannot be used: {error}", file.display()))
            .hint("`claviger keys recipient --out FILE` wrote the file that is wanted here")
    })
}

fn conflict(file: &KeyFile, id: KeyId) -> Failure {
    Failure::new(
        694,
        Exit::Refused,
        format!(
            "`{}` is another key ({}) than the backup's ({id}): nothing was restored",
            file.path.display(),
            file.id
        ),
    )
    .hint("a key that is here is never overwritten: move it away first, and keep it")
}

fn refused(error: BackupError) -> Failure {
    let failure = Failure::new(695, Exit::Failed, format!("the backup cannot be used: {error}"));
    match error {
        BackupError::Short => failure.hint("take a sentence, or what a password manager makes"),
        BackupError::Other(_) => failure.hint("`--identity FILE` for one that was made with `--to`, else its passphrase"),
        _ => failure.hint("`claviger keys backup` wrote it, and nobody can open it without its passphrase or its recipient's key"),
    }
}

/// The passphrase: from a file, from a program, or asked for twice where it is new. Never from the command line, which others can see.
fn fetch(loaded: &Loaded, args: &PassphraseArgs, is_new: bool) -> Result<SecretValue> {
    if let Some(file) = &args.passphrase_file {
        let file = std::path::absolute(file).map_err(|error| Failure::file("read", file, &error))?;
        return SecretSource::File(file).fetch(loaded, "--passphrase-file");
    }
    if let Some(command) = &args.passphrase_command {
        let words = command.split_whitespace().map(str::to_owned).collect();
        return SecretSource::Command(words).fetch(loaded, "--passphrase-command");
    }
    if !stdin().is_terminal() {
        return Err(Failure::new(696, Exit::Usage, "there is no passphrase, and no terminal to ask for it")
            .hint("`--passphrase-file FILE` or `--passphrase-command COMMAND`"));
    }
    let passphrase = ask("passphrase: ")?;
    if is_new && ask("once more: ")?.expose() != passphrase.expose() {
        return Err(Failure::new(696, Exit::Usage, "the two passphrases differ").hint("nothing was written"));
    }
    Ok(passphrase)
}

fn ask(question: &str) -> Result<SecretValue> {
    let terminal = console::Term::stderr();
    let line = terminal.write_str(question).and_then(|()| terminal.read_secure_line());
    line.map(SecretValue::from_text).map_err(|error| Failure::file("read", Path::new("the terminal"), &error))
}
