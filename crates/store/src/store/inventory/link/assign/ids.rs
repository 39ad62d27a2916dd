//! Which credential a group or an issuer's ref is: the one that it was, or a new one.

use super::*;

/// The credentials that a page may touch, as they are and as they shall be.
pub(super) struct Ids {
    by_issuer: HashMap<Uuid, Uuid>,
    by_group: HashMap<Uuid, Uuid>,
    /// Credentials without an issuer that members of this page had.
    known: HashMap<Uuid, Known>,
    /// Groups that still have current copies: their credentials are not free for others.
    alive: BTreeSet<Uuid>,
    kinds: HashMap<Uuid, String>,
    new: Vec<credential::Model>,
    settled: BTreeSet<Uuid>,
    moved: Vec<Move>,
    entries: Vec<history::Entry>,
    sum: MergeSummary,
}

#[derive(Debug, Clone, FromQueryResult)]
struct Known {
    id: Uuid,
    at: String,
    issuer_key: Option<Uuid>,
    group_key: Option<Uuid>,
}

#[derive(FromQueryResult)]
struct Group {
    group_key: Uuid,
}

#[derive(FromQueryResult)]
struct Kind {
    id: Uuid,
    kind: String,
}

/// A credential that goes on under another key.
struct Move {
    id: Uuid,
    issuer: Option<(Uuid, String)>,
    group: Option<Uuid>,
    rotated: bool,
}

const KNOWN: &str = "select id, at, issuer_key, group_key from credential where";

impl Ids {
    pub(super) async fn load(
        transaction: &DatabaseTransaction,
        decided: &[(Uuid, Vec<Member>, Vec<Verdict>)],
    ) -> Result<Self> {
        let (mut issuers, mut groups, mut before) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (group, members, verdicts) in decided {
            for (member, verdict) in members.iter().zip(verdicts) {
                match verdict {
                    Verdict::Issuer(issuer, _) => {
                        issuers.insert(key::issued(issuer));
                    }
                    Verdict::Group(_) => {
                        groups.insert(*group);
                    }
                    Verdict::Place => {}
                }
                before.extend(member.before);
            }
        }
        let list = |set: BTreeSet<Uuid>| set.into_iter().collect::<Vec<_>>();
        let (issuers, groups, before) = (list(issuers), list(groups), list(before));
        let mut rows: Vec<Known> =
            sql::rows_for(transaction, &issuers, &[], |ids| format!("{KNOWN} issuer_key in ({ids})")).await?;
        rows.extend(
            sql::rows_for(transaction, &groups, &[], |ids| format!("{KNOWN} group_key in ({ids})")).await?,
        );
        let known: Vec<Known> = sql::rows_for(transaction, &before, &[], |ids| {
            format!("{KNOWN} id in ({ids}) and group_key is not null")
        })
        .await?;
        let theirs: Vec<Uuid> = known.iter().filter_map(|one| one.group_key).collect();
        let alive: Vec<Group> = sql::rows_for(transaction, &theirs, &[], |ids| {
            format!(
                "select distinct group_key from credential_copy where stage = 'current' and gone_at is null \
                 and group_key in ({ids})"
            )
        })
        .await?;
        let kinds: Vec<Kind> = sql::rows_for(transaction, &issuers, &[], |ids| {
            format!("select id, kind from issued_credential where id in ({ids})")
        })
        .await?;
        Ok(Self {
            by_issuer: rows.iter().filter_map(|one| Some((one.issuer_key?, one.id))).collect(),
            by_group: rows.iter().filter_map(|one| Some((one.group_key?, one.id))).collect(),
            known: known.into_iter().map(|one| (one.id, one)).collect(),
            alive: alive.into_iter().map(|group| group.group_key).collect(),
            kinds: kinds.into_iter().map(|kind| (kind.id, kind.kind)).collect(),
            new: Vec::new(),
            settled: BTreeSet::new(),
            moved: Vec::new(),
            entries: Vec::new(),
            sum: MergeSummary::default(),
        })
    }

    /// The credential of an issuer's ref. Where it is new and the group had a credential without an issuer, that one has found its issuer.
    pub(super) fn of_issuer(
        &mut self,
        issuer: &str,
        group: Uuid,
        members: &[Member],
        store: &SeaStore,
        at: DateTime<Utc>,
    ) -> Uuid {
        let issuer_key = key::issued(issuer);
        if let Some(id) = self.by_issuer.get(&issuer_key) {
            return *id;
        }
        let id = match self.free(group, members) {
            Some(known) => {
                let detail = format!("its issuer is {issuer}");
                self.entries.push(history::entry(at, "credential", known.id, &known.at, "changed", detail));
                self.sum.changed += 1;
                let issuer = Some((issuer_key, issuer.to_owned()));
                self.moved.push(Move { id: known.id, issuer, group: None, rotated: false });
                known.id
            }
            None => {
                let kind = self.kinds.get(&issuer_key).map(String::as_str);
                let kind = kind.or_else(|| kind_of(members.iter().map(|member| member.kind.as_str())));
                let made =
                    new_credential(store, at, issuer, kind.unwrap_or("opaque"), Some(issuer_key), None);
                let id = made.id;
                self.new.push(made);
                id
            }
        };
        self.by_issuer.insert(issuer_key, id);
        id
    }

    /// The credential of a group that no issuer claims.
    pub(super) fn of_group(
        &mut self,
        group: Uuid,
        members: &[Member],
        store: &SeaStore,
        at: DateTime<Utc>,
    ) -> Uuid {
        if let Some(id) = self.by_group.get(&group) {
            return *id;
        }
        let id = match self.free(group, members) {
            Some(known) => {
                // From one value to another; not from or to a place of which nothing is known.
                let places: BTreeSet<Uuid> =
                    members.iter().map(|member| key::place_group(&member.at)).collect();
                let rotated = !places.contains(&group)
                    && known.group_key.is_some_and(|before| !places.contains(&before));
                let detail = if rotated { "value" } else { "its copies' values" };
                self.entries.push(history::entry(at, "credential", known.id, &known.at, "changed", detail));
                self.sum.changed += 1;
                self.moved.push(Move { id: known.id, issuer: None, group: Some(group), rotated });
                known.id
            }
            None => {
                let current = members.iter().any(|member| member.current);
                let own = members.iter().filter(|member| member.current == current);
                let place = own.clone().map(|member| member.at.as_str()).min().unwrap_or_default();
                let kind = kind_of(own.map(|member| member.kind.as_str())).unwrap_or("opaque");
                let made = new_credential(store, at, place, kind, None, Some(group));
                let id = made.id;
                self.entries.push(history::entry(at, "credential", id, place, "appeared", ""));
                self.sum.appeared += 1;
                self.settled.insert(id);
                self.new.push(made);
                id
            }
        };
        self.by_group.insert(group, id);
        id
    }

    /// True for a credential of a group that was made for this page: its row says already what settling would find.
    pub(super) fn is_settled(&self, id: Uuid) -> bool {
        self.settled.contains(&id)
    }

    /// The first of the credentials that these copies had whose own group is gone, or is this one. It is taken out.
    fn free(&mut self, group: Uuid, members: &[Member]) -> Option<Known> {
        let had = members.iter().filter_map(|member| self.known.get(&member.before?));
        let free = had.filter(|known| {
            known.group_key.is_some_and(|theirs| theirs == group || !self.alive.contains(&theirs))
        });
        let id = free.min_by(|left, right| (&left.at, left.id).cmp(&(&right.at, right.id)))?.id;
        self.known.remove(&id)
    }

    pub(super) async fn write(
        self,
        transaction: &DatabaseTransaction,
        at: DateTime<Utc>,
    ) -> Result<MergeSummary> {
        for one in self.moved {
            let (issuer_key, place) = match one.issuer {
                Some((key, place)) => (Some(key), Some(place)),
                None => (None, None),
            };
            let backend = place.as_deref().map(|place| Ref::from_text(place).backend().to_owned());
            let rotated = one.rotated.then_some(at);
            let values: Vec<Value> = vec![
                one.id.into(),
                issuer_key.into(),
                one.group.into(),
                rotated.into(),
                place.into(),
                backend.into(),
            ];
            let sql = "update credential set issuer_key = $2, group_key = $3, rotated_at = coalesce($4, rotated_at), \
                 at = coalesce($5, at), backend = coalesce($6, backend), dirty = true where id = $1";
            sql::run(transaction, sql, values).await?;
        }
        insert(transaction, self.new).await?;
        // What was made just now has no interval to end.
        let again = self.entries.iter().filter(|entry| entry.change != "appeared");
        let again: Vec<Uuid> = again.map(|entry| entry.entity_id).collect();
        sql::run_for(transaction, &again, &[at.into()], |ids| {
            format!("update history set valid_to = $1 where valid_to is null and entity_id in ({ids})")
        })
        .await?;
        history::insert(transaction, self.entries).await?;
        Ok(self.sum)
    }
}
