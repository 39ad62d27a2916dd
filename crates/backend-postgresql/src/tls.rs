//! TLS as libpq's `sslmode` means it: <https://www.postgresql.org/docs/current/libpq-ssl.html>.

use std::{path::Path, sync::Arc};

use claviger_backend::{Error, ErrorKind, Result};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsMode {
    /// Never.
    Disable,
    /// If the server offers it, unverified; else in the clear.
    Prefer,
    /// Always. Verified up to the authority when one is configured, as libpq does; else only encrypted.
    Require,
    /// Always, and an authority we trust signed the certificate.
    VerifyCa,
    /// Always, and the certificate is for this host.
    VerifyFull,
}

impl TlsMode {
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// What is said to the server: everything from `require` up ends the attempt when the server has no TLS.
    pub(crate) const fn negotiation(self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        }
    }
}

/// How much of a certificate is believed without proof. The handshake's signature is always checked, so that SCRAM's
/// channel binding means something even where the authority is not.
#[derive(Debug)]
enum Trust {
    /// Any certificate.
    Anyone,
    /// Any name, but an authority that we trust.
    AnyName(Arc<WebPkiServerVerifier>),
}

#[derive(Debug)]
struct Lenient {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Trust::AnyName(inner) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The TLS side of connections to one server.
///
/// # Errors
/// `Config`: the file of authorities cannot be read or holds none; or none are to be had and the mode needs them.
pub(crate) fn connector(name: &str, mode: TlsMode, ca: Option<&Path>) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has the default protocol versions");
    let lenient = |trust| Arc::new(Lenient { trust, provider: Arc::clone(&provider) });
    let chain = |roots: RootCertStore| {
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().map_err(
            |source| {
                refuse(name, "the authorities cannot be used", "put PEM certificates into it")
                    .with_source(source)
            },
        )
    };
    let config = match (mode, ca) {
        (TlsMode::Disable | TlsMode::Prefer, _) | (TlsMode::Require, None) => {
            builder.dangerous().with_custom_certificate_verifier(lenient(Trust::Anyone)).with_no_client_auth()
        }
        (TlsMode::Require | TlsMode::VerifyCa, _) => {
            let trust = Trust::AnyName(chain(roots(name, ca)?)?);
            builder.dangerous().with_custom_certificate_verifier(lenient(trust)).with_no_client_auth()
        }
        (TlsMode::VerifyFull, _) => {
            builder.with_webpki_verifier(chain(roots(name, ca)?)?).with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn refuse(name: &str, what: &str, hint: &str) -> Error {
    Error::new(ErrorKind::Config, "connect", format!("backends.{name}.ca: {what}")).with_hint(hint)
}

fn roots(name: &str, ca: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(refuse(
                name,
                "the operating system has no certificate authorities",
                "set `ca` to a PEM file",
            ));
        }
        return Ok(roots);
    };
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|_| {
        refuse(name, &format!("{} cannot be read as PEM", path.display()), "check path and content")
    })?;
    for certificate in certificates {
        roots.add(certificate).map_err(|_| {
            refuse(
                name,
                &format!("{} holds a certificate that is no authority", path.display()),
                "check its content",
            )
        })?;
    }
    if roots.is_empty() {
        return Err(refuse(
            name,
            &format!("{} holds no certificate", path.display()),
            "put PEM certificates into it",
        ));
    }
    Ok(roots)
}
