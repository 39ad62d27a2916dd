use axum::extract::State;

use super::{
    Context,
    caller::Caller,
    input::{self, Paged, Query},
    page::{self, Listed},
    problem::{Answer, Body},
};
use crate::{
    access::{Subject, Verb},
    document::list::{self, Thing},
};

/// What others are to be told, and were not yet or could not be, the oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/notifications",
    params(Paged),
    responses(
        (status = 200, description = "A page", body = Listed),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "audit"
)]
pub(super) async fn list(
    State(context): State<Context>,
    caller: Caller,
    Query(paged): Query<Paged>,
) -> Answer<Listed> {
    caller.must(Verb::Audit, &Subject::Estate)?;
    let limit = input::limit(paged.limit)?;
    let asked = list::Asked::default();
    let thing = Thing::Notifications;
    let items = list::items(&context.scheduler().engine, thing, &asked, caller.sight(Verb::Audit)).await?;
    page::cut(thing.name(), items, thing.identity(), limit, paged.cursor.as_deref())
}
