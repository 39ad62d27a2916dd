//! The decision for one group. Pure: the tests are at the end.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::super::facts::{rank, ranked};
use crate::LinkEvidence;

/// A copy of the group: copies of one strong value, or the versions of one place.
#[derive(Debug, Clone, Default)]
pub(super) struct Member {
    pub(super) id: Uuid,
    pub(super) at: String,
    pub(super) current: bool,
    /// For a version that is not current: whether its place has a current one.
    pub(super) follows: bool,
    pub(super) kind: String,
    pub(super) fingerprint: Option<Vec<u8>>,
    /// Its own evidence: the issuer's ref, and how strong (see `facts::rank`).
    pub(super) own: Option<(String, i16)>,
    /// The credential that it had, and how it was known.
    pub(super) before: Option<Uuid>,
    pub(super) evidence: Option<String>,
    /// The issuer's ref that its value was linked to, where the issuer no longer lists it.
    pub(super) lost: Option<String>,
}

/// Where a copy belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// To the credential of this issuer's ref.
    Issuer(String, &'static str),
    /// To the credential of this group.
    Group(&'static str),
    /// To whatever its place belongs to.
    Place,
}

fn is_proof(strength: i16) -> bool {
    ranked(strength).is_some_and(LinkEvidence::is_proof)
}

fn word(strength: i16) -> &'static str {
    ranked(strength).map_or("claimed", LinkEvidence::as_str)
}

/// One verdict per member.
pub(super) fn decide(members: &[Member]) -> Vec<Verdict> {
    let mut votes: BTreeMap<&str, i16> = BTreeMap::new();
    for (issuer, strength) in members.iter().filter_map(|member| member.own.as_ref()) {
        let best = votes.entry(issuer).or_insert(*strength);
        *best = (*best).min(*strength);
    }
    let best = |wanted: &dyn Fn(i16) -> bool| {
        let chosen = votes.iter().filter(|(_, strength)| wanted(**strength));
        chosen
            .min_by_key(|(issuer, strength)| (**strength, **issuer))
            .map(|(issuer, strength)| ((*issuer).to_owned(), *strength))
    };
    if let Some((proven, _)) = best(&is_proof) {
        return members
            .iter()
            .map(|member| match &member.own {
                Some((issuer, strength)) if is_proof(*strength) => {
                    Verdict::Issuer(issuer.clone(), word(*strength))
                }
                // Two issuers are proven for this value, and this copy names one of them.
                Some((issuer, _))
                    if votes.get(issuer.as_str()).is_some_and(|strength| is_proof(*strength)) =>
                {
                    Verdict::Issuer(issuer.clone(), "fingerprint")
                }
                _ => Verdict::Issuer(proven.clone(), "fingerprint"),
            })
            .collect();
    }
    if let Some((claimed, strength)) = best(&|_| true) {
        return members
            .iter()
            .map(|member| match &member.own {
                Some((issuer, strength)) => Verdict::Issuer(issuer.clone(), word(*strength)),
                // The tie to the others is certain, the tie of all to the issuer is not.
                None => Verdict::Issuer(claimed.clone(), word(strength)),
            })
            .collect();
    }
    if let Some(lost) = members.iter().filter_map(|member| member.lost.as_ref()).min() {
        let known = |member: &Member| {
            let before = member.evidence.as_deref().filter(|_| member.lost.is_some());
            (0..=rank(LinkEvidence::Claimed))
                .map(word)
                .find(|word| Some(*word) == before)
                .unwrap_or("fingerprint")
        };
        return members.iter().map(|member| Verdict::Issuer(lost.clone(), known(member))).collect();
    }
    let alone = members.windows(2).all(|pair| pair[0].at == pair[1].at);
    let evidence = if alone { "alone" } else { "fingerprint" };
    let current = members.iter().any(|member| member.current);
    members
        .iter()
        .map(|member| if current || !member.follows { Verdict::Group(evidence) } else { Verdict::Place })
        .collect()
}

/// The kind of several copies' credential: the most telling word.
pub(in super::super) fn kind_of<'a>(kinds: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // What was recognised by its form tells more than what a key's name suggests.
    let telling = |kind: &str| match kind {
        "opaque" => 0,
        "password" => 1,
        "token" | "webhook-secret" => 2,
        "api-key" => 3,
        "registry" => 4,
        _ => 5,
    };
    kinds.max_by(|left, right| (telling(left), right).cmp(&(telling(right), left)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(own: Option<(&str, LinkEvidence)>) -> Member {
        let own = own.map(|(issuer, evidence)| (issuer.to_owned(), rank(evidence)));
        Member { current: true, own, ..Member::default() }
    }

    fn issuers(members: &[Member]) -> Vec<(String, &'static str)> {
        let verdicts = decide(members).into_iter();
        verdicts
            .map(|verdict| match verdict {
                Verdict::Issuer(issuer, evidence) => (issuer, evidence),
                other => (format!("{other:?}"), ""),
            })
            .collect()
    }

    #[test]
    fn proof_for_one_member_takes_the_whole_group_and_beats_a_claim() {
        let group = [
            member(Some(("db/role/wrong", LinkEvidence::Claimed))),
            member(Some(("db/role/app", LinkEvidence::Verifier))),
            member(None),
        ];
        let expected =
            [("db/role/app", "fingerprint"), ("db/role/app", "verifier"), ("db/role/app", "fingerprint")];
        assert_eq!(issuers(&group), expected.map(|(issuer, word)| (issuer.to_owned(), word)));
    }

    #[test]
    fn of_two_proven_issuers_each_copy_goes_to_the_one_that_it_names() {
        let group = [
            member(Some(("db/role/b", LinkEvidence::Verifier))),
            member(Some(("db/role/a", LinkEvidence::Login))),
            member(Some(("db/role/a", LinkEvidence::Claimed))),
            member(None),
        ];
        let found = issuers(&group);
        let expected = ["db/role/b", "db/role/a", "db/role/a", "db/role/b"];
        assert_eq!(found.iter().map(|(issuer, _)| issuer.as_str()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_claim_holds_for_the_group_and_stays_a_claim() {
        let group = [member(None), member(Some(("db/role/app", LinkEvidence::Claimed)))];
        assert_eq!(
            issuers(&group),
            [("db/role/app".to_owned(), "claimed"), ("db/role/app".to_owned(), "claimed")]
        );
    }

    #[test]
    fn a_group_without_an_issuer_is_its_own_and_only_former_members_follow_their_place() {
        assert_eq!(decide(&[member(None)]), [Verdict::Group("alone")]);
        let former = Member { at: "b".to_owned(), current: false, follows: true, ..Member::default() };
        let orphan = Member { current: false, follows: false, ..Member::default() };
        assert_eq!(decide(&[former.clone(), orphan]), [Verdict::Place, Verdict::Group("fingerprint")]);
        let both = decide(&[former, member(None)]);
        assert_eq!(both, [Verdict::Group("fingerprint"), Verdict::Group("fingerprint")]);
    }

    #[test]
    fn the_most_telling_kind_wins_and_a_tie_has_one_winner() {
        assert_eq!(kind_of(["opaque", "password", "opaque"].into_iter()), Some("password"));
        assert_eq!(kind_of(["password", "ssh-key"].into_iter()), Some("ssh-key"));
        assert_eq!(
            kind_of(["ssh-key", "certificate"].into_iter()),
            kind_of(["certificate", "ssh-key"].into_iter())
        );
        assert_eq!(kind_of(std::iter::empty()), None);
    }
}
