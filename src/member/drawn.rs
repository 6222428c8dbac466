//! What nobody may guess.

use rustls::crypto::ring;

/// 128 bits of the system's randomness. What is drawn with `fastrand` only has to differ; this has to stay a secret.
pub fn draw() -> [u8; 16] {
    let mut drawn = [0; 16];
    let filled = ring::default_provider().secure_random.fill(&mut drawn);
    filled.expect("the system has randomness once it has booted");
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_the_same() {
        let drawn = draw();
        assert!(drawn != draw() && drawn != [0; 16], "{drawn:?}");
    }
}
