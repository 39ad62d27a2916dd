//! What an operation tells the person who waits for it.

/// Listens to an operation. Called from async code: it must not block.
pub trait Progress: Send + Sync {
    /// A backend was begun.
    fn backend_started(&self, _name: &str) {}
    /// So many more items of a backend were merged.
    fn items(&self, _name: &str, _count: usize) {}
    /// A backend is over.
    fn backend_finished(&self, _name: &str, _status: &str) {}
    /// A saga's step began.
    fn step_started(&self, _subject: &str, _step: &str) {}
    /// A saga's step is over.
    fn step_finished(&self, _subject: &str, _step: &str, _outcome: &str) {}
    /// Should it stop at the next boundary between two steps? What is left is taken up again by whoever resumes it.
    fn should_stop(&self) -> bool {
        false
    }
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}
