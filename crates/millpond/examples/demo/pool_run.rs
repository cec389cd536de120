//! The analysis in a pool of worker processes, one of which is killed on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use millpond::{ErrorKind, Pool, Timeline};

use crate::killer::Killer;
use crate::progress::Progress;
use crate::report::{FileReport, analyse_file};

/// A file that takes its worker with it so often is at fault itself.
const MAX_ATTEMPTS: u32 = 3;

/// What came of the analysis in a pool.
#[derive(Debug)]
pub(crate) struct PoolRun {
    pub(crate) reports: BTreeMap<String, FileReport>,
    pub(crate) took: Duration,
    pub(crate) tasks: u64,
    pub(crate) crashes: u64,
    pub(crate) resubmitted: usize,
    pub(crate) replacements: u64,
    pub(crate) timeline: Option<Timeline>,
}

/// Analyses files in a pool, and again those that were lost with a worker.
///
/// # Errors
/// Those of the pool, and when a file took its worker with it again and again.
pub(crate) fn analyse_in_pool(
    files: &[String],
    workers: usize,
    kill: bool,
    mut progress: Progress,
) -> Result<PoolRun, millpond::Error> {
    let mut reports = BTreeMap::new();
    let mut resubmitted = 0;
    let mut killer = kill.then(|| Killer::new(files.len() / 2));
    let pool = Pool::builder().workers(workers).trace(true).build()?;
    for attempt in 1.. {
        let missing: Vec<String> =
            files.iter().filter(|path| !reports.contains_key(*path)).cloned().collect();
        if missing.is_empty() {
            break;
        }
        if attempt > 1 {
            resubmitted += missing.len();
        }
        for result in pool.map_unordered(analyse_file, missing) {
            match result {
                Ok(report) => drop(reports.insert(report.path.clone(), report)),
                Err(error) if error.kind() == ErrorKind::Crashed && attempt < MAX_ATTEMPTS => {
                    progress.note(&format!("{error}; the pool goes on"));
                }
                Err(error) => return Err(error.into()),
            }
            progress.advance(reports.len());
            if let Some(pid) = killer.as_mut().and_then(|k| k.strike(&pool, reports.len())) {
                progress.note(&format!("sent SIGKILL to worker {pid}"));
            }
        }
    }
    pool.close();
    pool.join()?;
    let took = progress.finish();
    let stats = pool.stats();
    Ok(PoolRun {
        reports,
        took,
        tasks: stats.submitted,
        crashes: stats.crashes,
        resubmitted,
        replacements: stats.replacements,
        timeline: pool.timeline(),
    })
}
