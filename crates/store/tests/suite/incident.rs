use anyhow::Result;
use chrono::Duration;
use claviger_core::{
    id::{CredentialId, IncidentId},
    incident::Note,
    reference::Ref,
};
use claviger_store::{AuditLog as _, Incidents as _, NewIncident};
use sea_orm::ConnectionTrait as _;
use uuid::Uuid;

use super::{Bench, audit::draft};

fn new(number: u128) -> NewIncident {
    NewIncident {
        id: IncidentId(Uuid::from_u128(number)),
        title: "leaked in a gist é\0".to_owned(),
        exposed_at: Some(super::start() - Duration::hours(3)),
        actor: "dana@desk".to_owned(),
    }
}

fn concerned(number: u128) -> Note {
    Note::Concerned {
        credential: CredentialId(Uuid::from_u128(number)),
        at: Ref::from_text(format!("db/role/{number}")),
    }
}

fn closed() -> Note {
    Note::Closed { note: "over".to_owned(), unresolved: None, open: Vec::new() }
}

fn with(note: Note) -> (Note, claviger_core::audit::AuditDraft) {
    (note, draft("incident"))
}

pub(crate) async fn an_incident_is_read_back_with_its_notes_in_order(bench: Bench) -> Result<()> {
    bench.store.open_incident(&new(1), vec![with(Note::Opened), with(concerned(5))]).await?;
    bench.clock.advance(Duration::minutes(1));
    let numbers = bench.store.note_incident(new(1).id, "eve@desk", vec![with(concerned(6))]).await?;
    assert_eq!(numbers.map(|numbers| numbers[0].0), Some(3));
    bench.store.open_incident(&new(2), vec![with(Note::Opened)]).await?;
    let all = bench.store.incidents().await?;
    assert_eq!(
        all.iter().map(|incident| incident.id.0.as_u128()).collect::<Vec<_>>(),
        [2, 1],
        "newest first"
    );
    let first = &all[1];
    assert_eq!((first.title.as_str(), first.opened_by.as_str()), ("leaked in a gist é\u{fffd}", "dana@desk"));
    assert_eq!((first.exposed_at, first.opened_at), (new(1).exposed_at, super::start()));
    assert_eq!(
        first.notes.iter().map(|noted| noted.note.clone()).collect::<Vec<_>>(),
        [Note::Opened, concerned(5), concerned(6)]
    );
    assert_eq!((first.notes[2].actor.as_str(), first.notes[2].at), ("eve@desk", bench.now()));
    assert_eq!(bench.store.head().await?.0.0, 4);
    Ok(())
}

pub(crate) async fn nothing_is_noted_of_one_that_is_closed_or_not_there(bench: Bench) -> Result<()> {
    assert_eq!(bench.store.note_incident(new(1).id, "a", vec![with(Note::Opened)]).await?, None);
    bench.store.open_incident(&new(1), vec![with(Note::Opened)]).await?;
    assert!(bench.store.note_incident(new(1).id, "a", vec![with(closed())]).await?.is_some());
    for note in [concerned(5), closed()] {
        assert_eq!(bench.store.note_incident(new(1).id, "a", vec![with(note)]).await?, None);
    }
    assert_eq!((bench.count("incident_note").await?, bench.store.head().await?.0.0), (2, 2));
    Ok(())
}

pub(crate) async fn the_database_refuses_to_change_or_delete_one(bench: Bench) -> Result<()> {
    bench.store.open_incident(&new(1), vec![with(Note::Opened)]).await?;
    let raw = bench.raw().await?;
    for attempt in [
        "update incident set opened_at = exposed_at",
        "delete from incident",
        "update incident_note set actor = 'mallory'",
        "delete from incident_note",
    ] {
        let refused = raw.execute_unprepared(attempt).await.expect_err(attempt).to_string();
        assert!(refused.contains("append-only"), "{attempt}: {refused}");
    }
    Ok(())
}
