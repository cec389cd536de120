//! Analyses every source file of Python's standard library: serially, then in a pool.
//!
//! In the middle of the pool's run one worker is killed. The pool reports what was lost, this
//! program asks for it again, and in the end the results of both runs are the same.

mod arguments;
mod decisions;
mod files;
mod findings;
mod killer;
mod output;
mod pool_run;
mod progress;
mod report;
mod table;
mod tokenizer;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Write, stdout};
use std::process::ExitCode;

use arguments::{Arguments, HELP};
use findings::Findings;
use pool_run::analyse_in_pool;
use progress::Progress;
use report::{FileReport, analyse_file};

/// How many files and names the tables list.
const TOP: usize = 10;

fn main() -> ExitCode {
    millpond::init();
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("demo: {error}");
            return ExitCode::from(2);
        }
    };
    if arguments.help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match demonstrate(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let source = arguments.source.clone().map_or_else(files::standard_library, Ok)?;
    let files = files::python_files(&source)?;
    if files.is_empty() {
        return Err(format!("there are no Python files in {}", source.display()).into());
    }
    writeln!(stdout(), "{} files in {}\n", table::grouped(files.len() as u64), source.display())?;

    let mut progress = Progress::new("serial", files.len());
    let serial = analyse_serially(&files, &mut progress);
    let serial_took = progress.finish();

    let workers = arguments.workers.unwrap_or_else(millpond::cpu_count);
    let progress = Progress::new(format!("pool of {workers}"), files.len());
    let run = analyse_in_pool(&files, workers, arguments.kill, progress)?;

    if let Some(path) = files.iter().find(|&path| run.reports.get(path) != serial.get(path)) {
        return Err(format!("the results differ, for instance those of {path}").into());
    }
    let findings = Findings::of(serial.values(), TOP);
    let mut stdout = stdout().lock();
    writeln!(stdout, "\n{}", output::run_table(serial_took, workers, &run))?;
    writeln!(stdout, "{}", output::findings_tables(&findings, &source))?;
    if let (Some(path), Some(mut timeline)) = (&arguments.timeline, run.timeline) {
        timeline.title = format!("{} source files analysed", table::grouped(files.len() as u64));
        let saved = timeline.save(path);
        saved.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        writeln!(stdout, "Timeline: {}", path.display())?;
    }
    Ok(())
}

fn analyse_serially(files: &[String], progress: &mut Progress) -> BTreeMap<String, FileReport> {
    let mut reports = BTreeMap::new();
    for path in files {
        reports.insert(path.clone(), analyse_file(path.clone()));
        progress.advance(reports.len());
    }
    reports
}
