use anyhow::Result;
use claviger_core::{
    model::CredentialState,
    view::{Reprobe, ReprobeView},
};
use claviger_store::{Inventory as _, LinkEvidence, Merged};

use super::{
    Bench,
    seen::{copy, items, linked, role},
};

const ROLE: &str = "db/role/app";
const KEPT: &str = "kv/a#password";

impl Bench {
    /// Where revoked values lie again; `issuer` for one that is listed again.
    async fn returned(&self) -> Result<Vec<String>> {
        let all = self.store.returned().await?;
        assert!(all.iter().all(|one| one.credential.as_str() == ROLE), "{all:?}");
        assert!(all.iter().all(|one| one.state == CredentialState::RevokedProven), "{all:?}");
        Ok(all.into_iter().map(|one| one.copy.map_or("issuer".to_owned(), |copy| copy.to_string())).collect())
    }
}

pub(crate) async fn what_was_revoked_and_is_there_again_is_told(bench: Bench) -> Result<()> {
    let kept = || linked(copy(KEPT, 1), ROLE, LinkEvidence::Verifier);
    let with_role = |copies| {
        let mut all = vec![Merged::Credential(role(ROLE))];
        all.extend(items(copies));
        all
    };
    bench.scan(with_role([kept()])).await?;
    let credential = bench.credentials().await?.remove(0);
    assert_eq!(credential.at.as_str(), ROLE);
    assert!(bench.returned().await?.is_empty());
    bench.store.record_state(bench.now(), credential.id, CredentialState::RevokedProven, "refused").await?;
    assert!(bench.returned().await?.is_empty(), "what held it then is a leftover");
    // Its issuer no longer lists it; the leftover is still there.
    bench.scan(items([copy(KEPT, 1)])).await?;
    assert!(bench.returned().await?.is_empty());
    // A place that did not hold it then.
    bench.scan(items([copy(KEPT, 1), copy("kv/b#password", 1)])).await?;
    assert_eq!(bench.returned().await?, ["kv/b#password"]);
    // The leftover gets another value, and then the old one again: from a backup.
    bench.scan(items([copy(KEPT, 2)])).await?;
    assert!(bench.returned().await?.is_empty());
    bench.scan(items([copy(KEPT, 1)])).await?;
    assert_eq!(bench.returned().await?, [KEPT]);
    // And its issuer lists it again.
    bench.scan(with_role([copy(KEPT, 2)])).await?;
    assert_eq!(bench.returned().await?, ["issuer"]);
    // Tried again: what that showed stands beside it, until it is revoked once more.
    let tried = |answer, at| ReprobeView { at, answer, evidence: "28P01".to_owned() };
    bench.store.record_reprobe(credential.id, &tried(Reprobe::Unknown, bench.now())).await?;
    bench.store.record_reprobe(credential.id, &tried(Reprobe::AcceptedAgain, bench.now())).await?;
    let told = bench.store.returned().await?;
    assert_eq!(told[0].probe.as_ref().map(|probe| probe.answer), Some(Reprobe::AcceptedAgain), "{told:?}");
    bench.store.record_state(bench.now(), credential.id, CredentialState::RevokedProven, "again").await?;
    assert!(bench.returned().await?.is_empty(), "of the revocation before");
    // Nothing was seen by a scan, and it is accepted.
    bench.clock.advance(chrono::Duration::seconds(1));
    bench.store.record_reprobe(credential.id, &tried(Reprobe::StillRefused, bench.now())).await?;
    assert!(bench.returned().await?.is_empty());
    bench.store.record_reprobe(credential.id, &tried(Reprobe::AcceptedAgain, bench.now())).await?;
    assert_eq!(bench.returned().await?, ["issuer"]);
    Ok(())
}
