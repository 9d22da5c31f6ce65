//! As many open files as this process may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises what the shell gave, which is often 1024, to what the system allows: each client of the proxy needs two.
pub(crate) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(?current, ?maximum, %error, "raise the limit of open files; going on with what there is");
    }
}
