//! Whole numbers: 64 bits are written as strings, because a JavaScript number holds only 53; 32 bits as numbers.

use super::{
    scalar::{Number, Scalar, scalar_value},
    write,
};

/// The whole number that a JSON number's text stands for: `10`, `1e1`, `10.0`, `-0`. Nothing else: no sign in front but
/// minus, no leading zero, no white space.
fn parse(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (digits, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || leading_zero || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let magnitude =
        scale(&[whole, fraction].concat(), exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?)?;
    Some(if negative { -magnitude } else { magnitude })
}

fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// `digits * 10^exponent`, if that is whole and not absurdly large.
fn scale(digits: &str, exponent: i32) -> Option<i128> {
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let zeros = i32::try_from(digits.len() - significant.len()).ok()?.checked_add(exponent)?;
    let power = 10i128.checked_pow(u32::try_from(zeros).ok()?)?;
    significant.parse::<i128>().ok()?.checked_mul(power)
}

/// The whole number that a float is.
fn whole(value: f64) -> Option<i128> {
    (value.fract() == 0.0 && value.abs() < 1e20).then_some(value as i128)
}

macro_rules! integer {
    ($Type:ty, $kind:literal, |$number:ident, $out:ident| $write:expr) => {
        impl Scalar for $Type {
            const KIND: &'static str = $kind;

            fn from_text(text: &str) -> Option<$Type> {
                parse(text)?.try_into().ok()
            }

            fn from_number(number: Number) -> Option<$Type> {
                match number {
                    Number::Signed(value) => value.try_into().ok(),
                    Number::Unsigned(value) => value.try_into().ok(),
                    Number::Float(value) => whole(value)?.try_into().ok(),
                }
            }
        }

        scalar_value!($Type, |number| *number == 0, |$number, $out| $write);
    };
}

integer!(i64, "int64", |number, out| quoted(out, *number < 0, number.unsigned_abs()));
integer!(u64, "uint64", |number, out| quoted(out, false, *number));
integer!(i32, "int32", |number, out| write::integer(out, *number < 0, number.unsigned_abs().into()));
integer!(u32, "uint32", |number, out| write::integer(out, false, u64::from(*number)));

fn quoted(out: &mut Vec<u8>, negative: bool, magnitude: u64) {
    out.push(b'"');
    write::integer(out, negative, magnitude);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_text() {
        let good = [
            ("0", 0),
            ("-0", 0),
            ("10", 10),
            ("-7", -7),
            ("1e1", 10),
            ("1E+1", 10),
            ("10e-1", 1),
            ("1.50e1", 15),
            ("1.0", 1),
            ("0e99999", 0),
            ("9223372036854775807", i128::from(i64::MAX)),
        ];
        for (text, number) in good {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        let bad = [
            "", " 1", "1 ", "abc", "0x10", "01", "+1", "1.", ".5", "1.5", "1e", "e1", "1e+", "1e99999",
            "--1", "1e-1",
        ];
        for text in bad {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(i64::from_text("9223372036854775808"), None);
        assert_eq!(u64::from_text("-1"), None);
        assert_eq!(i64::from_number(Number::Float(1e300)), None);
    }
}
