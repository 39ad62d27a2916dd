//! The same certificate with another key.

use chrono::{DateTime, Utc};
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use sha2::{Digest as _, Sha256};
use x509_cert::{
    Certificate,
    der::{
        AnyRef, DateTime as DerTime, Decode as _, Encode as _,
        asn1::{BitString, GeneralizedTime, OctetString, UtcTime},
        oid::ObjectIdentifier,
    },
    ext::Extension,
    serial_number::SerialNumber,
    spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned},
    time::{Time, Validity},
};

use super::{
    Identity, Unfit,
    key::{self, Algorithm},
};
use crate::{
    format::der::{OCTET_STRING, SEQUENCE, element},
    random::Random,
};

pub(super) const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
pub(super) const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
/// RFC 6962, section 3.3.
pub(super) const TIMESTAMPS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");

/// The last moment that a certificate can name (RFC 5280, section 4.1.2.5): it stands for "no end".
const LAST: &str = "9999-12-31T23:59:59Z";
/// Octets of a serial number: of the 20 that there may be, enough that none comes twice.
const SERIAL: usize = 16;

/// Who signs.
pub enum Signer<'a> {
    /// The new key itself.
    Itself,
    /// This authority.
    Authority(&'a Identity),
}

/// Makes the certificate again with a new key of the same algorithm, valid from `now` for as long as it was, or until its authority's
/// certificate ends if that is sooner.
///
/// # Errors
/// [`Unfit`]: its key is of a kind that is not made here, its encoding is not understood, or the authority's certificate is not valid now.
/// Repeat: another pair each time.
pub fn reissue(
    old: &Identity,
    signer: &Signer<'_>,
    now: DateTime<Utc>,
    random: &dyn Random,
) -> Result<Identity, Unfit> {
    let facts = old.facts()?;
    let pair = Algorithm::of(&facts.spki)?.generate()?;
    let mut certificate = Certificate::from_der(old.certificate()).map_err(unwritten)?;
    let (signing, end) = match signer {
        Signer::Itself => (None, None),
        Signer::Authority(authority) => {
            let facts = authority.facts()?;
            let covers = facts.not_before.is_none_or(|start| start <= now)
                && facts.not_after.is_none_or(|end| now < end);
            if !covers {
                return Err(Unfit::AuthorityEnded);
            }
            (Some(key::read(&authority.key)?), facts.not_after)
        }
    };
    let signing = signing.as_ref().unwrap_or(&pair);
    let algorithm = algorithm(signing)?;
    let body = &mut certificate.tbs_certificate;
    body.serial_number = serial(random)?;
    body.signature = algorithm.clone();
    body.validity = validity((facts.not_before, facts.not_after), now, end)?;
    let spki = pair.subject_public_key_info();
    body.subject_public_key_info = SubjectPublicKeyInfoOwned::from_der(&spki).map_err(unwritten)?;
    let itself = matches!(signer, Signer::Itself);
    if let Some(extensions) = &mut body.extensions {
        identify(extensions, &spki, itself)?;
    }
    let signed = body.to_der().map_err(unwritten)?;
    let signature = signing.sign(&signed).map_err(|error| Unfit::Encoding(error.to_string()))?;
    certificate.signature_algorithm = algorithm;
    certificate.signature = BitString::from_bytes(&signature).map_err(unwritten)?;
    let certificate = certificate.to_der().map_err(unwritten)?;
    Ok(Identity { certificate, key: key::like(&old.key, &pair)? })
}

/// Is it of a kind that can be made, and understood?
pub(super) fn fits(old: &Identity) -> Result<(), Unfit> {
    Algorithm::of(&old.facts()?.spki)?;
    Certificate::from_der(old.certificate()).map(|_| ()).map_err(unwritten)
}

fn unwritten(error: x509_cert::der::Error) -> Unfit {
    Unfit::Encoding(error.to_string())
}

/// RFC 5758, RFC 4055 (with the NULL that it wants), RFC 8410.
fn algorithm(key: &KeyPair) -> Result<AlgorithmIdentifierOwned, Unfit> {
    let (oid, parameters) = match key.algorithm() {
        known if *known == rcgen::PKCS_RSA_SHA256 => ("1.2.840.113549.1.1.11", Some(AnyRef::NULL.into())),
        known if *known == rcgen::PKCS_ECDSA_P256_SHA256 => ("1.2.840.10045.4.3.2", None),
        known if *known == rcgen::PKCS_ECDSA_P384_SHA384 => ("1.2.840.10045.4.3.3", None),
        known if *known == rcgen::PKCS_ED25519 => ("1.3.101.112", None),
        _ => return Err(Unfit::Algorithm("of a kind that signs nothing here".to_owned())),
    };
    Ok(AlgorithmIdentifierOwned { oid: ObjectIdentifier::new_unwrap(oid), parameters })
}

fn serial(random: &dyn Random) -> Result<SerialNumber, Unfit> {
    let mut bytes = [0_u8; SERIAL];
    random.fill(&mut bytes);
    // Positive, and as long as it is meant to be.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::new(&bytes).map_err(unwritten)
}

fn validity(
    (start, end): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    now: DateTime<Utc>,
    most: Option<DateTime<Utc>>,
) -> Result<Validity, Unfit> {
    let unread = || Unfit::Encoding("its dates cannot be read".to_owned());
    let last = DateTime::parse_from_rfc3339(LAST).map(|last| last.to_utc()).map_err(|_| unread())?;
    let (start, end) = start.zip(end).ok_or_else(unread)?;
    let wanted = if end >= last { last } else { now.checked_add_signed(end - start).unwrap_or(last) };
    let not_after = wanted.min(last).min(most.unwrap_or(last));
    Ok(Validity { not_before: time(now)?, not_after: time(not_after)? })
}

/// UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5280, section 4.1.2.5).
fn time(at: DateTime<Utc>) -> Result<Time, Unfit> {
    let seconds =
        u64::try_from(at.timestamp()).map_err(|_| Unfit::Encoding("it is before 1970".to_owned()))?;
    let at = DerTime::from_unix_duration(std::time::Duration::from_secs(seconds)).map_err(unwritten)?;
    Ok(match at.year() {
        ..=UtcTime::MAX_YEAR => Time::UtcTime(UtcTime::from_date_time(at).map_err(unwritten)?),
        _ => Time::GeneralTime(GeneralizedTime::from_date_time(at)),
    })
}

/// The extensions that follow from the key.
fn identify(extensions: &mut Vec<Extension>, spki: &[u8], itself: bool) -> Result<(), Unfit> {
    let bits = key::bits(spki).ok_or_else(|| Unfit::Encoding("its public key".to_owned()))?;
    let id = &Sha256::digest(bits)[..20];
    extensions.retain(|extension| extension.extn_id != TIMESTAMPS);
    for extension in extensions {
        let content = match extension.extn_id {
            SUBJECT_KEY_ID => element(OCTET_STRING, id),
            AUTHORITY_KEY_ID if itself => element(SEQUENCE, &element(0x80, id)),
            _ => continue,
        };
        extension.extn_value = OctetString::new(content).map_err(unwritten)?;
    }
    Ok(())
}
