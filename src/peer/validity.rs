//! From when until when a certificate is valid: the one thing of it that is asked for here and that webpki keeps to itself.
//!
//! ```text
//! Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signature }        (RFC 5280, 4.1)
//! tbsCertificate ::= SEQUENCE { [0] version, serial INTEGER, signature SEQUENCE, issuer SEQUENCE,
//!                               validity SEQUENCE { notBefore, notAfter }, .. }
//! time ::= UTCTime "YYMMDDHHMMSSZ" | GeneralizedTime "YYYYMMDDHHMMSSZ"
//! ```
//!
//! Nothing else is looked at, and nothing is trusted for it: who reads a time here checks the certificate besides.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// In seconds since 1970; what is earlier counts as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub not_before_s: u64,
    pub not_after_s: u64,
}

impl Validity {
    /// `None`: this is no certificate as RFC 5280 has them.
    pub fn of(der: &[u8]) -> Option<Validity> {
        let certificate = Der(der).take(SEQUENCE)?;
        let mut fields = Der(Der(certificate).take(SEQUENCE)?);
        if fields.0.first() == Some(&VERSION) {
            fields.take(VERSION)?;
        }
        fields.take(INTEGER)?;
        fields.take(SEQUENCE)?;
        fields.take(SEQUENCE)?;
        let mut validity = Der(fields.take(SEQUENCE)?);
        Some(Validity { not_before_s: validity.time()?, not_after_s: validity.time()? })
    }
}

/// What is left to read.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, if it is of this kind.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&[found, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // So many bytes of length follow; certificates are far shorter than four can say.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = bytes.iter().fold(0u64, |length, &byte| length << 8 | u64::from(byte));
                (usize::try_from(length).ok()?, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (found == tag).then_some(content)
    }

    fn time(&mut self) -> Option<u64> {
        let tag = *self.0.first()?;
        let text = self.take(tag)?.strip_suffix(b"Z")?;
        let (year, rest) = match tag {
            // RFC 5280, 4.1.2.5.1: two digits of a year between 1950 and 2049.
            UTC_TIME => {
                let (year, rest) = text.split_at_checked(2)?;
                let year = number(year)?;
                (if year >= 50 { 1900 + year } else { 2000 + year }, rest)
            }
            GENERALIZED_TIME => {
                let (year, rest) = text.split_at_checked(4)?;
                (number(year)?, rest)
            }
            _ => return None,
        };
        let pairs: Vec<u64> = rest.chunks(2).map(number).collect::<Option<_>>()?;
        let [month @ 1..=12, day @ 1..=31, hour @ 0..24, minute @ 0..60, second @ 0..=60] = pairs[..] else {
            return None;
        };
        Some(day_number(year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second)
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    digits.iter().try_fold(0, |number, byte| Some(number * 10 + digit(byte)?))
}

/// Days since 1970-01-01, 0 before it. Years begin in March here, so that the leap day comes last (Howard Hinnant,
/// "chrono-compatible low-level date algorithms").
fn day_number(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Some((era * 146_097 + of_era).saturating_sub(719_468))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(tag: u8, text: &str) -> Option<u64> {
        let length = u8::try_from(text.len()).expect("short");
        Der(&[&[tag, length], text.as_bytes()].concat()).time()
    }

    #[test]
    fn times() {
        for (tag, text, seconds) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "500101000000Z", Some(0)),
            (UTC_TIME, "000229000000Z", Some(951_782_400)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, "20241231235959Z", Some(1_735_689_599)),
            (GENERALIZED_TIME, "21000301000000Z", Some(4_107_542_400)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (GENERALIZED_TIME, "00000101000000Z", None),
            (UTC_TIME, "241301000000Z", None),
            (UTC_TIME, "240132000000Z", None),
            (UTC_TIME, "240101240000Z", None),
            (UTC_TIME, "2401010000Z", None),
            (UTC_TIME, "240101000000", None),
            (UTC_TIME, "24010100000xZ", None),
            (INTEGER, "240101000000Z", None),
        ] {
            assert_eq!(time(tag, text), seconds, "{text}");
        }
    }

    #[test]
    fn certificates() {
        let mut params = rcgen::CertificateParams::new(["board".to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(2024, 2, 29);
        params.not_after = rcgen::date_time_ymd(2060, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let der = params.self_signed(&key).expect("a certificate").der().to_vec();
        let validity = Validity { not_before_s: 1_709_164_800, not_after_s: 2_840_140_800 };
        assert_eq!(Validity::of(&der), Some(validity));
        for length in 0..der.len() {
            assert_eq!(Validity::of(&der[..length]), None, "{length} bytes");
        }
        assert_eq!(Validity::of(&[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(Validity::of(&[SEQUENCE, 0x80]), None);
    }
}
