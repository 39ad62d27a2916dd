use super::client::{Client, typed};
use crate::{
    args::{Global, ShowArgs},
    commands::show,
    error::{Exit, Result},
    output,
};

/// `show`
pub(super) async fn run(global: &Global, client: &Client, args: &ShowArgs) -> Result<Exit> {
    let query: &[_] = if args.ask { &[("ask", "true".to_owned())] } else { &[] };
    let document = client.get(&["credentials", &args.id], query).await?;
    let detail = typed(&document, "a credential")?;
    let reach = typed(&document["blast"], "its radius")?;
    let chain = typed(&document["chain"], "its chain")?;
    let proposals: Vec<_> = typed(&document["proposals"], "what is proposed of it")?;
    show::print(global, &detail, (&reach, &chain, proposals.as_slice()), &document)?;
    if let Some(withheld) = document["withheld"].as_u64() {
        output::remark(global, &format!("{withheld} things about it lie where this token sees nothing"));
    }
    Ok(Exit::Done)
}
