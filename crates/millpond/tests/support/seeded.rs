//! Random damage that can be repeated.

/// A generator of numbers for which the seed stands.
pub(crate) struct SeededNumbers(u64);

impl SeededNumbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

/// How many damages of each kind are done: `MILLPOND_DAMAGE_SEEDS`.
pub(crate) fn seeds(usual: u64) -> u64 {
    std::env::var("MILLPOND_DAMAGE_SEEDS").map_or(usual, |seeds| seeds.parse().unwrap())
}
