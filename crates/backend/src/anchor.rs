//! Objects that tokens are bound to. Such a token lies nowhere and its issuer keeps no list: it ends by itself, or with its object.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{reference::Ref, secret::SecretValue};

use crate::{Operation, Result};

/// What becomes of an object that tokens are bound to when it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// We make it again, under its name and as it was (a ServiceAccount).
    Remade,
    /// Whoever made it makes another one, or nobody does (a pod).
    Left,
}

/// An object that tokens are bound to, as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anchored {
    /// Another one after the object was made again.
    pub presence: String,
    /// Why it is not ended: a stable code, and what to do instead.
    pub refused: Option<(&'static str, String)>,
    /// Who makes another one when it is gone.
    pub remade_by: Option<String>,
    /// Whose tokens are bound to it: of an account itself.
    pub account: Option<Ref>,
    /// What runs with tokens that are bound to it, and who makes another one of that.
    pub users: Vec<(Ref, Option<String>)>,
    /// What the reader of a plan should know.
    pub notes: Vec<String>,
}

/// A token of our own.
pub struct Sample {
    /// The token.
    pub value: SecretValue,
    /// When it ends by itself: from then on its refusal shows nothing.
    pub ends_at: DateTime<Utc>,
}

/// Is the object there?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is, with this presence token.
    There(String),
    /// The one with this presence token is being ended.
    Ending(String),
    /// It is not.
    Absent,
}

/// Where tokens are bound to objects. A login with one is [`Issuer::verify`](crate::Issuer::verify) of the object's ref.
#[async_trait]
pub trait Anchors: Send + Sync {
    /// Are tokens bound to such an object, and what becomes of it? Constant for one ref, and nobody is asked.
    fn anchor(&self, subject: &Ref) -> Option<Anchor>;

    /// How it is now. Changes nothing. Absent: `NotFound`.
    async fn anchored(&self, subject: &Ref) -> Result<Anchored>;

    /// Is it there?
    async fn standing(&self, subject: &Ref) -> Result<Standing>;

    /// A token bound to the object with this presence token, which ends by itself after so many seconds, or after as long as the issuer wants
    /// it to last at least. Leaves nothing behind but that token. Another one is there: `Conflict`. Repeat: another token.
    async fn sample(&self, subject: &Ref, expect: &str, seconds: u32) -> Result<Sample>;

    /// The object with this presence token in the form that [`Anchors::remake`] takes. Another one is there: `Conflict`.
    async fn record(&self, subject: &Ref, expect: &str) -> Result<SecretValue>;

    /// Ends the object with this presence token. It may take its time: [`Anchors::standing`] tells. Absent: success. Another one is there:
    /// `Conflict`, and nothing is changed. Cancellation: effect unknown.
    async fn end(&self, op: &Operation, subject: &Ref, expect: &str) -> Result<()>;

    /// Makes it again as it was, where the one with the presence token `former` is gone; gives its presence token. One that is there already,
    /// by a repeat or because the system itself makes such objects, is given what is recorded. The former one is still there: `Conflict`.
    /// Cancellation: effect unknown; a repeat is safe.
    async fn remake(
        &self,
        op: &Operation,
        subject: &Ref,
        record: &SecretValue,
        former: &str,
    ) -> Result<String>;
}
