//! A fake of GitLab's REST API, as its own documents describe it (`doc/api` of its repository): **no GitLab was there to compare it with**.
//!
//! It keeps what it is told, authenticates (a revoked or expired token is refused as GitLab refuses it), knows roles, counts pages in both ways, limits
//! requests when it is told to, loses answers when it is told to, and revokes the whole family of a token that is rotated a second time. A test sees what is
//! in it through [`Gitlab::state`].

mod access;
mod keys;
mod page;
mod route;
mod state;
mod tokens;
mod variables;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use axum::{Router, body::Bytes, extract::State as Shared, http::Request, response::Response};
use reqwest::Method;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{gitea::Gitea, http, twin::Twin};

pub use self::state::{Seen, State, Token, Variable};

/// A running fake. It ends with this.
pub struct Gitlab {
    address: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Gitlab {
    /// Starts one with an administrator, whose token has the scope `api`.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Mutex::new(State::new()));
        let shared = Arc::clone(&state);
        let router = Router::new().fallback(answer).with_state(shared);
        let task = tokio::spawn(async move {
            // It ends with the task.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, state, task })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What is in it, to be planted and to be looked at.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call with this token as anybody makes it, by a path below `/api/v4`; its HTTP status.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn call(&self, method: Method, path: &str, token: &str) -> Result<u16> {
        let url = format!("{}/api/v4/{path}", self.address);
        let client = http::client(None)?;
        Ok(http::send(&client, method, &url, &[("private-token", token)], None).await?.status)
    }

    /// Lets deploy keys of a project in at this server from now on, at a repository of the same name.
    ///
    /// # Errors
    /// When the repository cannot be made there.
    pub async fn lets_in_at(&self, gitea: &'static Gitea, project: &str) -> Result<()> {
        let twin = Twin::of(gitea, project).await?;
        let mut state = self.state();
        state.ssh = Some(twin);
        let address = format!("ssh://git@127.0.0.1:{}/{project}.git", gitea.ssh_port());
        state
            .homes
            .iter_mut()
            .filter(|home| home.path == project)
            .for_each(|home| home.ssh = Some(address.clone()));
        Ok(())
    }

    /// The administrator's token.
    pub fn token(&self) -> String {
        self.state().tokens.first().map(|token| token.value.clone()).unwrap_or_default()
    }
}

impl Drop for Gitlab {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(Shared(state): Shared<Arc<Mutex<State>>>, request: Request<axum::body::Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    route::answer(&mut state, &parts, &body)
}
