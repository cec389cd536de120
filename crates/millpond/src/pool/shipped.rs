//! A function as a pool's job names it.

use std::any::type_name;

use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::function::{Function, FunctionId};
use crate::message::Message;

/// A function of this program, for the workers of a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shipped {
    /// What workers find it by.
    pub(super) id: [u8; 8],
    /// Its path, for messages.
    pub(super) path: &'static str,
}

impl Shipped {
    pub(super) fn of<F, Form, Input>(function: F) -> Result<Self>
    where
        F: Function<Input, Form>,
        F::Output: Message,
        Input: DeserializeOwned + 'static,
    {
        let id = FunctionId::of::<F, Form, Input>(function)?;
        Ok(Self { id: id.to_bytes(), path: type_name::<F>() })
    }

    /// Its name without the way to it, for pictures.
    pub(super) fn label(&self) -> &'static str {
        label(self.path)
    }
}

fn label(path: &str) -> &str {
    let plain = path.split_once('<').map_or(path, |(plain, _)| plain);
    // A closure has no name; that of the function around it says where to look.
    let named = plain.trim_end_matches("::{{closure}}");
    let start = named.rfind("::").map_or(0, |at| at + 2);
    &plain[start..]
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn labels_are_short() {
        for (path, short) in [
            ("app::images::resize", "resize"),
            ("resize", "resize"),
            ("app::work<alloc::vec::Vec<u8>>", "work"),
            ("app::main::{{closure}}", "main::{{closure}}"),
            ("app::main::{{closure}}::{{closure}}", "main::{{closure}}::{{closure}}"),
        ] {
            assert_eq!(label(path), short);
        }
    }
}
