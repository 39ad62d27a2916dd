use async_trait::async_trait;

use crate::Result;

/// What a commit has left to be done by somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hint {
    /// There is a firing that may be taken.
    Firing,
    /// There is a saga that nobody drives.
    Saga,
    /// What is planned is to be compared anew with what is wanted.
    Plan,
}

impl Hint {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Firing, Self::Saga, Self::Plan];

    /// Its word on the wire. Never changed: processes of two versions may share a database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Saga => "saga",
            Self::Plan => "plan",
        }
    }

    /// The hint of this word; `None` for one that another version may know.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hint| hint.as_str() == word)
    }
}

/// Hints that there is work, from one process on the database to all others. They come at once or never: whoever hears one looks at the database, and
/// looks without one too, a moment later.
///
/// At PostgreSQL they are its notifications, sent with the commit that they tell of. SQLite has none: nobody hears anything.
#[async_trait]
pub trait Hints: Send + Sync {
    /// Tells everybody who listens. Repeat is harmless.
    async fn tell(&self, hint: Hint) -> Result<()>;

    /// Hears hints for as long as it is polled, and never ends: a connection that is lost is made anew, a little later each time that it fails. After each
    /// beginning all hints are heard once, as nobody knows what was told before. Dropped, it hears no more.
    async fn listen(&self, heard: &(dyn Fn(Hint) + Send + Sync));
}
