//! Requests that change something. Jenkins wants a crumb with each, so that no page in somebody's browser can make them; a crumb holds within the session in which
//! it was given, so that session's cookie goes with it.

use claviger_backend::Result;

use super::{backend::JenkinsBackend, wire::Crumb};
use crate::client::{Answer, Call, Extra, Request};

impl JenkinsBackend {
    /// Sends it with a crumb, if the server gives any.
    pub(super) async fn send_crumbed(
        &self,
        call: Call<'_>,
        request: Request<'_>,
        content_type: &str,
    ) -> Result<Answer> {
        let asking = self.api.call(call.operation, "GET crumbIssuer/api/json", false);
        let given = self.api.send(asking, Request::get(&["crumbIssuer", "api", "json"])).await?;
        // Without the protection there is no such page.
        let (crumb, cookies) = if given.status == 404 {
            (None, String::new())
        } else {
            let cookies = given.cookies();
            (Some(given.good(asking)?.json::<Crumb>(asking)?), cookies)
        };
        let mut headers = Vec::new();
        if let Some(crumb) = &crumb {
            headers.push((crumb.field.as_str(), crumb.crumb.as_str()));
            if !cookies.is_empty() {
                headers.push(("cookie", cookies.as_str()));
            }
        }
        let extra = Extra { content_type: Some(content_type), headers: &headers, ..Extra::default() };
        self.api.send_with(call, request, extra).await
    }
}
