//! An HTTP server that answers as told, alone or before another one that it asks for the rest.

use std::sync::Arc;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The header that says who asks: `authorization` or `x-vault-token`.
    pub(crate) who: String,
    pub(crate) body: Vec<u8>,
}

/// Status, content type, body.
pub(crate) type Answer = (u16, &'static str, String);

pub(crate) const JSON: &str = "application/json";
pub(crate) const XML: &str = "text/xml";
pub(crate) const HTML: &str = "text/html";

type Handler = Arc<dyn Fn(&Asked) -> Option<Answer> + Send + Sync>;

/// A running one; it ends with this.
pub(crate) struct Stub {
    pub(crate) address: String,
    task: JoinHandle<()>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stub {
    /// What the handler does not answer is asked of `upstream` (`http://…`), or is 404.
    pub(crate) async fn start(
        upstream: Option<&str>,
        handler: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let (handler, upstream): (Handler, _) = (Arc::new(handler), upstream.map(str::to_owned));
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (handler, upstream) = (Arc::clone(&handler), upstream.clone());
                tokio::spawn(async move { serve(connection, &handler, upstream.as_deref()).await });
            }
        });
        Self { address, task }
    }

    /// One that says the same to everybody.
    pub(crate) async fn always(status: u16, kind: &'static str, body: &str) -> Self {
        let body = body.to_owned();
        Self::start(None, move |_| Some((status, kind, body.clone()))).await
    }
}

/// An address at which nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("its address").to_string()
}

async fn serve(connection: TcpStream, handler: &Handler, upstream: Option<&str>) {
    let mut connection = BufReader::new(connection);
    while let Some(asked) = read(&mut connection).await {
        let (status, kind, body) = match (handler(&asked), upstream) {
            (Some(answer), _) => answer,
            (None, Some(upstream)) => forward(upstream, &asked).await,
            (None, None) => (404, JSON, "{}".to_owned()),
        };
        let head =
            format!("HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        if connection.write_all(head.as_bytes()).await.is_err()
            || connection.write_all(body.as_bytes()).await.is_err()
        {
            return;
        }
    }
}

async fn read(connection: &mut BufReader<TcpStream>) -> Option<Asked> {
    let (mut first, mut length, mut who) = (String::new(), 0, String::new());
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).await.unwrap_or(0) == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap_or(0);
            }
            Some((name, value))
                if name.eq_ignore_ascii_case("authorization")
                    || name.eq_ignore_ascii_case("x-vault-token") =>
            {
                who = value.trim().to_owned();
            }
            _ if first.is_empty() => first = line,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.ok()?;
    let mut words = first.split_whitespace().map(str::to_owned);
    Some(Asked { method: words.next()?, path: words.next()?, who, body })
}

async fn forward(upstream: &str, asked: &Asked) -> Answer {
    let method = reqwest::Method::from_bytes(asked.method.as_bytes()).expect("a method");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = client.request(method, format!("{upstream}{}", asked.path)).body(asked.body.clone());
    if !asked.who.is_empty() {
        request = request.header("x-vault-token", &asked.who);
    }
    let answer = request.send().await.expect("the server behind answers");
    let status = answer.status().as_u16();
    (status, JSON, answer.text().await.expect("a text"))
}
