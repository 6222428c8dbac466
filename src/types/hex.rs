//! Bytes as people and URLs write them: two lower-case digits each.

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Exactly so many bytes; digits of either case.
pub fn from_hex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let digits = text.as_bytes();
    let mut bytes = [0; BYTES];
    if digits.len() != 2 * BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(hex([0, 0xab, 0xff]), "00abff");
        assert_eq!(from_hex("00abFF"), Some([0, 0xab, 0xff]));
        for bad in ["", "00ab", "00abff0", "00abff00", "00abfg", "+0abff", "\u{e9}0abf"] {
            assert_eq!(from_hex::<3>(bad), None, "{bad}");
        }
    }
}
