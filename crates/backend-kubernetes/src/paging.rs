//! Reading a collection page by page in flat memory.

use std::collections::BTreeSet;

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::Scope,
    observation::{Content, Observation},
};

use crate::{
    buffer::Buffer,
    connection::{Ask, Connection},
    failure::Failure,
    resource::Resource,
};

/// What a page should weigh.
const TARGET_BYTES: usize = 4 << 20;
/// What a page may weigh: an answer is dropped there, and the page asked for again, smaller.
const MOST_BYTES: usize = 2 * TARGET_BYTES;
const FIRST_ITEMS: usize = 64;
const MOST_ITEMS: usize = 500;
/// How much a page may grow over the one before: one light page says little about the next.
const GROWTH: usize = 4;
/// How often a list that became too old is begun anew.
const RESTARTS: u32 = 3;
const ATTEMPTS: u32 = 4;
/// A message of the sink: the engine merges one per transaction.
const MESSAGE_ITEMS: usize = 512;
const MESSAGE_BYTES: usize = 1 << 20;

/// How many items to ask for next, learnt from what the last page weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageSize(usize);

impl PageSize {
    pub(crate) const fn first() -> Self {
        Self(FIRST_ITEMS)
    }

    pub(crate) fn items(self) -> usize {
        self.0
    }

    /// A page of `items` weighed `bytes`.
    pub(crate) fn learn(&mut self, items: usize, bytes: usize) {
        if let Some(each) = bytes.checked_div(items) {
            self.0 = (TARGET_BYTES / each.max(1)).clamp(1, MOST_ITEMS).min(self.0.saturating_mul(GROWTH));
        }
    }

    /// A page was too heavy. `false` when it was a single object.
    pub(crate) fn shrink(&mut self) -> bool {
        let possible = self.0 > 1;
        self.0 = (self.0 / 8).max(1);
        possible
    }
}

/// Observations on their way to the sink, by scope.
#[derive(Default)]
pub(crate) struct Batch {
    runs: Vec<(Scope, Vec<Observation>)>,
}

impl Batch {
    /// Adds an observation of an area; neighbours of the same scope travel together.
    pub(crate) fn push(&mut self, area: &str, part: &str, observation: Observation) {
        match self.runs.last_mut() {
            Some((scope, items)) if scope.area == area && scope.part == part => items.push(observation),
            _ => self.runs.push((Scope::new(area, part), vec![observation])),
        }
    }

    pub(crate) async fn send(self, sink: &mut ScanSink) -> Result<()> {
        for (scope, items) in self.runs {
            let mut message = Vec::new();
            let mut bytes = 0;
            for item in items {
                bytes += weight(&item);
                message.push(item);
                if bytes >= MESSAGE_BYTES || message.len() >= MESSAGE_ITEMS {
                    sink.page(&scope, std::mem::take(&mut message)).await?;
                    bytes = 0;
                }
            }
            sink.page(&scope, message).await?;
        }
        Ok(())
    }
}

fn weight(observation: &Observation) -> usize {
    match observation {
        Observation::Copy(copy) => match &copy.content {
            Content::Value(value) => value.len(),
            Content::Unreadable(_) => 0,
        },
        _ => 0,
    }
}

/// How many items a page had, and the token of the next.
type PageRead = Result<(usize, Option<String>), Failure>;

/// Turns the JSON of a page into observations.
pub(crate) trait PageReader: Send {
    /// Reads one page: how many items it had, and the token of the next.
    fn read(&mut self, body: &[u8], batch: &mut Batch) -> PageRead;
}

/// Reads a whole collection, in one namespace or in all. What the API server refuses is the inner result. `areas` learns where the
/// observations belong.
///
/// While one page is on its way to the sink the next is already being asked for. A list whose continue token expired is begun anew:
/// a consistent list is worth more than one that was stitched together, and a repeated observation does no harm.
pub(crate) async fn read_collection(
    connection: &Connection,
    resource: Resource,
    namespace: Option<&str>,
    fields: Option<&str>,
    reader: &mut dyn PageReader,
    areas: &mut BTreeSet<String>,
    sink: &mut ScanSink,
) -> Result<Result<(), Failure>> {
    let mut fetcher = Fetcher {
        connection,
        path: resource.collection(namespace),
        fields: fields.map(escape),
        size: PageSize::first(),
        // All of it at once, so that it never moves; memory that is not written to costs nothing.
        buffer: Buffer::with_capacity(MOST_BYTES),
    };
    let mut restarts = 0;
    let mut token: Option<String> = None;
    let mut fetched = fetcher.fetch(None).await;
    loop {
        match fetched {
            Ok(()) => {}
            Err(failure) if failure.is_gone() && token.is_some() && restarts < RESTARTS => {
                restarts += 1;
                tracing::debug!(
                    resource = resource.plural,
                    restarts,
                    "the list became too old while it was read: again from its start"
                );
                token = None;
                fetched = fetcher.fetch(None).await;
                continue;
            }
            Err(failure) => return Ok(Err(failure)),
        }
        let mut batch = Batch::default();
        let (items, next) = match reader.read(&fetcher.buffer, &mut batch) {
            Ok(read) => read,
            Err(failure) => return Ok(Err(failure)),
        };
        areas.extend(batch.runs.iter().map(|(scope, _)| scope.area.clone()));
        fetcher.size.learn(items, fetcher.buffer.len());
        tracing::debug!(resource = resource.plural, items, bytes = fetcher.buffer.len(), "a page");
        // A server that hands out the same token twice would keep us for ever.
        if next.is_some() && next == token {
            return Ok(Err(Failure::Malformed("it repeats a page".to_owned())));
        }
        token = next;
        if token.is_none() {
            batch.send(sink).await?;
            return Ok(Ok(()));
        }
        let (sent, then) = tokio::join!(batch.send(sink), fetcher.fetch(token.as_deref()));
        sent?;
        fetched = then;
    }
}

/// Reads a whole collection outside of a scan: each page goes to `read`, which says how many items it had and gives the token of the next.
/// A list that became too old is begun anew, so an item may come twice.
pub(crate) async fn each_page(
    connection: &Connection,
    resource: Resource,
    namespace: Option<&str>,
    read: &mut (dyn FnMut(&[u8]) -> PageRead + Send),
) -> Result<(), Failure> {
    let mut fetcher = Fetcher {
        connection,
        path: resource.collection(namespace),
        fields: None,
        size: PageSize::first(),
        buffer: Buffer::with_capacity(MOST_BYTES),
    };
    let (mut restarts, mut token): (_, Option<String>) = (0, None);
    loop {
        match fetcher.fetch(token.as_deref()).await {
            Ok(()) => {}
            Err(failure) if failure.is_gone() && token.is_some() && restarts < RESTARTS => {
                restarts += 1;
                token = None;
                continue;
            }
            Err(failure) => return Err(failure),
        }
        let (items, next) = read(&fetcher.buffer)?;
        fetcher.size.learn(items, fetcher.buffer.len());
        if next.is_some() && next == token {
            return Err(Failure::Malformed("it repeats a page".to_owned()));
        }
        token = next;
        if token.is_none() {
            return Ok(());
        }
    }
}

struct Fetcher<'c> {
    connection: &'c Connection,
    path: String,
    fields: Option<String>,
    size: PageSize,
    buffer: Buffer,
}

impl Fetcher<'_> {
    async fn fetch(&mut self, token: Option<&str>) -> Result<(), Failure> {
        let mut attempt = 0;
        loop {
            let mut path = format!("{}?limit={}", self.path, self.size.items());
            if let Some(fields) = &self.fields {
                path.push_str("&fieldSelector=");
                path.push_str(fields);
            }
            if let Some(token) = token {
                path.push_str("&continue=");
                path.push_str(&escape(token));
            }
            let failure = match self.connection.ask_into(Ask::get(path), MOST_BYTES, &mut self.buffer).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if matches!(failure, Failure::TooLarge { .. }) && self.size.shrink() {
                continue;
            }
            attempt += 1;
            match failure.pause(attempt) {
                Some(pause) if attempt < ATTEMPTS => tokio::time::sleep(pause).await,
                _ => return Err(failure),
            }
        }
    }
}

/// Percent-encodes for a query (RFC 3986, unreserved characters stay).
pub(crate) fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_objects_make_the_page_grow_to_its_most() {
        let mut size = PageSize::first();
        let mut asked = vec![size.items()];
        for _ in 0..3 {
            size.learn(size.items(), size.items() * 1500);
            asked.push(size.items());
        }
        assert_eq!(asked, [64, 256, 500, 500]);
    }

    #[test]
    fn objects_of_900_kib_make_it_shrink_to_a_few() {
        let mut size = PageSize::first();
        let each = 1_230_000;
        // 64 of them would weigh 75 MiB.
        while size.items() * each > MOST_BYTES {
            assert!(size.shrink());
        }
        size.learn(size.items(), size.items() * each);
        size.learn(size.items(), size.items() * each);
        assert!((2..=4).contains(&size.items()), "{size:?}");
        assert!(size.items() * each <= MOST_BYTES);
    }

    #[test]
    fn one_object_that_is_too_heavy_ends_the_shrinking() {
        let mut size = PageSize(1);
        assert!(!size.shrink());
        size.learn(1, usize::MAX);
        assert_eq!(size.items(), 1);
        size.learn(0, 0);
        assert_eq!(size.items(), 1);
    }

    #[test]
    fn a_continue_token_is_escaped() {
        assert_eq!(escape("aZ0-._~+/=&?"), "aZ0-._~%2B%2F%3D%26%3F");
    }
}
