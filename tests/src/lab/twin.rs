//! The SSH server that a fake forge has none of: a real Gitea's. It has a repository of the same name, and is told of each deploy key that comes or goes
//! there, so that what the fake has registered is let in, and nothing else.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::gitea::Gitea;

/// No answer of Gitea's takes longer.
const LONGEST: Duration = Duration::from_secs(20);

/// A key that came, with its line and right, or that went.
type Change = (u64, Option<(String, bool)>, Sender<()>);

/// The way to the other server. Whoever tells it waits until that is done.
pub(super) struct Twin {
    repository: String,
    changes: Sender<Change>,
}

impl Twin {
    /// Makes `owner/name` there.
    pub(super) async fn of(gitea: &'static Gitea, repository: &str) -> Result<Self> {
        let (owner, name) = repository.split_once('/').context("owner/name")?;
        gitea.user(owner).await?;
        gitea.repository(owner, name).await?;
        let (changes, receive) = channel();
        // On a thread of its own: whoever waits for it may hold the one on which it would run.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let path = format!("repos/{repository}/keys");
        let follow = move || runtime.block_on(follow(gitea, &path, &receive));
        std::thread::Builder::new().name("twin".to_owned()).spawn(follow)?;
        Ok(Self { repository: repository.to_owned(), changes })
    }

    pub(super) fn registered(&self, repository: &str, id: u64, line: &str, read_only: bool) {
        self.tell(repository, id, Some((line.to_owned(), read_only)));
    }

    pub(super) fn removed(&self, repository: &str, id: u64) {
        self.tell(repository, id, None);
    }

    fn tell(&self, repository: &str, id: u64, what: Option<(String, bool)>) {
        let (done, wait) = channel();
        if repository == self.repository && self.changes.send((id, what, done)).is_ok() {
            // Whoever waits in vain sees a login fail.
            let _ = wait.recv_timeout(LONGEST);
        }
    }
}

async fn follow(gitea: &Gitea, path: &str, changes: &Receiver<Change>) {
    let mut known = BTreeMap::new();
    while let Ok((id, what, done)) = changes.recv() {
        match what {
            Some((line, read_only)) => {
                let body = json!({"title": format!("of {id}"), "key": line, "read_only": read_only});
                if let Ok(made) = gitea.make(path, &body).await {
                    known.insert(id, made["id"].clone());
                }
            }
            None => {
                if let Some(own) = known.remove(&id) {
                    // That it failed a login shows.
                    let _ = remove(gitea, path, &own).await;
                }
            }
        }
        let _ = done.send(());
    }
}

async fn remove(gitea: &Gitea, path: &str, id: &Value) -> Result<()> {
    let answer = gitea.request(Method::DELETE, &format!("{path}/{id}"), None).await?;
    ensure!(answer.status == 204, "HTTP {}", answer.status);
    Ok(())
}
