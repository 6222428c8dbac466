//! Inputs that are nearly good ones.

/// What parsers stumble over, in all formats.
const WORDS: [&[u8]; 30] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
    b":",
    b",",
    b"Content-Length: 1",
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Host: a",
    b"0\r\n\r\n",
    b"ffffffffffffffff",
    b"+5",
    b"-1",
    b"18446744073709551616",
    b"9223372036854775808",
    b"1e400",
    b"null",
    b"true",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\ud800",
    b"\xff\xfe",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
];

pub(crate) struct Mutator<'a> {
    rng: fastrand::Rng,
    corpus: &'a [Vec<u8>],
}

impl Mutator<'_> {
    pub(crate) fn new(seed: u64, corpus: &[Vec<u8>]) -> Mutator<'_> {
        Mutator { rng: fastrand::Rng::with_seed(seed), corpus }
    }

    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut input = self.one_of_corpus().clone();
        for _ in 0..1 << self.rng.u32(0..5) {
            self.mutate(&mut input);
        }
        input
    }

    fn one_of_corpus<'c>(&mut self) -> &'c Vec<u8>
    where
        Self: 'c,
    {
        let place = self.rng.usize(..self.corpus.len());
        // The corpus outlives the mutator's borrow of itself.
        let corpus: &'c [Vec<u8>] = self.corpus;
        &corpus[place]
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.rng.usize(..=input.len());
        match self.rng.u8(..8) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.rng.u8(..8);
                }
            }
            1 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = [0, 1, 0x7f, 0x80, 0xff, self.rng.u8(..)][self.rng.usize(..6)];
                }
            }
            2 => {
                let end = (at + self.rng.usize(..16)).min(input.len());
                input.drain(at..end);
            }
            3 => {
                let word = WORDS[self.rng.usize(..WORDS.len())];
                input.splice(at..at, word.iter().copied());
            }
            4 => {
                let end = (at + self.rng.usize(..64)).min(input.len());
                let again = input[at..end].to_vec();
                let times = 1 << self.rng.u32(..6);
                input.splice(at..at, again.repeat(times));
            }
            5 => {
                let other = self.one_of_corpus();
                let from = self.rng.usize(..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            6 => input.truncate(at),
            _ => {
                let number = [0, 1, u32::MAX, 1 << 31, self.rng.u32(..)][self.rng.usize(..5)];
                for (byte, new) in input.iter_mut().skip(at).zip(number.to_le_bytes()) {
                    *byte = new;
                }
            }
        }
    }
}
