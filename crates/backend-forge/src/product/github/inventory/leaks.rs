//! Alerts of the forge's own secret scanning: values that lie in its repositories for everybody who may read them. Each is a former copy: nobody writes there,
//! and what holds the same value elsewhere is known to have leaked.

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    leak::{self, Format},
    model::{CopyStage, Place, Scope, ScopeStatus},
    observation::{Content, Observation},
};
use serde::Deserialize;
use serde_json::json;

use super::Survey;
use crate::{client::Request, place::copy};

/// What of an alert is no leak's business to tell.
#[derive(Deserialize)]
struct Alert {
    #[serde(default)]
    number: u64,
    #[serde(default)]
    validity: Option<String>,
    #[serde(default)]
    publicly_leaked: Option<bool>,
}

impl Survey<'_> {
    pub(super) async fn leaks(&self, sink: &mut ScanSink, area: &str, path: &[&str]) -> Result<()> {
        let mut valueless = 0;
        let found = self.alerts(area, path, &mut valueless).await;
        self.part(sink, area, ("leaks", found)).await?;
        if valueless > 0 {
            let why = format!("{valueless} alerts carry no value that others could be compared with");
            sink.end(&Scope::new(area, "leak-values"), ScopeStatus::Unreadable, Some(why)).await?;
        }
        Ok(())
    }

    async fn alerts(&self, area: &str, path: &[&str], valueless: &mut usize) -> Result<Vec<Observation>> {
        let mut seen = Vec::new();
        let request = Request { query: &[("state", "open")], ..Request::get(path) };
        self.backend
            .access
            .pages("inventory", request, |answer, call| {
                let alerts: Vec<Alert> = answer.json(call)?;
                let found = leak::parse(Some(Format::Github), &answer.body).map_err(|_| call.unreadable())?;
                *valueless += found.skipped.len();
                for leak in found.leaks {
                    let Some(at) = leak.seen.as_ref() else { continue };
                    let alert = alerts.iter().find(|alert| Some(alert.number) == at.number);
                    // An organisation's list says of each in which repository it is.
                    let place = at.container.as_deref().unwrap_or(area);
                    let number = at.number.unwrap_or_default();
                    let whole =
                        self.backend.names.object(&format!("{place}/secret-scanning/alerts/{number}"));
                    let mut copy =
                        copy(whole.field("secret"), "secret", Place::Literal, Content::Value(leak.value));
                    copy.stage = CopyStage::Former;
                    for (key, value) in [
                        ("leaked", json!(true)),
                        ("leak_url", json!(at.url)),
                        ("leak_path", json!(at.place)),
                        ("leak_rule", json!(at.rule)),
                        ("leak_validity", json!(alert.and_then(|alert| alert.validity.clone()))),
                        ("publicly_leaked", json!(alert.and_then(|alert| alert.publicly_leaked))),
                    ] {
                        copy.attributes.insert(key.to_owned(), value);
                    }
                    seen.push(Observation::Copy(copy));
                }
                Ok(())
            })
            .await?;
        Ok(seen)
    }
}
