//! A process that is yet to be started.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

use millpond_core::os::fork;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::child::Child;
use super::handle::ProcessHandle;
use super::identity::Identity;
use super::launch::Launch;
use super::registry::Registry;
use super::result_slot::Call;
use crate::codec;
use crate::error::{Cause, Error, Result, Subject};
use crate::function::{Function, FunctionId, must_capture_nothing};
use crate::image::Image;
use crate::init;
use crate::wire_handle;

/// A function that is to run in a process of its own.
///
/// [`new`](Process::new) takes the function, [`arg`](Process::arg) or [`args`](Process::args) what
/// it is called with, and [`start`](Process::start) starts the process and gives the
/// [`ProcessHandle`] to join it by.
///
/// The child is this program, started anew: it shares no memory with this process, neither
/// variables nor open files. It has its arguments and environment, its current directory, its
/// standard output and error; its standard input is empty.
///
/// A function is a plain `fn` or a closure that captures nothing. Arguments and result are values
/// of serde that own what they hold.
///
/// ```
/// use millpond::Process;
///
/// fn greet(name: String, times: usize) -> String {
///     format!("hello {name}! ").repeat(times)
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let greeting = Process::new(greet).args(("Ada".to_owned(), 2)).name("greeter").start()?;
///     let square = Process::new(|number: u64| number * number).arg(12).start()?;
///     assert_eq!(greeting.join()?, "hello Ada! hello Ada! ");
///     assert_eq!(square.join()?, 144);
///     Ok(())
/// }
/// ```
///
/// What a closure captures would stay behind, so a closure that captures is refused:
///
/// ```compile_fail,E0080
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let factor = std::env::args().count() as u64;
///     millpond::Process::new(move |number: u64| number * factor).arg(12).start()?.join()?;
///     Ok(())
/// }
/// ```
///
/// As is a function pointer, which means something in this process only:
///
/// ```compile_fail,E0080
/// fn double(number: u64) -> u64 {
///     number * 2
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let pointer: fn(u64) -> u64 = double;
///     millpond::Process::new(pointer).arg(12).start()?.join()?;
///     Ok(())
/// }
/// ```
///
/// And a process whose function lacks its arguments cannot be started:
///
/// ```compile_fail,E0277
/// fn double(number: u64) -> u64 {
///     number * 2
/// }
///
/// millpond::Process::new(double).start();
/// ```
#[must_use = "it runs when it is started"]
#[derive(Clone)]
pub struct Process<F, Args, State = Missing> {
    function: F,
    arguments: State,
    name: Option<String>,
    daemon: bool,
    signature: PhantomData<fn(Args)>,
}

/// The state of a [`Process`] whose arguments have not been given.
#[derive(Clone, Copy, Debug)]
pub struct Missing;

/// The state of a [`Process`] whose arguments have been given.
#[derive(Clone, Copy, Debug)]
pub struct Given<Args>(Args);

/// The state of a [`Process`] that can be started: its function has its arguments, or takes none.
#[diagnostic::on_unimplemented(
    message = "the arguments of the function are missing",
    label = "it takes `{Args}`",
    note = "call `.arg(…)` for the only one, or `.args((…, …))` for several, before `.start()`"
)]
pub trait Ready<Args> {
    /// The arguments.
    fn into_arguments(self) -> Args;
}

impl Ready<()> for Missing {
    fn into_arguments(self) {}
}

impl<Args> Ready<Args> for Given<Args> {
    fn into_arguments(self) -> Args {
        self.0
    }
}

impl<F, Args> Process<F, Args>
where
    F: Function<Args>,
{
    /// A process that will call `function`.
    pub fn new(function: F) -> Self {
        Self { function, arguments: Missing, name: None, daemon: false, signature: PhantomData }
    }

    /// The arguments of the function, as a tuple.
    pub fn args(self, arguments: Args) -> Process<F, Args, Given<Args>> {
        Process {
            function: self.function,
            arguments: Given(arguments),
            name: self.name,
            daemon: self.daemon,
            signature: PhantomData,
        }
    }
}

impl<F, A> Process<F, (A,)>
where
    F: Function<(A,)>,
{
    /// The argument of a function that takes one.
    pub fn arg(self, argument: A) -> Process<F, (A,), Given<(A,)>> {
        self.args((argument,))
    }
}

impl<F, Args, State> Process<F, Args, State> {
    /// Names the process, for people: in messages and in [`current_process`](crate::current_process).
    ///
    /// Otherwise it is `Process-1`, `Process-2` and so on; a child of `Process-2` is `Process-2:1`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether the process is to end when this one does.
    ///
    /// A daemon is killed (`SIGKILL`) at the moment in which this process ends, in whichever way:
    /// by returning from `main`, by `exit`, by a signal, also by `SIGKILL`. A process that is not
    /// a daemon, which is the default, goes on then. Join those that matter before `main` returns.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// Starts the process.
    ///
    /// It returns when the program is loaded in the child, before the function is called.
    ///
    /// # Errors
    /// Nothing has been started, because …
    /// - [`NotInitialized`](crate::ErrorKind::NotInitialized): [`init`](crate::init) was not called
    ///   first in `main`.
    /// - [`Codec`](crate::ErrorKind::Codec): an argument could not be encoded.
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): the function belongs to a shared library.
    /// - [`Io`](crate::ErrorKind::Io): processes, memory or file descriptors have run out.
    pub fn start(self) -> Result<ProcessHandle<F::Output>>
    where
        F: Function<Args>,
        F::Output: Serialize + DeserializeOwned + 'static,
        Args: Serialize + DeserializeOwned + 'static,
        State: Ready<Args>,
    {
        const { must_capture_nothing::<F>() }
        init::required()?;
        let registry = Registry::current();
        registry.sweep();
        let lineage = registry.next_lineage();
        let name = self.name.unwrap_or_else(|| default_name(&lineage));
        let function = type_name::<F>();
        let failed = |error: Error| {
            error.about(Subject::Process { name: name.clone(), pid: None, function })
        };
        let io = |what| move |source| Error::from(Cause::Io { what, source });

        let arguments = self.arguments.into_arguments();
        // Until the child is there, each error takes the wire handles back.
        let (arguments, sent) = wire_handle::sending_to_one(|| codec::encode(arguments));
        let arguments = arguments.map_err(|error| failed(Cause::Codec(error).into()))?;
        let call = Call {
            build: Image::of_this_program().build_id().clone(),
            function: FunctionId::of::<F, Args>(self.function).map_err(failed)?,
            name: name.clone(),
            lineage,
            daemon: self.daemon,
            parent_name: Identity::name_here().to_owned(),
            parent_pid: fork::pid(),
        };
        let launch = Launch::new(&call, &arguments)
            .map_err(|error| failed(io("be given its arguments")(error)))?;
        let (launch, started) = if self.daemon {
            registry.reaper().and_then(|reaper| reaper.launch(launch))
        } else {
            let started = launch.start();
            started.map(|started| (launch, started))
        }
        .map_err(|error| failed(io("be started")(error)))?;
        let (daemon, result_slot, reaped) = (self.daemon, launch.result_slot, Registry::forget);
        let child = Child::new(name, daemon, function, started, result_slot, sent, reaped);
        registry.add(child.clone());
        Ok(ProcessHandle::new(child))
    }
}

fn default_name(lineage: &[u64]) -> String {
    let numbers: Vec<String> = lineage.iter().map(u64::to_string).collect();
    format!("Process-{}", numbers.join(":"))
}

impl<F, Args, State: fmt::Debug> fmt::Debug for Process<F, Args, State> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("function", &type_name::<F>())
            .field("arguments", &self.arguments)
            .field("name", &self.name)
            .field("daemon", &self.daemon)
            .finish()
    }
}
