//! The SDK's errors in the contract's words. A service's message may quote what was sent, so only its code is kept.

use std::{error::Error as StdError, time::Duration};

use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use claviger_backend::{Effect, Error, ErrorKind, Result, Retry};

/// What an answer to a request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The key is not accepted: unknown, inactive, deleted, or another secret.
    Key,
    /// Our clock and theirs differ too much for any signature to hold.
    Clock,
    /// Authenticated, and not allowed.
    Denied,
    /// Too many requests.
    Throttled,
    /// Not there.
    Missing,
    /// Somebody was there before us.
    Conflict,
    /// As many as there may be.
    Quota,
    /// Malformed, or not in this state.
    Invalid,
    /// The server does not know this operation.
    Unknown,
    /// Trouble on their side.
    Trouble,
    /// Anything else.
    Other,
}

/// Sorts a service's error. Codes: the "Common Errors" page of each service's API reference.
pub(crate) fn refusal(code: &str, message: &str, status: u16) -> Refusal {
    match code {
        "SignatureDoesNotMatch" | "InvalidSignatureException"
            if message.contains("Signature expired") || message.contains("Signature not yet current") =>
        {
            Refusal::Clock
        }
        "RequestExpired" | "RequestTimeTooSkewed" => Refusal::Clock,
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "InvalidAccessKeyId"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => Refusal::Key,
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "NotAuthorized" => {
            Refusal::Denied
        }
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "TooManyUpdates"
        | "SlowDown" => Refusal::Throttled,
        "ResourceNotFoundException"
        | "NoSuchEntity"
        | "NoSuchEntityException"
        | "ParameterNotFound"
        | "ParameterVersionNotFound" => Refusal::Missing,
        "ResourceExistsException"
        | "EntityAlreadyExists"
        | "ParameterAlreadyExists"
        | "ConcurrentModification"
        | "PreconditionNotMetException" => Refusal::Conflict,
        "LimitExceeded" | "LimitExceededException" => Refusal::Quota,
        "InvalidAction" | "UnknownOperationException" | "NotImplemented" | "InvalidActionException" => {
            Refusal::Unknown
        }
        "DecryptionFailure"
        | "DecryptionFailureException"
        | "EncryptionFailure"
        | "KMSAccessDeniedException" => Refusal::Denied,
        "InternalServiceError"
        | "InternalFailure"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceFailure" => Refusal::Trouble,
        _ if status == 429 => Refusal::Throttled,
        _ if status == 501 => Refusal::Unknown,
        _ if status >= 500 => Refusal::Trouble,
        _ if code.is_empty() && status == 403 => Refusal::Denied,
        _ if status == 400 && !code.is_empty() => Refusal::Invalid,
        _ => Refusal::Other,
    }
}

/// The refusal in an SDK error, where the service answered.
pub(crate) fn refusal_of<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<(Refusal, String)> {
    let SdkError::ServiceError(service) = error else { return None };
    let metadata = service.err().meta();
    let code = metadata.code().unwrap_or_default();
    let refusal = refusal(code, metadata.message().unwrap_or_default(), service.raw().status().as_u16());
    // A code is a word. A server that sends more there does not get it printed.
    let word = !code.is_empty()
        && code.len() <= 80
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    let text = if word { code.to_owned() } else { format!("HTTP {}", service.raw().status().as_u16()) };
    Some((refusal, text))
}

/// The contract's error for a call that changes nothing. `call` is the IAM action, such as `iam:ListUsers`.
pub(crate) fn of<E: ProvideErrorMetadata>(
    operation: &'static str,
    endpoint: &str,
    call: &str,
    error: &SdkError<E>,
) -> Error {
    let make = |kind, what: String, hint: &str| {
        let error = Error::new(kind, operation, format!("{endpoint}: {call}: {what}"));
        if hint.is_empty() { error } else { error.with_hint(hint) }
    };
    if let Some((refusal, code)) = refusal_of(error) {
        return match refusal {
            Refusal::Key => make(
                ErrorKind::Unauthenticated,
                format!("the access key is not accepted ({code})"),
                "check access_key_id and secret_access_key, and that the key is active; a new one takes about 10 s",
            ),
            Refusal::Clock => make(
                ErrorKind::Unavailable,
                format!("the signature's time is not accepted ({code})"),
                "set this machine's clock",
            ),
            Refusal::Denied => make(
                ErrorKind::Denied,
                format!("not allowed ({code})"),
                &format!("allow {call} in our policy"),
            ),
            Refusal::Throttled => make(ErrorKind::RateLimited, format!("too many requests ({code})"), ""),
            Refusal::Missing => make(ErrorKind::NotFound, format!("it does not exist ({code})"), ""),
            Refusal::Conflict => make(ErrorKind::Conflict, format!("somebody changed it ({code})"), ""),
            Refusal::Quota => make(
                ErrorKind::Invalid,
                format!("there may be no more of them ({code})"),
                "delete one that nobody uses",
            ),
            Refusal::Invalid => make(ErrorKind::Invalid, format!("refused as invalid ({code})"), ""),
            Refusal::Unknown => {
                make(ErrorKind::Unsupported, format!("the server does not know it ({code})"), "")
            }
            Refusal::Trouble => make(ErrorKind::Unavailable, format!("trouble at the service ({code})"), ""),
            Refusal::Other => make(ErrorKind::Unexpected, format!("an unexpected answer ({code})"), ""),
        };
    }
    let chain = chain(error);
    let tls = |word: &str| chain.contains(word);
    match error {
        _ if chain.contains("CredentialsNotLoaded") || chain.contains("no providers in chain") => make(
            ErrorKind::Unauthenticated,
            "no credentials were found".to_owned(),
            "set access_key_id and secret_access_key, or what the SDK looks for (AWS_ACCESS_KEY_ID, a profile)",
        ),
        SdkError::TimeoutError(_) => {
            make(ErrorKind::Unavailable, "no answer in time".to_owned(), "check endpoint, region and network")
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            make(ErrorKind::Unavailable, "no answer in time".to_owned(), "check endpoint, region and network")
        }
        _ if tls("NotValidForName") => make(
            ErrorKind::Unavailable,
            "the TLS certificate is for another name".to_owned(),
            "check endpoint",
        )
        .with_retry(Retry::Permanent),
        _ if tls("UnknownIssuer") || tls("Expired") || tls("invalid peer certificate") => make(
            ErrorKind::Unavailable,
            "the TLS certificate is not trusted".to_owned(),
            "check endpoint and this machine's authorities and clock",
        )
        .with_retry(Retry::Permanent),
        SdkError::DispatchFailure(_) => {
            let what = if tls("dns error") { "the host name cannot be resolved" } else { "no connection" };
            make(ErrorKind::Unavailable, what.to_owned(), "check endpoint, region and network")
        }
        SdkError::ConstructionFailure(_) => {
            make(ErrorKind::Invalid, "the request cannot be made".to_owned(), "")
        }
        _ => make(ErrorKind::Unexpected, "an answer that is not AWS's".to_owned(), "check endpoint"),
    }
}

/// The contract's error for a call that changes something.
pub(crate) fn of_change<E: ProvideErrorMetadata>(
    operation: &'static str,
    endpoint: &str,
    call: &str,
    error: &SdkError<E>,
) -> Error {
    let effect = match error {
        SdkError::ConstructionFailure(_) => Effect::NotApplied,
        SdkError::ServiceError(service) if service.raw().status().as_u16() < 500 => Effect::NotApplied,
        // The request never left when there was no connection to send it on.
        SdkError::DispatchFailure(_) if never_connected(&chain(error)) => Effect::NotApplied,
        _ => Effect::Unknown,
    };
    of(operation, endpoint, call, error).with_effect(effect)
}

fn never_connected(chain: &str) -> bool {
    ["(Connect)", "dns error", "tcp connect error", "CredentialsNotLoaded"]
        .iter()
        .any(|word| chain.contains(word))
}

/// The texts of an error and its causes, for looking up words in, never for printing.
fn chain<E>(error: &SdkError<E>) -> String {
    let mut text = String::new();
    let mut cause: Option<&(dyn StdError + 'static)> = match error {
        SdkError::DispatchFailure(failure) => failure.as_connector_error().map(|it| it as _),
        _ => None,
    };
    while let Some(error) = cause {
        text.push_str(&format!("{error} {error:?}\n"));
        cause = error.source();
    }
    text
}

/// Asks again when throttled: a scan that gave up then could never read a large account. At most about twelve seconds.
pub(crate) async fn patiently<T, E, F, Fut>(endpoint: &str, call: &str, mut ask: F) -> Result<T>
where
    E: ProvideErrorMetadata,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, SdkError<E>>>,
{
    let mut wait = Duration::from_millis(200);
    for _ in 0..6 {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if matches!(refusal_of(&error), Some((Refusal::Throttled, _))) => {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            Err(error) => return Err(of("inventory", endpoint, call, &error)),
        }
    }
    ask().await.map_err(|error| of("inventory", endpoint, call, &error).with_retry(Retry::Persistent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_not_a_wrong_key() {
        assert_eq!(refusal("SignatureDoesNotMatch", "Signature expired: 20150830T", 403), Refusal::Clock);
        assert_eq!(
            refusal("SignatureDoesNotMatch", "The request signature we calculated…", 403),
            Refusal::Key
        );
        assert_eq!(refusal("AccessDenied", "", 403), Refusal::Denied);
        assert_eq!(refusal("", "", 403), Refusal::Denied);
        assert_eq!(refusal("Whatever", "", 503), Refusal::Trouble);
        assert_eq!(refusal("ThrottlingException", "", 400), Refusal::Throttled);
    }
}
