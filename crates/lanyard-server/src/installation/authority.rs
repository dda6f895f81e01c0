//! A certificate authority for one certificate. The authority's key is discarded, so nothing is
//! signed with it again.

use anyhow::{Context as _, Result};
use lanyard_vocabulary::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use zeroize::Zeroizing;

/// A server certificate with its key and its authority, in PEM.
pub(crate) struct Signed {
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: Zeroizing<String>,
}

/// The first and last day of a certificate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Validity {
    from: jiff::civil::Date,
    pub(crate) until: jiff::civil::Date,
}

impl Validity {
    /// The validity from yesterday, for clocks that are behind, for this many days.
    pub(crate) fn of_days(now: Timestamp, days: i32) -> Result<Self> {
        let seconds = i64::try_from(now.as_secs())?;
        let today = jiff::Timestamp::from_second(seconds)?;
        let today = today.to_zoned(jiff::tz::TimeZone::UTC).date();
        Ok(Self {
            from: today.yesterday()?,
            until: today.checked_add(jiff::Span::new().try_days(days)?)?,
        })
    }

    fn put(self, params: &mut CertificateParams) -> Result<()> {
        let at = |date: jiff::civil::Date| {
            let (month, day) = (u8::try_from(date.month())?, u8::try_from(date.day())?);
            anyhow::Ok(date_time_ymd(i32::from(date.year()), month, day))
        };
        params.not_before = at(self.from)?;
        params.not_after = at(self.until)?;
        Ok(())
    }
}

/// Creates an authority of this name and a certificate for these hosts, which are names or
/// addresses.
///
/// # Errors
/// When a host is neither, or the operating system gives no random bits.
pub(crate) fn sign(name: &str, hosts: &[String], validity: Validity) -> Result<Signed> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    validity.put(&mut params)?;
    let own = KeyPair::generate()?;
    let authority = params.self_signed(&own)?;
    let issuer = Issuer::from_params(&params, &own);
    let mut params = CertificateParams::new(hosts)
        .with_context(|| format!("a certificate for {}", hosts.join(", ")))?;
    if let Some(host) = hosts.first() {
        params.distinguished_name.push(DnType::CommonName, host);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    validity.put(&mut params)?;
    let pair = KeyPair::generate()?;
    let signed = params.signed_by(&pair, &issuer)?;
    Ok(Signed {
        authority: authority.pem(),
        certificate: signed.pem(),
        key: Zeroizing::new(pair.serialize_pem()),
    })
}
