//! Whose token is this? Asked of the API server by a TokenReview, which also says for whom it was made.

use claviger_backend::{Error, ErrorKind, Result};
use http::Method;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    KubernetesConfig,
    connection::{Ask, Connection, JSON, OBJECT_LIMIT},
    wire,
};

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCOUNT: &str = "system:serviceaccount:";

/// Asks one cluster. It needs `create` on `tokenreviews.authentication.k8s.io` and nothing else.
pub struct TokenReviewer {
    connection: Connection,
    audience: String,
}

/// Who a token is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The ServiceAccount's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

#[derive(Deserialize)]
struct Review {
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    authenticated: bool,
    audiences: Vec<String>,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
}

impl TokenReviewer {
    /// Connects as the kubeconfig says. `audience` is for whom tokens must have been made.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub async fn connect(config: &KubernetesConfig, audience: String) -> Result<Self> {
        Ok(Self { connection: Connection::open(config).await?, audience })
    }

    /// The ServiceAccount of a token. `None`: it is none that holds, none of a ServiceAccount, or was made for somebody else.
    ///
    /// # Errors
    /// The API server does not answer, or does not let us ask: nobody knows whose it is.
    pub async fn review(&self, token: &str) -> Result<Option<Account>> {
        let body = serde_json::json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": { "token": token, "audiences": [self.audience] },
        });
        let text = Zeroizing::new(body.to_string());
        let ask = Ask::with_body(Method::POST, REVIEWS.to_owned(), JSON, text.as_bytes().to_vec());
        let endpoint = self.connection.endpoint();
        let answer = self.connection.ask(ask, OBJECT_LIMIT).await;
        let answer = answer.map_err(|failure| failure.into_error("review", "a token", endpoint))?;
        let review: Review = wire::read(&answer)
            .map_err(|failure| Error::new(ErrorKind::Unavailable, "review", failure.to_string()))?;
        let Status { authenticated, audiences, user } = review.status;
        // An API server that knows nothing of audiences leaves them out, and has not looked at them.
        if !authenticated || !audiences.contains(&self.audience) {
            return Ok(None);
        }
        let account = user.username.strip_prefix(ACCOUNT).and_then(|rest| rest.split_once(':'));
        Ok(account
            .map(|(namespace, name)| Account { namespace: namespace.to_owned(), name: name.to_owned() }))
    }
}
