//! Crash points of the engine's source, at which a model's process dies.

macro_rules! crash_point {
    ($name:literal) => {
        $crate::world::reach($name)
    };
}

pub(crate) use crash_point;
