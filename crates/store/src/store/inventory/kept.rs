//! What the five tables of things seen have in common.

use claviger_core::reference::Ref;
use sea_orm::{EntityTrait, IdenStatic as _, Iterable as _};
use uuid::Uuid;

use crate::entity::{consumer, copy, identity, issued, privilege};

/// A table of things that scans see.
pub(super) trait Kept: EntityTrait {
    /// Its name.
    const TABLE: &'static str;
    /// What history calls its things.
    const WORD: &'static str;
    /// Whether it has `last_used_at`, which moves without being a change.
    const USED: bool;

    fn id(model: &Self::Model) -> Uuid;
    fn at(model: &Self::Model) -> &str;
    fn digest(model: &Self::Model) -> &[u8];
    fn facts(model: &Self::Model) -> &str;
    fn used(model: &Self::Model) -> Option<chrono::DateTime<chrono::Utc>>;
    /// The row changes nothing about links.
    fn calm(_model: &mut Self::Model) {}
    /// The facts of these names are new.
    fn changed(_model: &mut Self::Model, _names: &[String], _at: chrono::DateTime<chrono::Utc>) {}
}

macro_rules! kept {
    ($entity:ident, $table:literal, $word:literal, used: $used:literal { $($extra:tt)* }) => {
        impl Kept for $entity::Entity {
            const TABLE: &'static str = $table;
            const WORD: &'static str = $word;
            const USED: bool = $used;

            fn id(model: &Self::Model) -> Uuid {
                model.id
            }

            fn at(model: &Self::Model) -> &str {
                &model.at
            }

            fn digest(model: &Self::Model) -> &[u8] {
                &model.digest
            }

            fn facts(model: &Self::Model) -> &str {
                &model.facts
            }

            $($extra)*
        }
    };
}

kept!(identity, "identity", "identity", used: true {
    fn used(model: &Self::Model) -> Option<chrono::DateTime<chrono::Utc>> {
        model.last_used_at
    }
});
kept!(issued, "issued_credential", "credential", used: true {
    fn used(model: &Self::Model) -> Option<chrono::DateTime<chrono::Utc>> {
        model.last_used_at
    }

    fn calm(model: &mut Self::Model) {
        model.dirty = false;
    }

    fn changed(model: &mut Self::Model, names: &[String], at: chrono::DateTime<chrono::Utc>) {
        if names.iter().any(|name| name == "verifier") {
            model.value_changed_at = Some(at);
        }
    }
});
kept!(copy, "credential_copy", "copy", used: true {
    fn used(model: &Self::Model) -> Option<chrono::DateTime<chrono::Utc>> {
        model.last_used_at
    }

    fn calm(model: &mut Self::Model) {
        model.dirty = false;
    }
});
kept!(consumer, "consumer", "consumer", used: false {
    fn used(_model: &Self::Model) -> Option<chrono::DateTime<chrono::Utc>> {
        None
    }
});
kept!(privilege, "privilege", "grant", used: false {
    fn used(_model: &Self::Model) -> Option<chrono::DateTime<chrono::Utc>> {
        None
    }
});

/// The tables, with history's word and whether they have `dirty`.
pub(super) const TABLES: [(&str, &str, bool); 5] = [
    ("identity", "identity", false),
    ("issued_credential", "credential", true),
    ("credential_copy", "copy", true),
    ("consumer", "consumer", false),
    ("privilege", "grant", false),
];

/// What an upsert leaves as it is.
const OURS: [&str; 6] = ["id", "first_seen", "credential_id", "evidence", "dirty", "value_changed_at"];

/// The upsert's second half: everything that the scan saw replaces what was there, and a row once marked for linking stays marked.
pub(super) fn on_conflict<E: Kept>() -> String {
    let table = E::TABLE;
    let rules = E::Column::iter().filter_map(|column| match column.as_str() {
        "dirty" => Some(format!("dirty = {table}.dirty or excluded.dirty")),
        "value_changed_at" => {
            Some(format!("value_changed_at = coalesce(excluded.value_changed_at, {table}.value_changed_at)"))
        }
        ours if OURS.contains(&ours) => None,
        theirs => Some(format!("{theirs} = excluded.{theirs}")),
    });
    format!("on conflict (id) do update set {}", rules.collect::<Vec<_>>().join(", "))
}

/// The first characters of a ref: what lists are ordered by and pages begin after. Longer refs than that share a page.
pub(super) fn sort_key(at: &Ref) -> String {
    at.as_str().chars().take(512).collect()
}

/// The same in SQL; the indexes are over it.
pub(super) const SORT: &str = "substr(at, 1, 512)";
