//! When a certificate is valid (RFC 5280 section 4.1.2.5).

use std::time::Duration;

use rustls::pki_types::UnixTime;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// First and last second of a certificate in DER; None where it is malformed.
pub fn validity(certificate: &[u8]) -> Option<(UnixTime, UnixTime)> {
    let certificate = &mut &*certificate;
    let certificate = &mut take(certificate, SEQUENCE)?;
    let body = &mut take(certificate, SEQUENCE)?;
    if body.first() == Some(&VERSION) {
        take(body, VERSION)?;
    }
    take(body, INTEGER)?; // serial number
    take(body, SEQUENCE)?; // signature algorithm
    take(body, SEQUENCE)?; // issuer
    let validity = &mut take(body, SEQUENCE)?;
    Some((time(validity)?, time(validity)?))
}

/// Takes the content of the next element, which must be of this type.
fn take<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let &[its, length, ref rest @ ..] = *input else {
        return None;
    };
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let fold = |sum, &byte: &u8| sum << 8 | usize::from(byte);
            (bytes.iter().fold(0, fold), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *input = rest;
    (its == tag).then_some(content)
}

fn time(input: &mut &[u8]) -> Option<UnixTime> {
    let utc = input.first() == Some(&UTC_TIME);
    let text = take(input, if utc { UTC_TIME } else { GENERALIZED_TIME })?;
    let (year, rest) = text.split_at_checked(if utc { 2 } else { 4 })?;
    let year = match (utc, number(year)?) {
        (true, year @ 0..50) => 2000 + year,
        (true, year) => 1900 + year,
        (false, year) => year,
    };
    let rest = rest.strip_suffix(b"Z").filter(|rest| rest.len() == 10)?;
    let part = |at: usize| number(&rest[2 * at..2 * at + 2]);
    let days = days(year, part(0)?, part(1)?)?;
    let seconds = ((days * 24 + part(2)?) * 60 + part(3)?) * 60 + part(4)?;
    // Nothing is younger than 1970.
    let seconds = u64::try_from(seconds).unwrap_or(0);
    Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        Some(sum * 10 + digit)
    })
}

/// Days from 1970 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years from March on: the leap day is their last.
    let year = if month > 2 { year } else { year - 1 };
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(365 * year + year / 4 - year / 100 + year / 400 + in_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tag: u8, text: &str) -> Option<u64> {
        let der = [&[tag, text.len() as u8], text.as_bytes()].concat();
        time(&mut &*der).map(|time| time.as_secs())
    }

    #[test]
    fn times() {
        assert_eq!(read(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(read(UTC_TIME, "000229235959Z"), Some(951_868_799));
        assert_eq!(read(UTC_TIME, "261121121737Z"), Some(1_795_263_457));
        assert_eq!(read(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(read(UTC_TIME, "500101000000Z"), Some(0));
        assert_eq!(
            read(GENERALIZED_TIME, "20500101000000Z"),
            Some(2_524_608_000)
        );
        assert_eq!(
            read(GENERALIZED_TIME, "99991231235959Z"),
            Some(253_402_300_799)
        );
        for wrong in [
            "",
            "Z",
            "700101000000",
            "7001010000Z",
            "700101x00000Z",
            "701301000000Z",
        ] {
            assert_eq!(read(UTC_TIME, wrong), None, "{wrong}");
        }
        assert_eq!(read(INTEGER, "700101000000Z"), None);
    }
}
