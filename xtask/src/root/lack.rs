//! What a machine needs for the root, and may lack.

use std::fmt;

/// Debian's development suite, which has CPython's newest releases.
pub(crate) const SUITE: &str = "sid";

/// Why a machine cannot have the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lack {
    /// The user is not root.
    Privileges,
    /// Mount namespaces are refused, as in most containers.
    Namespaces,
    /// There is no apt.
    Apt,
    /// apt fetches nothing from Debian.
    Debian,
    /// The mirror that apt uses does not have the suite.
    Suite { mirror: String },
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Privileges => f.write_str("that takes root"),
            Self::Namespaces => f.write_str("mount namespaces are not permitted here"),
            Self::Apt => f.write_str("this machine has no apt"),
            Self::Debian => f.write_str("this machine's apt has no mirror of Debian"),
            Self::Suite { mirror } => {
                write!(f, "the mirror of this machine's apt, {mirror}, does not have {SUITE}")
            }
        }
    }
}
