//! Roles in processes of their own, killed at random and restarted, watched all the time.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::ops::AddAssign;
use std::thread::sleep;
use std::time::{Duration, Instant};

use millpond::JoinHandle;
use serde::{Deserialize, Serialize};

use crate::channels::ChannelPart;
use crate::ledger::Account;
use crate::locks::LockPart;
use crate::peers::Host;
use crate::slot::Slot;
use crate::waiting::WaitingPart;

/// For anything that has to happen on a loaded machine. It ends a run that hangs; no run that goes
/// well depends on it.
pub(crate) const BOUND: Duration = Duration::from_secs(30);
/// Progress that each role must make after the last kill.
const LAST_BEATS: u64 = 20;
const MEAN_PAUSE: f64 = 0.006;
/// The engine keeps one slab for each of its three sizes of slots as long as the process lives.
const SLABS: usize = 3;
const SLAB_BYTES: u64 = (64 << 10) + (256 << 10);

/// What a role does, and with what.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Part {
    Lock(LockPart),
    Waiting(WaitingPart),
    Channel(ChannelPart),
    Host(Host),
}

fn run_role(part: Part, slot: Slot) {
    match part {
        Part::Lock(part) => part.run(&slot),
        Part::Waiting(part) => part.run(&slot),
        Part::Channel(part) => part.run(&slot),
        Part::Host(part) => part.run(&slot),
    }
}

/// A role: its part, its slot, and the process that runs it at the moment.
pub(crate) struct Role {
    pub(crate) name: &'static str,
    pub(crate) slot: Slot,
    part: Part,
    exit: u64,
    process: Option<JoinHandle<()>>,
    seen: (u64, Instant),
}

impl Role {
    fn start(&mut self) {
        let process = millpond::spawn(run_role, (self.part.clone(), self.slot.clone()));
        self.process = Some(process.expect("a process"));
        self.seen = (self.slot.beats(), Instant::now());
    }
}

/// By a role's name and its state at its death, how many were killed.
pub(crate) type Killed = BTreeMap<(&'static str, u64), u64>;

type Check = Box<dyn FnMut(&[Role], &Killed, &mut Outcome)>;

/// Some primitives, roles that use them, and what has to be true of them.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) roles: Vec<Role>,
    /// Told of each role that was killed, before it starts anew.
    pub(crate) on_kill: Box<dyn FnMut(&Role)>,
    /// Frees those that wait for the last time, between the first exit and the second.
    pub(crate) wake: Box<dyn Fn(&Slot)>,
    /// What is wrong now that all have left.
    pub(crate) check: Check,
    slots: Box<dyn Iterator<Item = Slot>>,
}

impl Scenario {
    pub(crate) fn new(name: &'static str) -> millpond::Result<Self> {
        Ok(Self {
            name,
            roles: Vec::new(),
            on_kill: Box::new(|_| {}),
            wake: Box::new(|_| {}),
            check: Box::new(|_, _, _| {}),
            slots: Box::new(Slot::all()?),
        })
    }

    /// Adds a role that leaves by itself once the phase is its `exit`, 1 or 2.
    pub(crate) fn start_role(&mut self, name: &'static str, part: Part, exit: u64) -> Slot {
        let slot = self.slots.next().expect("slots for all");
        let seen = (0, Instant::now());
        self.roles.push(Role { name, slot: slot.clone(), part, exit, process: None, seen });
        slot
    }
}

/// What became of a scenario.
#[derive(Default)]
pub(crate) struct Outcome {
    name: &'static str,
    pub(crate) kills: u64,
    operations: u64,
    pub(crate) hangs: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) leaked: u64,
    pub(crate) faults: Vec<String>,
    pub(crate) remarks: Vec<(&'static str, u64)>,
    seconds: f64,
}

impl Outcome {
    pub(crate) fn add(&mut self, account: Account) {
        self.lost += account.lost;
        self.doubled += account.doubled;
        self.remarks.push(("arrived", account.arrived));
        self.remarks.push(("went down with a consumer", account.excused));
        if account.lost + account.doubled > 0 {
            let (lost, doubled) = (account.lost, account.doubled);
            self.faults.push(format!("{lost} items lost, {doubled} doubled"));
        }
        self.faults.extend(account.faults);
    }
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.kills += other.kills;
        self.hangs += other.hangs;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.leaked += other.leaked;
        self.faults.extend(other.faults);
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} kills, {} operations", self.name, self.kills, self.operations)?;
        self.remarks.iter().try_for_each(|(what, count)| write!(f, ", {count} {what}"))?;
        if self.faults.is_empty() {
            write!(f, "; ok ({:.1} s)", self.seconds)
        } else {
            write!(f, "; FAILED: {} ({:.1} s)", self.faults.join("; "), self.seconds)
        }
    }
}

/// Numbers that look random; splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn pause(&mut self) -> Duration {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        Duration::from_secs_f64(-(1.0 - unit).ln() * MEAN_PAUSE)
    }
}

/// Runs a scenario to its end, and looks for what is left of it.
pub(crate) fn perform(mut scenario: Scenario, kills: u64, seed: u64) -> Outcome {
    let start = Instant::now();
    let mut outcome = Outcome { name: scenario.name, ..Outcome::default() };
    if let Err(fault) = run(&mut scenario, kills, Random(seed), &mut outcome) {
        outcome.faults.push(fault);
    }
    outcome.operations = scenario.roles.iter().map(|role| role.slot.beats()).sum();
    for process in scenario.roles.iter_mut().filter_map(|role| role.process.take()) {
        let _ = process.kill();
        let _ = process.join();
    }
    drop(scenario);
    find_remains(&mut outcome);
    outcome.seconds = start.elapsed().as_secs_f64();
    outcome
}

fn run(
    scenario: &mut Scenario,
    kills: u64,
    mut random: Random,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let mut killed = Killed::new();
    scenario.roles.iter_mut().for_each(Role::start);
    await_beats(scenario, 1, outcome)?;
    let mut shown = Instant::now();
    while outcome.kills < kills {
        sleep(random.pause());
        watch(scenario, outcome)?;
        let at_once = if random.below(10) == 0 { 2 + random.below(2) } else { 1 };
        for _ in 0..at_once {
            let index = random.below(scenario.roles.len() as u64) as usize;
            kill(scenario, index, &mut killed)?;
            outcome.kills += 1;
        }
        if shown.elapsed() > Duration::from_secs(2) {
            shown = Instant::now();
            eprintln!("{}: {} of {kills} kills", scenario.name, outcome.kills);
        }
    }
    await_beats(scenario, LAST_BEATS, outcome)?;
    let slot = scenario.roles[0].slot.clone();
    for phase in 1..=2 {
        slot.begin_phase(phase);
        if phase == 2 || scenario.roles.iter().all(|role| role.exit == 1) {
            (scenario.wake)(&slot);
        }
        leave(scenario, phase, outcome)?;
    }
    (scenario.check)(&scenario.roles, &killed, outcome);
    Ok(())
}

fn kill(scenario: &mut Scenario, index: usize, killed: &mut Killed) -> Result<(), String> {
    let role = &mut scenario.roles[index];
    let process = role.process.take().expect("it was started");
    process.kill().map_err(|error| format!("{} was not killed: {error}", role.name))?;
    let ended = process.join();
    match ended.as_ref().map_err(|error| error.signal_name()) {
        Err(Some("SIGKILL")) => {}
        _ => return Err(format!("{} ended by itself: {ended:?}", role.name)),
    }
    *killed.entry((role.name, role.slot.state())).or_default() += 1;
    (scenario.on_kill)(role);
    role.start();
    Ok(())
}

fn watch(scenario: &mut Scenario, outcome: &mut Outcome) -> Result<(), String> {
    for role in &mut scenario.roles {
        let beats = role.slot.beats();
        if beats != role.seen.0 {
            role.seen = (beats, Instant::now());
        }
    }
    let stuck = scenario.roles.iter().find(|role| role.seen.1.elapsed() > BOUND);
    match stuck.map(|role| role.name) {
        Some(name) => Err(hang(scenario, &format!("{name} made no progress"), outcome)),
        None => Ok(()),
    }
}

fn await_beats(scenario: &Scenario, count: u64, outcome: &mut Outcome) -> Result<(), String> {
    let goals: Vec<_> = scenario.roles.iter().map(|role| role.slot.beats() + count).collect();
    let start = Instant::now();
    while scenario.roles.iter().zip(&goals).any(|(role, goal)| role.slot.beats() < *goal) {
        if start.elapsed() > BOUND {
            return Err(hang(scenario, "not all go on", outcome));
        }
        sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn leave(scenario: &mut Scenario, phase: u64, outcome: &mut Outcome) -> Result<(), String> {
    let start = Instant::now();
    for role in scenario.roles.iter_mut().filter(|role| role.exit == phase) {
        let process = role.process.as_mut().expect("it was started");
        let left = BOUND.saturating_sub(start.elapsed());
        match process.join_timeout(left) {
            Ok(()) => {}
            Err(error) if error.kind() == millpond::ErrorKind::TimedOut => {
                let what = format!("{} does not end", role.name);
                return Err(hang(scenario, &what, outcome));
            }
            Err(error) => return Err(format!("{} failed: {error}", role.name)),
        }
    }
    Ok(())
}

/// Shows where each role stands.
fn hang(scenario: &Scenario, what: &str, outcome: &mut Outcome) -> String {
    outcome.hangs += 1;
    for role in &scenario.roles {
        let Some(process) = &role.process else { continue };
        let pid = process.pid();
        let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let (name, state, beats) = (role.name, role.slot.state(), role.slot.beats());
        eprintln!("{name} {pid}, state {state}, {beats} beats: {}", read("wchan"));
        eprintln!("  system call {}{}", read("syscall"), read("stack"));
    }
    format!("hang: {what}")
}

fn find_remains(outcome: &mut Outcome) {
    let start = Instant::now();
    loop {
        let regions = regions();
        let bytes = shared_bytes();
        let children = millpond::active_children().len();
        if regions <= SLABS && bytes <= SLAB_BYTES && children == 0 {
            return;
        }
        if start.elapsed() > Duration::from_secs(15) {
            outcome.leaked += (regions.saturating_sub(SLABS) + children) as u64;
            outcome.leaked += bytes.saturating_sub(SLAB_BYTES) / 4096;
            outcome.faults.push(format!(
                "left behind: {regions} regions, {bytes} bytes in use, {children} children"
            ));
            return;
        }
        sleep(Duration::from_millis(20));
    }
}

/// How many descriptors of shared memory are open.
fn regions() -> usize {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc");
    let targets = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("/memfd:")).count()
}

/// Bytes of shared memory that this process has in use.
fn shared_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("RssShmem:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
