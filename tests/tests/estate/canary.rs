//! None of the planted values, in any of the forms that a leak has, occurs in anything that claviger writes.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_tests::{estate::Estate, require_lab};

use crate::Place;

/// The forms in which a value could leak.
fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    // A value of a few bytes occurs anywhere by chance, and so would one of plain words.
    if value.len() < 8 {
        return Vec::new();
    }
    let core = &value[..value.len().min(600)];
    let base64 = STANDARD.encode(core);
    let url: String = core
        .iter()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
                char::from(*byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    let json = String::from_utf8_lossy(core).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let mut forms = vec![
        core.to_vec(),
        // Without the last group, whose padding depends on what follows.
        base64.as_bytes()[..base64.len() / 4 * 4 - 4].to_vec(),
        hex::encode(core).into_bytes(),
        hex::encode_upper(core).into_bytes(),
        url.into_bytes(),
        json.into_bytes(),
        core.iter().rev().copied().collect(),
    ];
    forms.retain(|form| form.len() >= 8);
    forms
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    haystack.iter().enumerate().any(|(at, byte)| *byte == first && haystack[at..].starts_with(needle))
}

/// Takes what is sent to it by HTTP, says that it is fine, and keeps it.
struct Collector {
    address: String,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || take(stream, &kept));
            }
        });
        Ok(Self { address, bodies })
    }

    fn received(&self) -> Vec<Vec<u8>> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One request after the other, until the connection ends.
fn take(mut stream: TcpStream, bodies: &Mutex<Vec<Vec<u8>>>) {
    let (mut held, mut piece) = (Vec::new(), [0_u8; 8192]);
    loop {
        let whole = held.windows(4).position(|four| four == b"\r\n\r\n").and_then(|end| {
            let head = String::from_utf8_lossy(&held[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
            let end = end + 4 + length.trim().parse::<usize>().ok()?;
            (held.len() >= end).then_some(end)
        });
        if let Some(end) = whole {
            // With its head: what is shown there must be clean as well.
            bodies.lock().unwrap_or_else(PoisonError::into_inner).push(held.drain(..end).collect());
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
                return;
            }
            continue;
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(read) => held.extend_from_slice(&piece[..read]),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_planted_value_is_in_anything_that_is_written() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let collector = Collector::start()?;
    let mut place = Place::new(estate.directory(), "canary.db");
    place.environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), collector.address.clone()));
    let out = tempfile::tempdir()?;
    let written = std::cell::RefCell::new(Vec::<(String, Vec<u8>)>::new());
    let run = |name: &str, arguments: &[&str], input: Option<&[u8]>| -> Result<()> {
        let mut all = vec!["-vv", "--log-format", "json"];
        all.extend_from_slice(arguments);
        let done = place.run(&all, input)?;
        written.borrow_mut().push((format!("standard output of {name}"), done.stdout.into_bytes()));
        written.borrow_mut().push((format!("standard error of {name}"), done.stderr.into_bytes()));
        Ok(())
    };
    run("scan", &["scan", "-o", "json"], None)?;
    run("doctor", &["doctor"], None)?;
    for thing in ["credentials", "copies", "consumers", "identities", "findings"] {
        run(thing, &["list", thing, "-o", "json"], None)?;
    }
    for (kind, format) in [
        ("inventory", "html"),
        ("inventory", "csv"),
        ("inventory", "json"),
        ("findings", "html"),
        ("findings", "csv"),
        ("findings", "json"),
    ] {
        let file = out.path().join(format!("{kind}.{format}"));
        run(kind, &["report", kind, "--format", format, "--out", &file.display().to_string()], None)?;
        written.borrow_mut().push((file.display().to_string(), fs::read(&file)?));
    }
    let leaked =
        estate.planted.get("db-app").value.as_ref().map(|value| value.bytes().to_vec()).unwrap_or_default();
    run("trace", &["trace", "-o", "json"], Some(&leaked))?;
    run("rotate", &["rotate", "db/role/app", "--leave-stale", "--yes", "-o", "json"], None)?;
    run("export", &["audit", "export"], None)?;
    // Paths that fail print errors, and those too must be clean.
    run("a failing rotation", &["rotate", "db/role/expired", "--yes"], None)?;
    run("a wrong selector", &["list", "credentials", "kind=nonsense"], None)?;
    for entry in fs::read_dir(estate.directory())?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("canary.db") {
            written.borrow_mut().push((name, fs::read(entry.path())?));
        }
    }
    let traces = collector.received();
    ensure!(
        traces.iter().any(|body| contains(body, b"backend.call")),
        "no trace of {} was looked at",
        traces.len()
    );
    ensure!(traces.iter().any(|body| contains(body, b"db/role/app")), "the rotation is in no trace");
    for (number, body) in traces.into_iter().enumerate() {
        written.borrow_mut().push((format!("trace {number}"), body));
    }
    let written = written.into_inner();
    ensure!(
        written.iter().any(|(name, bytes)| name == "canary.db" && bytes.len() > 10_000),
        "the database was not looked at"
    );

    // The values that the rotation made are secrets as well: they are what the Secret holds now.
    let mut values: Vec<Vec<u8>> = estate.planted.values().map(|value| value.bytes().to_vec()).collect();
    let secret = estate
        .kubernetes
        .request(reqwest::Method::GET, "/api/v1/namespaces/payments/secrets/db", None)
        .await?;
    let now = STANDARD.decode(secret.body["data"]["password"].as_str().unwrap_or_default())?;
    ensure!(now.len() >= 16 && now.trim_ascii() != leaked, "the rotation did not happen");
    values.push(now.trim_ascii().to_vec());
    let mut found = Vec::new();
    let mut searched = 0;
    for value in &values {
        for form in forms(value) {
            searched += 1;
            for (name, bytes) in &written {
                if contains(bytes, &form) {
                    found.push(format!(
                        "{name} holds a form of a value that begins with {:?}…",
                        String::from_utf8_lossy(&value[..2])
                    ));
                }
            }
        }
    }
    ensure!(searched > 100, "only {searched} forms");
    ensure!(found.is_empty(), "{}", found.join("\n"));
    println!("{searched} forms of {} values in {} outputs: none", values.len(), written.len());
    Ok(())
}
