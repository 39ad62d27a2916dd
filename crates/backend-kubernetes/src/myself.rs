//! Who our own connection is: what would end or weaken it is refused.

use claviger_backend::Result;
use http::Method;
use serde::Deserialize;

use crate::{
    backend::KubernetesBackend,
    connection::{Ask, JSON, OBJECT_LIMIT},
    issuer::WHO_AM_I,
    wire,
};

/// `UserInfo` of `authentication.k8s.io/v1`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Myself {
    pub(crate) username: String,
    #[serde(deserialize_with = "wire::nullable")]
    pub(crate) groups: Vec<String>,
    #[serde(deserialize_with = "wire::nullable")]
    pub(crate) extra: Extra,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Extra {
    /// The pod whose token this is.
    #[serde(rename = "authentication.kubernetes.io/pod-name", deserialize_with = "wire::nullable")]
    pub(crate) pod: Vec<String>,
}

impl KubernetesBackend {
    /// Asked of the API server. One before 1.28 does not tell: then nobody.
    pub(crate) async fn ourselves(&self, operation: &'static str) -> Result<Myself> {
        let body = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#.to_vec();
        let ask = Ask::with_body(Method::POST, WHO_AM_I.to_owned(), JSON, body);
        let failed = |failure| self.error(failure, operation, "ask who we are");
        match self.connection.ask(ask, OBJECT_LIMIT).await {
            Ok(body) => Ok(wire::read::<Review>(&body).map_err(failed)?.status.user_info),
            Err(failure) if failure.is_absent() => Ok(Myself::default()),
            Err(failure) => Err(failed(failure)),
        }
    }
}

#[derive(Deserialize)]
struct Review {
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    user_info: Myself,
}
