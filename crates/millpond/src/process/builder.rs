//! The start of a process.

use std::any::type_name;

use millpond_core::os::fork;

use super::child::Child;
use super::handle::JoinHandle;
use super::identity::Identity;
use super::launch::Launch;
use super::registry::Registry;
use super::result_slot::Call;
use crate::codec;
use crate::error::{Cause, Error, Result, Subject};
use crate::function::{Function, FunctionId, must_capture_nothing};
use crate::image::Image;
use crate::init;
use crate::message::Message;
use crate::wire_handle;

/// Calls a function in a process of its own.
///
/// The child is this program, started anew: it shares no memory with this process, neither
/// variables nor open files. It has its arguments and environment, its current directory, its
/// standard output and error; its standard input is empty. [`Builder`] has options.
///
/// A function is a plain `fn` or a closure that captures nothing. What it takes and returns are
/// values of serde that own what they hold. One argument is passed as it is, several are passed as
/// a tuple, none as `()`.
///
/// It returns when the program is loaded in the child, before the function is called.
///
/// ```
/// fn greet(name: String, times: usize) -> String {
///     format!("hello {name}! ").repeat(times)
/// }
///
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let greeting = millpond::spawn(greet, ("Ada".to_owned(), 2))?;
///     let square = millpond::spawn(|number: u64| number * number, 12)?;
///     let answer = millpond::spawn(|| 42, ())?;
///     assert_eq!(greeting.join()?, "hello Ada! hello Ada! ");
///     assert_eq!(square.join()?, 144);
///     assert_eq!(answer.join()?, 42);
///     Ok(())
/// }
/// ```
///
/// What a closure captures would stay behind, so a closure that captures is refused when the
/// program is built (by `cargo build`; `cargo check` does not come so far):
///
/// ```compile_fail,E0080
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let factor = std::env::args().count() as u64;
///     millpond::spawn(move |number: u64| number * factor, 12)?.join()?;
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
///     millpond::spawn(pointer, 12)?.join()?;
///     Ok(())
/// }
/// ```
///
/// And a function is not called without its arguments:
///
/// ```compile_fail,E0277
/// fn double(number: u64) -> u64 {
///     number * 2
/// }
///
/// millpond::spawn(double, ());
/// ```
///
/// # Errors
/// Nothing has been started, because …
/// - [`NotInitialized`](crate::ErrorKind::NotInitialized): [`init`](crate::init) was not called
///   first in `main`.
/// - [`Codec`](crate::ErrorKind::Codec): the input could not be encoded.
/// - [`InvalidInput`](crate::ErrorKind::InvalidInput): the function belongs to a shared library.
/// - [`Io`](crate::ErrorKind::Io): processes, memory or file descriptors have run out.
#[doc(alias = "Process")]
#[doc(alias = "start")]
pub fn spawn<F, Form, Input>(function: F, input: Input) -> Result<JoinHandle<F::Output>>
where
    F: Function<Input, Form>,
    F::Output: Message,
    Input: Message,
{
    const { must_capture_nothing::<F>() }
    Builder::new().start(function, input)
}

/// Options of a process that is to be started; [`spawn`](fn@spawn) does without.
///
/// ```
/// fn main() -> Result<(), millpond::Error> {
///     millpond::init();
///     let who = || millpond::current_process().name().to_owned();
///     let child = millpond::Builder::new().name("worker").spawn(who, ())?;
///     assert_eq!(child.join()?, "worker");
///     Ok(())
/// }
/// ```
#[must_use = "a process is started by `spawn`"]
#[derive(Clone, Debug, Default)]
pub struct Builder {
    name: Option<String>,
    ends_with_parent: bool,
}

impl Builder {
    /// The options that [`spawn`](fn@spawn) uses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the process, for people: in messages and in
    /// [`current_process`](crate::current_process).
    ///
    /// Otherwise it is `Process-1`, `Process-2` and so on; a child of `Process-2` is `Process-2:1`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether the process is to end when this one does.
    ///
    /// It is killed then (`SIGKILL`), in whichever way this process ends: by returning from
    /// `main`, by `exit`, by a signal, also by `SIGKILL`. Otherwise, which is the default, it goes
    /// on. Join those that matter before `main` returns.
    #[doc(alias = "daemon")]
    pub fn end_with_parent(mut self, yes: bool) -> Self {
        self.ends_with_parent = yes;
        self
    }

    /// Calls a function in a process of its own, as [`spawn`](fn@spawn) does.
    ///
    /// # Errors
    /// Those of [`spawn`](fn@spawn).
    pub fn spawn<F, Form, Input>(self, function: F, input: Input) -> Result<JoinHandle<F::Output>>
    where
        F: Function<Input, Form>,
        F::Output: Message,
        Input: Message,
    {
        const { must_capture_nothing::<F>() }
        self.start(function, input)
    }

    fn start<F, Form, Input>(self, called: F, input: Input) -> Result<JoinHandle<F::Output>>
    where
        F: Function<Input, Form>,
        F::Output: Message,
        Input: Message,
    {
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

        // Until the child is there, each error takes the wire handles back.
        let (arguments, sent) = wire_handle::sending_to_one(|| codec::encode(input));
        let arguments = arguments.map_err(|error| failed(Cause::Codec(error).into()))?;
        let daemon = self.ends_with_parent;
        let call = Call {
            build: Image::of_this_program().build_id().clone(),
            function: FunctionId::of::<F, Form, Input>(called).map_err(failed)?,
            name: name.clone(),
            lineage,
            daemon,
            parent_name: Identity::name_here().to_owned(),
            parent_pid: fork::pid(),
        };
        let launch = Launch::new(&call, &arguments)
            .map_err(|error| failed(io("be given its arguments")(error)))?;
        let (launch, started) = if daemon {
            registry.reaper().and_then(|reaper| reaper.launch(launch))
        } else {
            let started = launch.start();
            started.map(|started| (launch, started))
        }
        .map_err(|error| failed(io("be started")(error)))?;
        let (result_slot, reaped) = (launch.result_slot, Registry::forget);
        let child = Child::new(name, daemon, function, started, result_slot, sent, reaped);
        registry.add(child.clone());
        Ok(JoinHandle::new(child))
    }
}

fn default_name(lineage: &[u64]) -> String {
    let numbers: Vec<String> = lineage.iter().map(u64::to_string).collect();
    format!("Process-{}", numbers.join(":"))
}
