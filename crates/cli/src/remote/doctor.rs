use super::{client::Client, unknown};
use crate::{
    args::{DoctorArgs, Global},
    commands::doctor,
    error::{Exit, Result},
};

/// `doctor`: what the service may do.
pub(super) async fn run(global: &Global, client: &Client, args: &DoctorArgs) -> Result<Exit> {
    let query: Vec<_> = args.backend.clone().map(|name| ("backend", name)).into_iter().collect();
    let named: Vec<_> = args.backend.iter().cloned().collect();
    let document = client.get(&["permissions"], &query).await.map_err(|failure| unknown(failure, &named))?;
    doctor::tell(global, &document)
}
