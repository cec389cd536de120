//! The part of a stack that its reader wrote.

/// A name that the standard library gives the end of its machinery of panicking, for this use.
const END_OF_MACHINERY: &str = "__rust_end_short_backtrace";

/// What still stands between that and the place of the panic.
const PANICKING: [&str; 4] =
    ["core::panicking::", "std::panicking::", "std::panic::", "__rustc::rust_begin_unwind"];

/// The function that calls the user's. It has no path where the linker has optimised.
const ENTRY_POINT: &str = "millpond_entry_point";

/// What stands between the two: the `call` of a trait of functions, in a file of this name.
const CALLING: (&str, &str) = ("call", "/function.rs:");

/// A line of a stack with those that belong to it.
struct Frame<'a> {
    name: &'a str,
    lines: &'a [&'a str],
}

/// A backtrace without the frames of panicking on top and those of this crate below.
///
/// `text` is as the standard library shows a stack: lines `  7: name` and, under each that has a
/// known place, `at file:line:column`. Of a text that looks otherwise nothing is cut off.
pub(super) fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let frames = frames(&lines);
    let machinery = frames.iter().position(|frame| frame.name.contains(END_OF_MACHINERY));
    let mut own = &frames[machinery.map_or(0, |last| last + 1)..];
    if let Some(entry) = own.iter().position(|frame| frame.name.contains(ENTRY_POINT)) {
        own = &own[..entry];
    }
    while let [first, rest @ ..] = own
        && first.is_panicking()
    {
        own = rest;
    }
    while let [rest @ .., last] = own
        && last.is_calling()
    {
        own = rest;
    }
    if own.is_empty() {
        return text.to_owned();
    }
    own.iter().flat_map(|frame| frame.lines).copied().collect::<Vec<_>>().join("\n")
}

fn frames<'a>(lines: &'a [&'a str]) -> Vec<Frame<'a>> {
    let starts: Vec<(usize, &str)> = lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| frame_name(line).map(|name| (at, name)))
        .collect();
    let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([lines.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&(at, name), end)| Frame { name, lines: &lines[at..end] })
        .collect()
}

impl Frame<'_> {
    fn is_panicking(&self) -> bool {
        PANICKING.iter().any(|prefix| self.name.starts_with(prefix))
    }

    fn is_calling(&self) -> bool {
        let (method, file) = CALLING;
        let in_file = self.lines.iter().skip(1).any(|place| place.contains(file));
        let bare = self.name.split('<').next().is_some_and(|name| name == method);
        let path = self.name.starts_with("core::ops::function::")
            || self.name.contains(" as millpond::function::Function<")
            || self.name.contains(" as core::ops::function::Fn");
        path || (bare && in_file)
    }
}

/// The name in a line `  7: name` or `  7: 0x55d0 - name`.
fn frame_name(line: &str) -> Option<&str> {
    let (number, name) = line.trim_start().split_once(": ")?;
    number.parse::<u32>().ok()?;
    let name = match name.split_once(" - ") {
        Some((address, rest)) if address.starts_with("0x") => rest,
        _ => name,
    };
    Some(name.trim())
}

#[cfg(test)]
mod tests {
    use super::trimmed;

    #[test]
    fn keeps_what_the_reader_wrote() {
        let stack = "   \
   0: millpond::panic::note
             at src/panic.rs:1:1
   1: std::panicking::panic_with_hook
   2: std::sys::backtrace::__rust_end_short_backtrace::<std::panicking::x>
             at library/std:182:18
   3: __rustc::rust_begin_unwind
   4: core::panicking::panic_fmt
             at library/core:80:14
   5: core::option::unwrap_failed
   6: app::inner
             at src/main.rs:4:5
   7: std::panicking::catch_unwind
   8: app::outer
             at src/main.rs:9:5
   9: core::ops::function::Fn::call
  10: <F as millpond::function::Function<(A,)>>::call
             at src/function.rs:1:1
  11: millpond::function::millpond_entry_point
  12: std::panicking::catch_unwind
  13: main";
        let kept = "   \
   5: core::option::unwrap_failed
   6: app::inner
             at src/main.rs:4:5
   7: std::panicking::catch_unwind
   8: app::outer
             at src/main.rs:9:5";
        assert_eq!(trimmed(stack), kept);
    }

    #[test]
    fn knows_the_names_that_optimised_programs_have() {
        let stack = "   \
   4: std::sys::backtrace::__rust_end_short_backtrace
   5: core::panicking::panic_fmt
   6: inner
             at src/main.rs:4:5
   7: call
             at src/main.rs:9:5
   8: call<fn(u32), (u32)>
             at library/core/src/ops/function.rs:79:5
   9: call<fn(u32), (), u32>
             at src/function.rs:47:17
  10: millpond_entry_point<fn(u32), (u32)>
             at src/function.rs:113:38";
        let kept = "   \
   6: inner
             at src/main.rs:4:5
   7: call
             at src/main.rs:9:5";
        assert_eq!(trimmed(stack), kept);
    }

    #[test]
    fn keeps_what_it_does_not_know() {
        assert_eq!(trimmed("no stack here"), "no stack here");
        assert_eq!(trimmed("   0: a\n   1: b\n"), "   0: a\n   1: b");
        assert_eq!(trimmed(""), "");
    }
}
