//! Numbers as people read them.

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
pub(super) const SECOND: u64 = 1_000 * MILLISECOND;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;

/// A count with a comma between thousands: `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 task`, `2 tasks`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// A duration to three digits: `812 ns`, `45.6 ms`, `3.21 s`, `2 min 5 s`, `3 h 20 min`.
pub(super) fn duration(ns: u64) -> String {
    // What rounds up to the next unit belongs to it: 999.6 µs is 1.00 ms.
    match ns {
        0 => "0 s".to_owned(),
        _ if ns < MICROSECOND => format!("{ns} ns"),
        _ if ns < 999_500 => three_digits(ns, MICROSECOND, "µs"),
        _ if ns < 999_500_000 => three_digits(ns, MILLISECOND, "ms"),
        _ if ns < 99_950_000_000 => three_digits(ns, SECOND, "s"),
        _ if ns < HOUR - SECOND / 2 => {
            let seconds = ns.saturating_add(SECOND / 2) / SECOND;
            format!("{} min {} s", seconds / 60, seconds % 60)
        }
        _ => {
            let minutes = ns.saturating_add(MINUTE / 2) / MINUTE;
            format!("{} h {} min", count(minutes / 60), minutes % 60)
        }
    }
}

fn three_digits(ns: u64, unit: u64, name: &str) -> String {
    let value = ns as f64 / unit as f64;
    let decimals = match value {
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {name}")
}

/// A share as a percentage: `97.3 %`, `100 %`; neither rounds to a bound that it does not reach.
pub(super) fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value {
        _ if value <= 0.0 => "0 %".to_owned(),
        _ if value < 0.1 => "< 0.1 %".to_owned(),
        _ if value >= 100.0 => "100 %".to_owned(),
        _ => format!("{:.1} %", value.min(99.9)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "task"), "1 task");
        assert_eq!(counted(2_000, "task"), "2,000 tasks");
    }

    #[test]
    fn durations_have_three_digits_and_the_unit_that_fits() {
        let cases = [
            (0, "0 s"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (45_600, "45.6 µs"),
            (999_499, "999 µs"),
            (999_600, "1.00 ms"),
            (9_996_000, "10.0 ms"),
            (812_000_000, "812 ms"),
            (3_214_000_000, "3.21 s"),
            (99_940_000_000, "99.9 s"),
            (125 * SECOND, "2 min 5 s"),
            (HOUR - 1, "1 h 0 min"),
            (200 * MINUTE, "3 h 20 min"),
        ];
        for (ns, text) in cases {
            assert_eq!(duration(ns), text);
        }
    }

    #[test]
    fn a_percentage_reaches_its_bounds_only_when_the_share_does() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.000_5), "< 0.1 %");
        assert_eq!(percent(0.973), "97.3 %");
        assert_eq!(percent(0.9999), "99.9 %");
        assert_eq!(percent(1.0), "100 %");
    }
}
