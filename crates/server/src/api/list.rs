//! Lists of the inventory.

use axum::extract::State;

use super::{
    Context,
    caller::Caller,
    input::{self, Asked, Query},
    page::{self, Listed},
    problem::{Answer, Body},
};
use crate::document::list::{self, Thing};

/// The page of a list that was asked for.
pub(super) async fn of(context: &Context, caller: &Caller, thing: Thing, asked: Asked) -> Answer<Listed> {
    let limit = input::limit(asked.limit)?;
    let wanted = list::Asked { selector: asked.chosen(context)?, gone: asked.gone };
    let items = list::items(&context.scheduler().engine, thing, &wanted, caller.reads()).await?;
    let mut page = page::cut(thing.name(), items, thing.identity(), limit, asked.cursor.as_deref())?;
    page.tell(|item| caller.told(context, item));
    Ok(page)
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident $path:literal $thing:ident;)+) => {
        $(
            $(#[$doc])*
            #[utoipa::path(
                get,
                path = $path,
                params(Asked),
                responses(
                    (status = 200, description = "A page", body = Listed),
                    (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
                    (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
                ),
                tag = "inventory"
            )]
            pub(super) async fn $name(
                State(context): State<Context>,
                caller: Caller,
                Query(asked): Query<Asked>,
            ) -> Answer<Listed> {
                of(&context, &caller, Thing::$thing, asked).await
            }
        )+
    };
}

lists! {
    /// Authenticators.
    credentials "/api/v1/credentials" Credentials;
    /// Principals.
    identities "/api/v1/identities" Identities;
    /// Places where a value lies.
    copies "/api/v1/copies" Copies;
    /// Workloads that read a copy.
    consumers "/api/v1/consumers" Consumers;
    /// Rules that hold.
    findings "/api/v1/findings" Findings;
    /// What our own backends are logged in to with.
    connections "/api/v1/connections" Connections;
    /// Places that are probably copies of a credential, by the names that workflows ask for. Nothing acts on one until it is declared.
    proposals "/api/v1/proposals" Proposals;
    /// What policies will have rotated, and when.
    schedules "/api/v1/schedules" Schedules;
}
