use std::{error::Error as StdError, fmt, time::Duration};

/// How long a system is left alone that has no room and does not say for how long.
const UNSAID: Duration = Duration::from_secs(30);
/// What it may ask for at the most: a slip of its clock must not close it for days.
const LONGEST: Duration = Duration::from_secs(3600);

/// Result of a backend call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The object does not exist, where absence is not an answer.
    NotFound,
    /// The expectation did not hold: somebody else wrote.
    Conflict,
    /// Authenticated, and not allowed.
    Denied,
    /// Our own credential was not accepted.
    Unauthenticated,
    /// Too many requests.
    RateLimited,
    /// The system refused the value or the request as malformed or against its policy.
    Invalid,
    /// This backend cannot do that.
    Unsupported,
    /// Unreachable, sealed, starting, TLS or time-out.
    Unavailable,
    /// The configuration cannot be used as it is.
    Config,
    /// Anything that the backend did not foresee.
    Unexpected,
}

/// May the same call be made again?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It will fail again.
    Permanent,
    /// It may succeed later.
    Temporary,
    /// It was retried and still fails: an outer layer must not multiply.
    Persistent,
}

/// Did the call change the target? What decides between retry, observe and stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Certainly not.
    NotApplied,
    /// Certainly.
    Applied,
    /// Not known: never retried blindly. Observe, and decide.
    Unknown,
}

/// A backend's error. Never holds a secret, nor a body that a vendor sent.
pub struct Error {
    kind: ErrorKind,
    retry: Retry,
    effect: Effect,
    operation: &'static str,
    message: String,
    hint: Option<String>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error with no effect at the target; temporary for [`ErrorKind::Unavailable`] and [`ErrorKind::RateLimited`], else permanent.
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::Unavailable | ErrorKind::RateLimited => Retry::Temporary,
            _ => Retry::Permanent,
        };
        Self {
            kind,
            retry,
            effect: Effect::NotApplied,
            operation,
            message: message.into(),
            hint: None,
            retry_after: None,
            source: None,
        }
    }

    /// The call may have been carried out although no answer came.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Overrides the retry class.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// What the reader can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// How long the system asked us to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Keeps the cause. The caller must know that its text holds no secret.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// May it be tried again?
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// Did it change the target?
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Which operation failed, e.g. `issue`.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// One sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// How long the system asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// How long the system is to be left alone, where it has no room: what it asked for, at most an hour; 30 s where it did not say.
    pub fn rest(&self) -> Option<Duration> {
        (self.kind == ErrorKind::RateLimited).then(|| self.retry_after.unwrap_or(UNSAID).min(LONGEST))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}/{:?} {}: {}", self.kind, self.retry, self.effect, self.operation, self.message)?;
        match &self.source {
            Some(source) => write!(f, " (source: {source})"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
