pub(crate) mod export;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use claviger_core::{
    audit::{AuditHash, ExportVerdict, ExportVerifier, SignedHead, Verification, Witness, read_head},
    id::Seq,
    own_key::Succession,
    signing::PublicKey,
};
use claviger_server::document::audit;
use serde::Serialize;

use crate::{
    args::{AuditArgs, AuditCommand, Format, Global},
    compose::{Needs, compose},
    error::{Exit, Failure, Result},
    output::{self, Column},
};

pub(crate) const COLUMNS: &[Column] = &[
    Column::new("entries", "ENTRIES"),
    Column::new("head", "HEAD"),
    Column::new("valid", "VALID"),
    Column::new("first_bad", "FIRST BAD"),
];

/// Verifies, exports, or notes a checkpoint.
pub(super) async fn run(global: &Global, args: &AuditArgs) -> Result<Exit> {
    match &args.command {
        AuditCommand::Verify { file, head, public_key, checkpoint, key_history } => {
            let key = public_key.as_deref().map(read_key).transpose()?;
            let noted = checkpoint.as_deref().map(|file| read_checkpoint(file, key)).transpose()?;
            let head = head.as_deref().map(witness).transpose()?;
            match file {
                Some(file) => {
                    // Whoever trusts a checkpoint trusts its key.
                    let key = key.or(noted.as_ref().map(|noted| noted.key));
                    let noted = noted.map(|noted| Witness::Passes(noted.seq, noted.hash));
                    let witness = head.map(|(seq, hash)| Witness::Ends(seq, hash)).or(noted);
                    let history = key_history.as_deref().map(read_history).transpose()?.unwrap_or_default();
                    tell_export(global, &verify_export(file, key, history, witness)?)
                }
                None => {
                    let verification = verify_database(global, head, noted.as_ref()).await?;
                    tell(global, &verification, verification.first_bad)?;
                    Ok(if verification.valid { Exit::Done } else { Exit::Failed })
                }
            }
        }
        AuditCommand::Export { out, receipts, rotation } => {
            export::run(global, out, *receipts, rotation.as_deref()).await
        }
        AuditCommand::Checkpoint { out } => export::checkpoint(global, out).await,
    }
}

fn tell<T: Serialize>(global: &Global, verdict: &T, first_bad: Option<i64>) -> Result<()> {
    let mut document = output::value(verdict)?;
    output::stamp(&mut document, "audit-verify");
    match global.output {
        Format::Json | Format::Yaml => output::document(global, &document)?,
        _ => output::list(global, "audit-verify", COLUMNS, &[output::value(verdict)?])?,
    }
    if let Some(bad) = first_bad {
        output::remark(
            global,
            &format!("the chain does not hold at entry {bad}: it was edited, removed, reordered or cut"),
        );
    }
    Ok(())
}

fn tell_export(global: &Global, verdict: &ExportVerdict) -> Result<Exit> {
    tell(global, verdict, verdict.first_bad)?;
    if let Some(flaw) = &verdict.flaw {
        output::remark(global, &flaw.to_string());
    }
    match (verdict.valid, verdict.signed_by, verdict.pinned) {
        (true, Some(key), false) => output::remark(
            global,
            &format!(
                "signed with {key}, as it says itself: `--public-key` with the installation's `keys/signing.pub` makes sure"
            ),
        ),
        (true, None, _) => {
            output::remark(global, "not signed: it holds because it ends as the witness noted")
        }
        _ => {}
    }
    for shown in &verdict.receipts {
        let text = |key: &str| shown.receipt[key].as_str().unwrap_or("?").to_owned();
        output::remark(
            global,
            &format!(
                "entry {}: {} {} at {}: {}",
                shown.seq.0,
                text("ref"),
                text("verdict"),
                text("observed_at"),
                text("detail")
            ),
        );
    }
    Ok(if verdict.valid { Exit::Done } else { Exit::Failed })
}

fn witness(text: &str) -> Result<(Seq, AuditHash)> {
    let parsed = || {
        let (seq, hash) = text.split_once(':')?;
        Some((Seq(seq.parse().ok()?), AuditHash::parse(hash)?))
    };
    parsed().ok_or_else(|| {
        Failure::config(25, format!("`{text}` is no head"))
            .hint("write SEQ:HASH, as `audit export` prints it at its end")
    })
}

fn read_key(file: &Path) -> Result<PublicKey> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file("read", file, &error))?;
    PublicKey::parse(&text).map_err(|error| {
        Failure::config(28, format!("`{}` is no public key: {error}", file.display()))
            .hint("the installation that wrote the export has it in `keys/signing.pub`")
    })
}

/// How keys followed each other. What is not genuine in it counts for nothing, but a file that is none is refused.
fn read_history(file: &Path) -> Result<Vec<Succession>> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file("read", file, &error))?;
    let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Succession>, _>>();
    lines.map_err(|_| {
        Failure::config(697, format!("`{}` is no history of signing keys", file.display()))
            .hint("the installation that wrote the export has it in `keys/signing.history`")
    })
}

fn read_checkpoint(file: &Path, key: Option<PublicKey>) -> Result<SignedHead> {
    let bytes = std::fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
    let genuine = |noted: &SignedHead| noted.is_genuine() && key.is_none_or(|key| key == noted.key);
    read_head(&bytes).filter(genuine).ok_or_else(|| {
        Failure::new(
            501,
            Exit::Failed,
            format!("`{}` is no checkpoint that was signed with that key", file.display()),
        )
        .hint("`claviger audit checkpoint` writes one; it is valid only unchanged")
    })
}

/// Reads an export line by line: memory is flat, and no database is needed.
fn verify_export(
    file: &Path,
    key: Option<PublicKey>,
    history: Vec<Succession>,
    witness: Option<Witness>,
) -> Result<ExportVerdict> {
    let reader: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(file).map_err(|error| Failure::file("read", file, &error))?)
    };
    let mut reader = BufReader::new(reader);
    let mut verifier = ExportVerifier::new(key, witness).with_history(history);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read =
            reader.read_until(b'\n', &mut line).map_err(|error| Failure::file("read", file, &error))?;
        if read == 0 {
            return Ok(verifier.finish());
        }
        verifier.push(&line);
    }
}

async fn verify_database(
    global: &Global,
    head: Option<(Seq, AuditHash)>,
    noted: Option<&SignedHead>,
) -> Result<Verification> {
    let composed = compose(global, Needs::Database).await?;
    Ok(audit::verify(&composed.engine, head, noted).await?)
}
