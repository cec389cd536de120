//! Each target, with damage that is the same each time.

use millpond_fuzz::mutate::{Noise, damage};
use millpond_fuzz::targets::{TARGETS, find};

fn short_run(name: &str) {
    let target = find(name).expect("a target");
    let (mut noise, seeds) = (Noise::new(1), (target.seeds)());
    assert!(!seeds.is_empty());
    for seed in &seeds {
        (target.run)(seed);
    }
    for _ in 0..target.short_run {
        let mut input = seeds[noise.below(seeds.len())].clone();
        damage(&mut input, &mut noise);
        (target.run)(&input);
    }
}

macro_rules! short_runs {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                short_run(stringify!($name));
            }
        )*

        #[test]
        fn every_target_has_a_short_run() {
            let names = [$(stringify!($name)),*];
            assert!(TARGETS.iter().all(|target| names.contains(&target.name)));
        }
    };
}

short_runs!(ring wire zygote packet payload wire_handle note codec queue pipe);
