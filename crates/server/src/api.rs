//! The HTTP API: everything that the command line does, for whoever has shown who they are.
//!
//! One file per endpoint or pair of endpoints: its route and document ([`utoipa::path`]), its handler. Each route and what it takes to be let in stands in
//! [`route::ROUTES`]: one that is missing there lets nobody in, and a test compares that list with the OpenAPI document. Documents are made in
//! [`crate::document`], errors are RFC 9457 problems with the codes of the command line.

mod audit;
mod authenticate;
mod caller;
mod change;
mod credential;
mod doctor;
mod drill;
mod event;
mod gate;
mod idempotency;
mod incident;
mod input;
mod list;
mod notification;
mod page;
mod pause;
mod plan;
mod policy;
mod problem;
mod report;
mod resolution;
mod revocation;
mod rotation;
mod route;
mod saga;
mod scan;
mod schedule;
mod swap;
mod trace;
mod verification;
mod webhook;
mod work;

use std::{convert::Infallible, sync::Arc};

use axum::{Json, Router, extract::DefaultBodyLimit, middleware, routing::get};
use claviger_core::signing::PrivateKey;
use claviger_engine::{firing::Scheduler, saga::RunOptions};
use claviger_store::{Deliveries, Requests, Tokens};
use utoipa::OpenApi as _;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

pub use self::authenticate::{Bearer, Unknown};
pub(crate) use self::{problem::Problem, work::Work};
use crate::{Current, Listing, Stop, webhook::Receiver};

/// Longest body that is read, in bytes.
const BODY: usize = 1 << 20;

/// What the API needs beside what the other duties have.
#[derive(Clone)]
pub struct Api {
    /// Local tokens.
    pub tokens: Arc<dyn Tokens>,
    /// Requests that were given a key.
    pub requests: Arc<dyn Requests>,
    /// Who else says who somebody is, asked in this order.
    pub bearers: Vec<Arc<dyn Bearer>>,
    /// Signs exports of the audit log; without it none is made.
    pub signing: Option<Arc<PrivateKey>>,
    /// Who may report leaks by a request.
    pub receivers: Listing<Receiver>,
    /// Which of their requests were taken.
    pub deliveries: Arc<dyn Deliveries>,
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) api: Api,
    pub(crate) current: Current,
    pub(crate) run: RunOptions,
    pub(crate) stop: Stop,
    pub(crate) work: Work,
}

impl Context {
    /// By the configuration of this moment.
    pub(crate) fn scheduler(&self) -> Scheduler {
        self.current.now()
    }
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "claviger",
        description = "Inventory, rotation and revocation of machine credentials. Documents have the shapes of the command line's `-o json`; errors are RFC 9457 problems. Every POST takes an `Idempotency-Key` of the sender's choice: a repeat with the same key and the same body is answered as the first was and not carried out again, for a day; 409 while the first is under way, 422 for another body.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    security(("bearer" = [])),
    modifiers(&Bearing)
)]
struct Document;

struct Bearing;

impl utoipa::Modify for Bearing {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

fn described() -> OpenApiRouter<Context> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(list::credentials))
        .routes(routes!(credential::show))
        .routes(routes!(policy::of_credential))
        .routes(routes!(list::identities))
        .routes(routes!(list::copies))
        .routes(routes!(list::consumers))
        .routes(routes!(list::proposals))
        .routes(routes!(list::findings))
        .routes(routes!(list::connections))
        .routes(routes!(list::schedules))
        .routes(routes!(drill::list, drill::hold))
        .routes(routes!(rotation::list, rotation::begin))
        .routes(routes!(rotation::show))
        .routes(routes!(rotation::events))
        .routes(routes!(rotation::rollback_plan))
        .routes(routes!(rotation::rollback))
        .routes(routes!(rotation::resume))
        .routes(routes!(revocation::list, revocation::begin))
        .routes(routes!(revocation::show))
        .routes(routes!(revocation::events))
        .routes(routes!(revocation::resume))
        .routes(routes!(swap::list, swap::begin))
        .routes(routes!(swap::show))
        .routes(routes!(swap::events))
        .routes(routes!(swap::rollback_plan))
        .routes(routes!(swap::rollback))
        .routes(routes!(swap::resume))
        .routes(routes!(resolution::swap))
        .routes(routes!(resolution::rotation))
        .routes(routes!(resolution::revocation))
        .routes(routes!(resolution::resume))
        .routes(routes!(policy::list))
        .routes(routes!(plan::make))
        .routes(routes!(plan::show))
        .routes(routes!(plan::approve))
        .routes(routes!(incident::list, incident::open))
        .routes(routes!(incident::show))
        .routes(routes!(incident::close))
        .routes(routes!(schedule::firings))
        .routes(routes!(pause::begin))
        .routes(routes!(pause::end))
        .routes(routes!(scan::begin))
        .routes(routes!(scan::newest))
        .routes(routes!(verification::begin))
        .routes(routes!(trace::ask).layer::<_, Infallible>(DefaultBodyLimit::max(trace::BODY)))
        .routes(routes!(report::write))
        .routes(routes!(notification::list))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::export))
        .routes(routes!(audit::checkpoint))
        .routes(routes!(doctor::check))
}

/// What lets somebody in by a signature, and by no token.
fn signed() -> OpenApiRouter<Context> {
    OpenApiRouter::new().routes(routes!(webhook::receive))
}

/// The description of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    strict(described().merge(signed()).into_openapi())
}

/// What says of an enum's variants that nothing else is taken beside them, as their reading does.
fn strict(mut openapi: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    use utoipa::openapi::{RefOr, Schema, schema::AdditionalProperties};
    let schemas = openapi.components.iter_mut().flat_map(|components| components.schemas.values_mut());
    for schema in schemas {
        let RefOr::T(Schema::OneOf(one)) = schema else { continue };
        for item in &mut one.items {
            if let RefOr::T(Schema::Object(object)) = item {
                object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
    }
    openapi
}

/// Everything under `/api/v1`, and what describes it.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(context: Context) -> Router<S> {
    let (router, _) = described().split_for_parts();
    let description = Arc::new(openapi());
    router
        .route_layer(middleware::from_fn_with_state(context.clone(), idempotency::once))
        .route_layer(middleware::from_fn_with_state(context.clone(), authenticate::let_in))
        // After the doors: these have their own.
        .merge(signed().split_for_parts().0)
        .method_not_allowed_fallback(problem::no_method)
        .layer(DefaultBodyLimit::max(BODY))
        .route("/openapi.json", get(move || async move { Json(description.as_ref().clone()) }))
        .with_state(context)
}

/// The answer where there is no route.
pub(crate) async fn nowhere() -> Problem {
    problem::no_route()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{openapi, route::ROUTES, signed};

    fn paths(document: &serde_json::Value) -> BTreeSet<(String, String)> {
        let paths = document["paths"].as_object().expect("paths").iter();
        let methods = |item: &serde_json::Value| item.as_object().expect("methods").keys().cloned().collect();
        paths
            .flat_map(|(path, item)| {
                let methods: Vec<String> = methods(item);
                methods.into_iter().map(|method| (method.to_uppercase(), path.clone()))
            })
            .collect()
    }

    /// What is described, what has a route, and what it takes to be let in are one list.
    #[test]
    fn each_route_is_described_and_says_whom_it_lets_in() {
        let document = serde_json::to_value(openapi()).expect("JSON");
        let mut described = paths(&document);
        // These have a door of their own, and say so.
        let own = paths(&serde_json::to_value(signed().into_openapi()).expect("JSON"));
        for (method, path) in &own {
            assert!(described.remove(&(method.clone(), path.clone())), "{method} {path}");
            let operation = &document["paths"][path][method.to_lowercase()];
            assert_eq!(operation["security"], serde_json::json!([{}]), "{operation:#}");
        }
        assert_eq!(own.len(), 1);
        let listed: BTreeSet<_> =
            ROUTES.iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
        assert_eq!(listed.len(), ROUTES.len(), "each once");
        assert_eq!(described, listed);
    }

    /// The document is a contract: a change shows in the change's own lines. `CLAVIGER_WRITE=1` writes it anew.
    #[test]
    fn the_description_is_the_one_that_was_agreed_on() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let text = serde_json::to_string_pretty(&openapi()).expect("JSON") + "\n";
        if std::env::var_os("CLAVIGER_WRITE").is_some() {
            std::fs::write(file, &text).expect("written");
        }
        let agreed = std::fs::read_to_string(file).expect("openapi.json");
        assert!(agreed == text, "crates/server/openapi.json is another one: CLAVIGER_WRITE=1 writes it anew");
    }
}
