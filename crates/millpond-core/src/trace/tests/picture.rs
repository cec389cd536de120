//! What is in the picture, and where.

use super::markup_check::assert_well_formed;
use super::runs::{BEGIN, MS, ended, life, of_short_tasks, span, with_a_crash};
use crate::trace::chart::Chart;
use crate::trace::scale::{GUTTER, MARGIN, WIDTH};
use crate::trace::summary::Summary;
use crate::trace::{Outcome, Timeline};

/// Where the symbols of this name are, from left to right.
fn places_of(markup: &str, name: &str) -> Vec<f64> {
    let start = format!(r#"<g class="{name}" transform="translate("#);
    let x = |element: &str| element.split(' ').next()?.parse().ok();
    markup.split(&start).skip(1).map(|element| x(element).expect("an x")).collect()
}

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() < 0.1
}

fn assert_fine(timeline: &Timeline) {
    for markup in [timeline.to_svg(), timeline.to_html()] {
        assert_well_formed(&markup);
        assert!(!markup.contains("NaN") && !markup.contains("=\"inf"), "a number went wrong");
    }
}

#[test]
fn a_run_of_nothing_is_a_picture_too() {
    let empty = Timeline::default();
    assert_fine(&empty);
    assert!(empty.to_svg().contains("nothing was recorded"));
    assert_eq!(Summary::of(&empty).utilisation(), 0.0);
}

#[test]
fn figures_of_a_run() {
    let summary = Summary::of(&with_a_crash());
    assert_eq!((summary.tasks, summary.items, summary.failed), (6, 24, 1));
    assert_eq!((summary.workers, summary.crashes, summary.replacements), (2, 1, 1));
    assert_eq!((summary.wall_ns, summary.busy_ns), (1_000 * MS, 1_880 * MS));
    assert!(near(summary.utilisation(), 0.94));
}

#[test]
fn every_long_task_is_a_bar_of_its_colour_with_a_tooltip() {
    let svg = with_a_crash().to_svg();
    assert_fine(&with_a_crash());
    for task in 1..=6 {
        assert!(svg.contains(&format!("<title>task {task}: analyse")), "no task {task}");
    }
    assert!(svg.contains("task 4: analyse\ncrashed, 4 items in 100 ms\nat 400 ms, by pid 101"));
    assert!(svg.contains("task 5: analyse\nfailed, 4 items in 300 ms"));
    let bars = |class: &str| {
        let start = format!(r#"<rect class="{class}""#);
        let inside =
            |element: &&str| element.split_once('>').is_some_and(|(_, i)| i.starts_with("<title>"));
        svg.split(&start).skip(1).filter(inside).count()
    };
    assert_eq!((bars("done"), bars("failed"), bars("lost")), (4, 1, 1));
}

#[test]
fn crash_and_replacement_are_marked_when_they_happened() {
    let svg = with_a_crash().to_svg();
    let at = |share: f64| GUTTER + share * (WIDTH - MARGIN - GUTTER);
    let lanes = svg.split_once("worker 0</text>").expect("lanes").1;
    let crashes = places_of(lanes, "crash");
    let replacements = places_of(lanes, "replacement");
    assert!(crashes.len() == 1 && near(crashes[0], at(0.5)), "{crashes:?}");
    assert!(replacements.len() == 1 && near(replacements[0], at(0.51)), "{replacements:?}");
    assert!(svg.contains("pid 101: killed by SIGKILL\nat 500 ms\nlost task 4: analyse, 4 items"));
    assert!(svg.contains("pid 102 replaces 101, 10.0 ms after its death"));
}

#[test]
fn the_page_lists_the_crashes() {
    let html = with_a_crash().to_html();
    assert!(html.contains("pid 101 was killed by SIGKILL"));
    assert!(html.contains("by pid 102 after 10.0 ms"));
    let calm = Timeline { spans: vec![span(0, 1, 0, 10)], ..Timeline::default() };
    assert!(!calm.to_html().contains("<h2>Crashes"));
}

#[test]
fn only_unexpected_deaths_are_crashes() {
    let count = |lives| Summary::of(&Timeline { lives, ..Timeline::default() });
    let terminated = count(vec![ended(0, 7, 0, 9, "killed by SIGTERM")]);
    assert_eq!((terminated.crashes, terminated.replacements), (0, 0));
    let retired = count(vec![ended(0, 7, 0, 9, "exited with code 0"), life(0, 8, 9)]);
    assert_eq!((retired.crashes, retired.replacements), (0, 1));
    let killed_idle = count(vec![life(0, 8, 9), ended(0, 7, 0, 9, "killed by SIGKILL")]);
    assert_eq!((killed_idle.crashes, killed_idle.replacements), (1, 1));
}

#[test]
fn an_exit_in_a_task_is_a_crash_even_with_code_0() {
    let lost = crate::trace::Span { outcome: Outcome::Crashed, ..span(0, 1, 0, 9) };
    let lives = vec![ended(0, 100, 0, 9, "exited with code 0")];
    let timeline = Timeline { spans: vec![lost.clone()], lives, ..Timeline::default() };
    assert_eq!(Summary::of(&timeline).crashes, 1);
    let without_life = Timeline { spans: vec![lost], ..Timeline::default() };
    assert_eq!(Summary::of(&without_life).crashes, 1);
    assert!(without_life.to_html().contains("pid 100 died"));
}

#[test]
fn a_hundred_thousand_short_tasks_make_a_small_picture_that_has_them_all() {
    let timeline = of_short_tasks(100_000);
    assert_fine(&timeline);
    let length = timeline.to_html().len();
    assert!(length < 1 << 20, "{length} bytes");
    let lanes = Chart::of(&timeline).lanes;
    let drawn: u64 = lanes.iter().flat_map(|l| &l.cells).map(|cell| cell.tasks).sum();
    assert_eq!(drawn, 100_000);
    let idle = lanes.iter().flat_map(|l| &l.cells).filter(|cell| cell.share < 0.98).count();
    assert!(idle <= 4, "{idle} cells look idle");
}

#[test]
fn failures_among_short_tasks_show() {
    let mut timeline = of_short_tasks(20_000);
    timeline.spans[9_000].outcome = Outcome::Failed;
    timeline.spans[9_001].outcome = Outcome::Crashed;
    let svg = timeline.to_svg();
    assert!(svg.contains(", 1 failed\n") && svg.contains(", 1 crashed\n"));
    assert_eq!(svg.matches(r#"<rect class="failed""#).count(), 2, "one and the legend's");
}

#[test]
fn ten_thousand_crashes_make_a_small_picture() {
    let deaths =
        (0..10_000).map(|n| ended(0, n, u64::from(n), u64::from(n) + 1, "killed by SIGSEGV"));
    let mut timeline = Timeline { lives: deaths.collect(), ..Timeline::default() };
    timeline.lives.push(life(0, 10_000, 10_000));
    assert_fine(&timeline);
    let html = timeline.to_html();
    assert!(html.len() < 1 << 20, "{} bytes", html.len());
    assert!(html.contains("<p>and 9,800 more</p>"));
    assert!(html.contains("more about then"));
}

#[test]
fn names_are_text_whatever_is_in_them() {
    let mut timeline = with_a_crash();
    timeline.title = "</title><script>alert(1)</script>".to_owned();
    for span in &mut timeline.spans {
        span.label = "\"<lambda> & '\u{1b}[31m".to_owned();
    }
    assert_fine(&timeline);
    let html = timeline.to_html();
    assert!(!html.contains("<lambda>") && !html.contains("<script>alert"));
    assert!(html.contains("&quot;&lt;lambda&gt; &amp; &#39;\u{fffd}[31m"));
}

#[test]
fn odd_records_do_no_harm() {
    let mut timeline = with_a_crash();
    timeline.spans.push(span(1_000_000, 7, 9, 3));
    timeline.spans.push(span(3, 8, 5, 5));
    timeline.lives.push(life(3, 0, 0));
    assert_fine(&timeline);
    timeline.spans[0].start_ns = 0;
    timeline.spans[1].end_ns = u64::MAX;
    assert_fine(&timeline);
    timeline.spans.reverse();
    assert_fine(&timeline);
}

#[test]
fn there_is_a_lane_for_each_of_many_workers() {
    let spans = (0..300).map(|worker| span(worker, 1, 0, 100)).collect();
    let timeline = Timeline { spans, ..Timeline::default() };
    assert_fine(&timeline);
    assert!((0..300).all(|n| timeline.to_svg().contains(&format!(">worker {n}</text>"))));
}

#[test]
fn the_path_chooses_the_format() {
    let folder =
        std::env::temp_dir().join(format!("millpond-trace-{}-{BEGIN}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder");
    let saved = |name: &str| {
        let path = folder.join(name);
        with_a_crash().save(&path).map(|()| std::fs::read_to_string(path).expect("the file"))
    };
    let (svg, html) = (saved("run.SVG"), saved("run.html"));
    let nowhere = saved("missing/run.html");
    std::fs::remove_dir_all(&folder).expect("to remove the folder");
    assert!(svg.expect("saved").starts_with("<svg"));
    assert!(html.expect("saved").starts_with("<!DOCTYPE html>"));
    assert_eq!(nowhere.expect_err("no such folder").kind(), std::io::ErrorKind::NotFound);
}
