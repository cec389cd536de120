//! Damage that looks random and is the same for the same seed.

/// Numbers by xorshift (Marsaglia, "Xorshift RNGs", 2003).
#[derive(Debug)]
pub struct Noise(u64);

impl Noise {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero; neighbours should not begin alike.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`, 0 if that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() % (limit.max(1) as u64)) as usize
    }
}

/// Damages `bytes` in a few places.
pub fn damage(bytes: &mut Vec<u8>, noise: &mut Noise) {
    for _ in 0..=noise.below(4) {
        let at = noise.below(bytes.len());
        match noise.below(8) {
            0 => bytes.truncate(at),
            1 => {
                let length = 1 + noise.below(16);
                bytes.extend((0..length).map(|_| noise.number() as u8));
            }
            2 if !bytes.is_empty() => bytes[at] ^= 1 << noise.below(8),
            3 if !bytes.is_empty() => bytes[at] = noise.number() as u8,
            // Lengths and positions are words of 4 and 8 bytes: ones that are nearly right, too
            // large, or at an edge.
            4 => overwrite(bytes, at & !3, &word(noise).to_le_bytes()),
            5 => overwrite(bytes, at & !7, &(word(noise) as u32).to_le_bytes()),
            6 => {
                let from = noise.below(bytes.len());
                let piece = bytes[from..(from + noise.below(32)).min(bytes.len())].to_vec();
                overwrite(bytes, at, &piece);
            }
            _ if at < bytes.len() => drop(bytes.remove(at)),
            _ => {}
        }
    }
}

fn word(noise: &mut Noise) -> u64 {
    match noise.below(5) {
        0 => u64::MAX,
        1 => 1 << noise.below(64),
        2 => (1_u64 << noise.below(64)).wrapping_sub(1),
        3 => noise.number() % 512,
        _ => noise.number(),
    }
}

fn overwrite(bytes: &mut [u8], at: usize, piece: &[u8]) {
    if let Some(place) = bytes.get_mut(at..) {
        let length = place.len().min(piece.len());
        place[..length].copy_from_slice(&piece[..length]);
    }
}
