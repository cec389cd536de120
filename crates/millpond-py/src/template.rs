//! The template of a program's zygotes, as its owner has it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use millpond_core::os::inherited::duplicate;
use millpond_core::pool::zygote::client::NewZygote;
use millpond_core::pool::zygote::template::{Answer, TemplateClient};
use pyo3::prelude::*;

use crate::os_error::os_error;
use crate::zygote::{PyZygoteFds, used};

/// A zygote that a template forked.
#[pyclass(name = "ForkedZygote", module = "millpond._engine")]
pub(crate) struct PyForkedZygote(Option<NewZygote>);

impl PyForkedZygote {
    pub(crate) fn take(&mut self) -> PyResult<NewZygote> {
        self.0.take().ok_or_else(used)
    }
}

/// The owner's side of a template.
#[pyclass(name = "TemplateClient", module = "millpond._engine")]
pub(crate) struct PyTemplateClient {
    client: TemplateClient,
    /// The template's own, until it has them.
    theirs: Option<[OwnedFd; 2]>,
}

/// A kind of answer, the number of a zygote, and the zygote or the error.
type PyAnswer<'py> = (&'static str, u64, Option<Bound<'py, PyAny>>);

#[pymethods]
impl PyTemplateClient {
    #[new]
    fn new() -> PyResult<Self> {
        let (client, socket, lifeline) = TemplateClient::pair().map_err(os_error)?;
        Ok(Self { client, theirs: Some([socket, lifeline]) })
    }

    /// The numbers of the descriptors that the template is to inherit: its socket, and the lifeline.
    fn numbers(&self) -> PyResult<[i32; 2]> {
        Ok(self.theirs.as_ref().ok_or_else(used)?.each_ref().map(AsRawFd::as_raw_fd))
    }

    /// Closes these descriptors here: the template has them.
    fn started(&mut self) {
        self.theirs = None;
    }

    /// Asks for a zygote, whose workers get the other descriptors too. The template must be ready.
    fn request(&self, number: u64, fds: &PyZygoteFds, passed: Vec<i32>) -> PyResult<()> {
        let fds = fds.0.as_ref().ok_or_else(used)?;
        let passed: Vec<_> = passed.into_iter().map(duplicate).collect::<Result<_, _>>()?;
        let passed: Vec<_> = passed.iter().map(AsFd::as_fd).collect();
        Ok(self.client.request(number, fds, &passed)?)
    }

    /// What the template says next, `None` if it says nothing for so many seconds. A kind (`ready`,
    /// `forked`, `failed`, `gone`), the zygote's number, and the zygote or the error.
    fn answer<'py>(&self, py: Python<'py>, wait: f64) -> PyResult<Option<PyAnswer<'py>>> {
        let wait = Duration::try_from_secs_f64(wait).unwrap_or_default();
        let answer = py.detach(|| self.client.answer(wait))?;
        Ok(match answer {
            None => None,
            Some(Answer::Ready) => Some(("ready", 0, None)),
            Some(Answer::Gone) => Some(("gone", 0, None)),
            Some(Answer::Forked(number, pid, pidfd)) => {
                let zygote = PyForkedZygote(Some(NewZygote { pid, pidfd: Some(pidfd) }));
                Some(("forked", number, Some(Bound::new(py, zygote)?.into_any())))
            }
            Some(Answer::Failed(number, error)) => Some((
                "failed",
                number,
                Some(os_error(error).into_value(py).into_bound(py).into_any()),
            )),
        })
    }
}
