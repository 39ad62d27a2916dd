//! Passwords at PostgreSQL, and at servers that speak its protocol and say one thing to everybody.

use std::sync::Arc;

use claviger_backend::Backend as _;
use claviger_backend_postgresql::{PostgresqlBackend, PostgresqlConfig};
use claviger_core::{clock::SystemClock, reference::Ref, secret::SecretValue};
use claviger_tests::{lab::postgres::Postgres, require_lab};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{Row, ask, judged, stub::nobody};

const PROVER: &str = "PostgreSQL password";

fn backend(url: &str, password: &str) -> PostgresqlBackend {
    let password = SecretValue::from_text(password.to_owned());
    PostgresqlBackend::new("db", PostgresqlConfig::new(url, Some(password)), Arc::new(SystemClock))
        .expect("a usable configuration")
}

async fn at(
    backend: &PostgresqlBackend,
    cause: &'static str,
    genuine: bool,
    (role, value): (&str, &str),
) -> Row {
    let issuer = backend.issuer().expect("an issuer");
    ask(PROVER, cause, genuine, issuer, (&Ref::new("db", ["role", role]), value)).await
}

/// A server that answers each login with this SQLSTATE (PostgreSQL documentation, "Message Formats": ErrorResponse).
async fn refusing(code: &'static str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let task = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(async move { refuse(connection, code).await });
        }
    });
    (address, task)
}

async fn refuse(mut connection: TcpStream, code: &str) -> Option<()> {
    loop {
        let length = connection.read_u32().await.ok()? as usize;
        let mut message = vec![0; length.checked_sub(4)?];
        connection.read_exact(&mut message).await.ok()?;
        // SSLRequest and GSSENCRequest are answered with `N`; anything else is the startup message.
        match message.get(..4)? {
            [0x04, 0xd2, 0x16, 0x2f | 0x30] => connection.write_all(b"N").await.ok()?,
            _ => break,
        }
    }
    let mut fields = Vec::new();
    for (kind, text) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', code), (b'M', "no")] {
        fields.push(kind);
        fields.extend(text.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    let length = u32::try_from(fields.len() + 4).ok()?;
    let answer = [&b"E"[..], &length.to_be_bytes(), &fields].concat();
    connection.write_all(&answer).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_servers_own_refusal_of_a_password_is_one() {
    let server = require_lab!(Postgres::start().await);
    let client = server.connect("postgres").await.expect("the superuser's login");
    client
        .batch_execute(
            "CREATE ROLE plain LOGIN PASSWORD 'right'; CREATE ROLE locked NOLOGIN PASSWORD 'right';
             CREATE ROLE full LOGIN PASSWORD 'right' CONNECTION LIMIT 0;
             CREATE ROLE late LOGIN PASSWORD 'right' VALID UNTIL '2020-01-01'",
        )
        .await
        .expect("the seed");
    let url = |options: &str| format!("postgres://postgres@127.0.0.1:{}/postgres{options}", server.port());
    let real = backend(&url(""), server.password());
    let mut rows = Vec::new();
    for (cause, genuine, role, value) in [
        ("nothing has happened", false, "plain", "right"),
        ("the server refuses the password, and not us", true, "plain", "wrong"),
        ("NOLOGIN, and the password is right", false, "locked", "right"),
        ("NOLOGIN, and it is wrong", false, "locked", "wrong"),
        ("full role: 53300", false, "full", "right"),
        ("VALID UNTIL is over", false, "late", "right"),
        ("VALID UNTIL is over, and it is wrong", false, "late", "wrong"),
        ("no such role", false, "nobody_here", "right"),
    ] {
        rows.push(at(&real, cause, genuine, (role, value)).await);
    }
    // We cannot look at the role: nothing tells that the refusal was about the password.
    let blind = backend(&url(""), "not the superuser's password");
    rows.push(at(&blind, "wrong host: it refuses us too", false, ("plain", "wrong")).await);
    let missing = format!("postgres://postgres@127.0.0.1:{}/missing", server.port());
    rows.push(
        at(&backend(&missing, server.password()), "no such database: 3D000", false, ("plain", "wrong")).await,
    );
    let secure = backend(&url("?sslmode=require"), server.password());
    rows.push(at(&secure, "TLS failure: the server speaks none", false, ("plain", "wrong")).await);

    for (cause, code) in [
        ("wrong host: 28P01 for everybody", "28P01"),
        ("403's like: 28000 (pg_hba.conf)", "28000"),
        ("throttled: 53300 for everybody", "53300"),
        ("not serving (as sealed): 57P03", "57P03"),
        ("may not connect: 42501", "42501"),
        ("a pooler's own error: 08P01", "08P01"),
    ] {
        let (address, task) = refusing(code).await;
        let other = backend(&format!("postgres://postgres@{address}/postgres"), "any");
        rows.push(at(&other, cause, false, ("plain", "wrong")).await);
        task.abort();
    }
    let down = backend(&format!("postgres://postgres@{}/postgres", nobody().await), "any");
    rows.push(at(&down, "target down", false, ("plain", "wrong")).await);
    println!("{}", judged(&rows, 18));
}
