//! Tests of `job.rs`.

use super::*;

fn job(tasks: u64) -> Job {
    let spec =
        JobSpec { function: b"", label: "", fail_fast: false, options: TaskOptions::DEFAULT };
    let mut job = Job::new(1, &spec);
    for _ in 0..tasks {
        job.add();
    }
    job
}

fn outcome() -> Outcome {
    Outcome::Cancelled(Reason::Terminated)
}

#[test]
fn an_outcome_that_was_taken_is_not_ended_again() {
    let mut job = job(2);
    job.end(1, outcome());
    assert!(job.take(1).is_some());
    job.end(1, outcome());
    assert_eq!(job.unfinished(), 1);
    assert!(job.take(1).is_none());
    job.end(0, outcome());
    assert_eq!(job.unfinished(), 0);
}

#[test]
fn nothing_is_kept_of_what_nobody_will_ask_for() {
    let mut job = job(3);
    job.end(1, outcome());
    job.abandon();
    job.end(0, outcome());
    assert_eq!(job.base, 2);
    job.add();
    job.end(3, outcome());
    job.end(2, outcome());
    assert!(job.outcomes.is_empty() && job.ended.is_empty());
    assert_eq!((job.unfinished(), job.base), (0, 4));
}

#[test]
fn a_wait_for_room_ends_when_enough_tasks_have() {
    let mut job = job(3);
    assert!(!job.is_reached(Target::Unfinished(1)));
    job.end(0, outcome());
    job.end(2, outcome());
    assert!(job.is_reached(Target::Unfinished(1)));
    assert!(!job.is_reached(Target::Unfinished(0)));
}

#[test]
fn a_task_taken_out_of_order_costs_the_same_however_many_have_ended() {
    for count in [1_000_usize, 100_000] {
        let tasks = count as u64;
        let mut job = job(tasks);
        (0..tasks).for_each(|index| assert!(job.end(index, outcome()).is_none()));
        // The last first, but for one that holds the front.
        (1..tasks).rev().for_each(|index| drop(job.take(index).expect("not taken yet")));
        assert!(job.steps <= 3 * count, "{}", job.steps);
        assert!(job.ended.len() <= 3, "{}", job.ended.len());
        assert_eq!(job.take_next().map(|(index, _)| index), Some(0));
        assert!(job.take_next().is_none() && job.ended.is_empty());
    }
}

fn begin(job: &mut Job) -> Option<Vec<Option<Outcome>>> {
    job.begin_decoding(|_| true)
}

#[test]
fn one_thread_decodes_and_what_it_returns_is_there_again() {
    let mut job = job(2);
    assert!(begin(&mut job).is_none(), "it is not over");
    (0..2).for_each(|index| drop(job.end(index, outcome())));
    job.sealed = true;
    assert!(job.begin_decoding(|_| false).is_none());
    let mut outcomes = begin(&mut job).expect("it is over");
    assert_eq!(outcomes.iter().flatten().count(), 2);
    assert!(begin(&mut job).is_none(), "the first thread is not done");
    outcomes[0] = None;
    job.end_decoding(&mut outcomes);
    let again = begin(&mut job).expect("the first thread is done");
    assert!(matches!(again[..], [None, Some(_)]));
}

#[test]
fn a_job_that_is_given_up_is_cancelled_whatever_its_tasks_return() {
    let mut job = job(2);
    job.sealed = true;
    job.end(0, Outcome::Cancelled(Reason::Terminated));
    assert!(job.give_up() && job.is_over());
    assert!(!job.give_up(), "it is over");
    let outcomes = begin(&mut job).expect("it is over");
    assert!(matches!(outcomes[..], [Some(Outcome::Cancelled(Reason::Cancelled))]));
}

#[test]
fn an_outcome_that_is_put_back_is_taken_once_more_in_its_turn() {
    let mut job = job(4);
    [1, 0, 2].into_iter().for_each(|index| drop(job.end(index, outcome())));
    for _ in 0..2 {
        let taken = [job.take_next(), job.take_next()].map(|taken| taken.expect("it ended"));
        assert_eq!([taken[0].0, taken[1].0], [1, 0]);
        taken.into_iter().rev().for_each(|(index, outcome)| job.put_back(index, outcome));
    }
    assert!(job.is_reached(Target::Index(1)) && job.is_reached(Target::Any));
    assert_eq!([1, 0, 2].map(|_| job.take_next().map(|(index, _)| index)), [1, 0, 2].map(Some));
    assert!(job.take_next().is_none());
    assert_eq!((job.base, job.stale, job.ended.len()), (3, 0, 0));
}

#[test]
fn nothing_is_kept_of_what_was_taken_out_of_order() {
    let mut job = job(100);
    for index in (0..100).rev() {
        job.end(index, outcome());
    }
    while job.take_next().is_some() {}
    assert!(job.outcomes.is_empty());
    assert_eq!(job.base, 100);
}
