use std::fmt::Write as _;

use super::client::Client;
use crate::{
    args::{Format, Global, PolicyArgs, PolicyCommand},
    commands::policy,
    error::{Exit, Result},
    output,
};

/// `policy`
pub(super) async fn run(global: &Global, client: &Client, args: &PolicyArgs) -> Result<Exit> {
    match &args.command {
        PolicyCommand::List => {
            let items = client.items(&["policies"], &[]).await?;
            output::list(global, "policies", policy::COLUMNS, &items)?;
        }
        PolicyCommand::Test(test) => {
            let document = client.get(&["credentials", &test.id, "policy"], &[]).await?;
            if !matches!(global.output, Format::Table | Format::Wide) {
                output::document(global, &document)?;
                return Ok(Exit::Done);
            }
            let word = |name: &str| document[name].as_str().unwrap_or_default();
            let mut text = format!("{}\n", word("ref"));
            for tried in document["tried"].as_array().into_iter().flatten() {
                let name = tried["name"].as_str().unwrap_or_default();
                let said = match (document["policy"] == name, tried["matches"] == true) {
                    (true, _) => "holds",
                    (false, true) => "matches, and comes too late",
                    (false, false) => "does not match",
                };
                let _ =
                    writeln!(text, "  {name:<20} {said}: {}", tried["match"].as_str().unwrap_or_default());
            }
            let _ = writeln!(text, "{}", word("why"));
            output::text(&text);
        }
    }
    Ok(Exit::Done)
}
