//! The ticks of the time axis.

use crate::trace::units::{HOUR, MINUTE, SECOND, count};

/// One tick: a time since the start, and what is written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tick {
    pub(super) at_ns: u64,
    pub(super) label: String,
}

/// Ticks at round times from 0 to `length_ns`, no more than `at_most` (and 1) of them.
pub(super) fn ticks(length_ns: u64, at_most: u64) -> Vec<Tick> {
    let step = step(length_ns, at_most.max(1));
    let times = (0..=length_ns / step).map(|index| index * step);
    times.map(|at_ns| Tick { at_ns, label: label(at_ns, step, length_ns) }).collect()
}

/// The smallest round step that makes no more than `at_most` steps of the length.
fn step(length_ns: u64, at_most: u64) -> u64 {
    let decimal = (0..10).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let seconds = [10, 20, 30].map(|n| n * SECOND);
    let minutes = [1, 2, 5, 10, 20, 30].map(|n| n * MINUTE);
    let hours = [1, 2, 3, 6, 12].map(|n| n * HOUR);
    let days = (0..18).map(|power| 24 * HOUR * (1 << power));
    let mut ladder = decimal.chain(seconds).chain(minutes).chain(hours).chain(days);
    ladder.find(|step| length_ns / step <= at_most).unwrap_or(length_ns.max(1))
}

/// The unit is the same for a whole axis: the finest in which its numbers stay short.
fn label(at_ns: u64, step: u64, length_ns: u64) -> String {
    if at_ns == 0 {
        return "0".to_owned();
    }
    match length_ns {
        _ if length_ns <= 2_000 => decimal(at_ns, 1, "ns"),
        _ if length_ns <= 2_000_000 => decimal(at_ns, 1_000, "µs"),
        _ if length_ns <= SECOND => decimal(at_ns, 1_000_000, "ms"),
        _ if length_ns <= 2 * MINUTE => decimal(at_ns, SECOND, "s"),
        _ if length_ns <= 2 * HOUR => sexagesimal(at_ns / SECOND, step / SECOND, "min"),
        _ => sexagesimal(at_ns / MINUTE, step / MINUTE, "h"),
    }
}

fn decimal(at_ns: u64, unit: u64, name: &str) -> String {
    let whole = count(at_ns / unit);
    match at_ns % unit {
        0 => format!("{whole} {name}"),
        rest => {
            let decimals = format!("{:.9}", rest as f64 / unit as f64);
            format!("{whole}{} {name}", decimals.trim_start_matches('0').trim_end_matches('0'))
        }
    }
}

/// Writes sixtieths after a colon, unless no step has any.
fn sexagesimal(parts: u64, step: u64, name: &str) -> String {
    match step % 60 {
        0 => format!("{} {name}", count(parts / 60)),
        _ => format!("{}:{:02} {name}", count(parts / 60), parts % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(length_ns: u64, at_most: u64) -> Vec<String> {
        ticks(length_ns, at_most).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(labels(3_200_000_000, 8), ["0", "0.5 s", "1 s", "1.5 s", "2 s", "2.5 s", "3 s"]);
        assert_eq!(labels(90_000, 5), ["0", "20 µs", "40 µs", "60 µs", "80 µs"]);
        assert_eq!(
            labels(3 * MINUTE, 6),
            ["0", "0:30 min", "1:00 min", "1:30 min", "2:00 min", "2:30 min", "3:00 min"]
        );
        assert_eq!(labels(25 * MINUTE, 3), ["0", "10 min", "20 min"]);
        assert_eq!(labels(3 * HOUR, 3), ["0", "1 h", "2 h", "3 h"]);
        assert_eq!(labels(1_500_000_000, 6), ["0", "0.5 s", "1 s", "1.5 s"]);
        assert_eq!(labels(30_000_000, 3), ["0", "10 ms", "20 ms", "30 ms"]);
    }

    #[test]
    fn there_are_ticks_for_every_length() {
        for power in 0..64 {
            let length = 1_u64 << power;
            let ticks = ticks(length, 10);
            assert!(ticks.len() <= 11, "{length} ns has {} ticks", ticks.len());
            assert!(ticks.len() >= 2, "{length} ns has one tick");
        }
        assert_eq!(labels(0, 10), ["0"]);
        assert!(ticks(u64::MAX, 10).len() <= 11);
    }
}
