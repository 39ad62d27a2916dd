//! An answer that is lost after its effect, on a real server: what IAM made then can be used by nobody.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, require_lab};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    access_key::{Servers, place},
    text,
};

/// Stands before a server, and once keeps to itself what it answers to a request that holds these words.
pub(crate) struct Cut {
    pub(crate) endpoint: String,
    pub(crate) fired: Arc<AtomicBool>,
}

impl Cut {
    pub(crate) async fn before(endpoint: &str, words: &'static [u8]) -> Result<Self> {
        let server = endpoint.strip_prefix("http://").context("plain HTTP")?.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (endpoint, fired) =
            (format!("http://{}", listener.local_addr()?), Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&fired);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, flag) = (server.clone(), Arc::clone(&flag));
                // A connection that ends ends; the client says what that did to it.
                tokio::spawn(async move { passed(client, &server, words, &flag).await.ok() });
            }
        });
        Ok(Self { endpoint, fired })
    }
}

async fn passed(
    mut client: TcpStream,
    server: &str,
    words: &[u8],
    fired: &AtomicBool,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut asked, mut answer, mut cut) = ([0; 16384], [0; 16384], false);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                cut = cut || asked[..read].windows(words.len()).any(|window| window == words);
                server.write_all(&asked[..read]).await?;
            }
            read = server.read(&mut answer) => {
                let read = read?;
                // The server has done it, and both ends see the connection close.
                if read == 0 || cut && !fired.swap(true, Ordering::SeqCst) {
                    return Ok(());
                }
                client.write_all(&answer[..read]).await?;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_answer_was_lost_is_found_and_taken_away() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let (mut place, servers) = (place(&estate, "lost-answer.db"), Servers(&estate));
    place.run(&["scan"], None)?;
    let subject = estate.planted.get("aws-media").reference.as_deref().context("its issuer's ref")?;
    let cut = Cut::before(estate.ministack.endpoint(), b"Action=CreateAccessKey").await?;
    place.environment.push(("CLAVIGER_BACKENDS__AWS__ENDPOINT".to_owned(), cut.endpoint.clone()));
    let done = tokio::task::block_in_place(|| {
        place.run(&["rotate", subject, "--yes", "-o", "json"], None)?.expect(0)?.json()
    })?;
    ensure!(cut.fired.load(Ordering::SeqCst), "no answer was lost");
    let rotation = &done["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotation:#}");

    let pairs = servers.pairs().await?;
    ensure!(pairs.iter().all(|pair| *pair == pairs[0]), "the copies are out of step");
    ensure!(servers.accepts(&pairs[0].0, &pairs[0].1)?, "the new pair does not work");
    ensure!(servers.keys()? == [pairs[0].0.clone()], "an orphan is left: {:?}", servers.keys()?);
    // Told before it was done: with the orphan's own id, which is neither the old key's nor the new one's.
    let audit = place.run(&["audit", "export"], None)?.expect(0)?;
    let entries =
        audit.stdout.lines().map(serde_json::from_str).collect::<Result<Vec<serde_json::Value>, _>>()?;
    let told: Vec<_> = entries.iter().filter(|entry| entry.to_string().contains("\"orphan\":true")).collect();
    ensure!(told.len() == 2, "{} entries tell of an orphan", told.len());
    let named = told.iter().all(|entry| {
        let at = text(entry, "subject");
        let ours = [subject, &format!("aws/iam/user/media/access-key/{}", pairs[0].0)].contains(&at);
        at.starts_with("aws/iam/user/media/access-key/") && !ours
    });
    ensure!(named, "the entries do not name the orphan: {told:?}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}
