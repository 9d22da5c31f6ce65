//! Values that are one word out of a few.

use std::fmt;
use std::str::FromStr;

use nd_types::IngressKind;
use serde::{Deserialize, Serialize};

/// Why a word is not one of those expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not one of {}", .known.join(", "))]
pub struct InvalidWord {
    /// The word that was given.
    pub found: String,
    /// The words that may be written.
    pub known: &'static [&'static str],
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal $(| $alias:literal)*),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// The words that may be written.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word for this.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = InvalidWord;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                match s {
                    $($word $(| $alias)* => Ok(Self::$variant),)+
                    _ => Err(InvalidWord { found: s.to_owned(), known: Self::WORDS }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidWord;
            fn try_from(s: String) -> Result<Self, Self::Error> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }
    };
}

words! {
    /// When an instance that ended is started again.
    RestartPolicy {
        /// Whatever its exit code was.
        Always = "always",
        /// When it failed.
        OnFailure = "on-failure",
        /// Always, except after the user stopped it, also across a restart of the daemon.
        UnlessStopped = "unless-stopped",
        /// Not at all.
        Never = "never" | "no",
    }
}

words! {
    /// Which of the user's environments an app belongs to.
    Environment {
        /// Development.
        Dev = "dev" | "development",
        /// Staging.
        Staging = "staging" | "stage",
        /// Production.
        Prod = "prod" | "production",
    }
}

words! {
    /// What brings requests to an app.
    ProxyType {
        /// The daemon's own proxy.
        Embedded = "embedded",
        /// A Caddy beside the daemon, through its admin API.
        Caddy = "caddy",
        /// An nginx beside the daemon, through a file that it includes.
        Nginx = "nginx",
    }
}

impl From<ProxyType> for IngressKind {
    fn from(proxy: ProxyType) -> Self {
        match proxy {
            ProxyType::Embedded => Self::Embedded,
            ProxyType::Caddy => Self::Caddy,
            ProxyType::Nginx => Self::Nginx,
        }
    }
}

impl From<IngressKind> for ProxyType {
    fn from(kind: IngressKind) -> Self {
        match kind {
            IngressKind::Embedded => Self::Embedded,
            IngressKind::Caddy => Self::Caddy,
            IngressKind::Nginx => Self::Nginx,
        }
    }
}

words! {
    /// What an app speaks on its port.
    Protocol {
        /// HTTP/1.1.
        Http = "http" | "http1",
        /// HTTP/2 without TLS and without asking first, as gRPC has it.
        H2c = "h2c" | "grpc" | "http2",
    }
}

words! {
    /// What keeps a client with its instance.
    Sticky {
        /// A cookie of the proxy.
        Cookie = "cookie",
    }
}

words! {
    /// A signal that asks a process to end.
    StopSignal {
        /// Terminate, the usual request.
        Term = "SIGTERM" | "TERM" | "15",
        /// Interrupt, as Ctrl-C sends it.
        Int = "SIGINT" | "INT" | "2",
        /// Quit.
        Quit = "SIGQUIT" | "QUIT" | "3",
        /// Hang up.
        Hup = "SIGHUP" | "HUP" | "1",
        /// Kill, which no process can refuse.
        Kill = "SIGKILL" | "KILL" | "9",
        /// User-defined 1.
        Usr1 = "SIGUSR1" | "USR1" | "10",
        /// User-defined 2.
        Usr2 = "SIGUSR2" | "USR2" | "12",
        /// Change of window size, which some servers read as "finish and end".
        Winch = "SIGWINCH" | "WINCH" | "28",
    }
}

words! {
    /// How far another app must have come before one starts that depends on it.
    Condition {
        /// Its instances run.
        Started = "started" | "service_started",
        /// It passes its health check.
        Healthy = "healthy" | "service_healthy",
        /// It has ended with exit code 0: it prepares something, and another app needs what it made.
        Completed = "completed" | "service_completed_successfully",
    }
}

impl StopSignal {
    /// The signal's number on Linux.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Hup => 1,
            Self::Int => 2,
            Self::Quit => 3,
            Self::Kill => 9,
            Self::Usr1 => 10,
            Self::Usr2 => 12,
            Self::Term => 15,
            Self::Winch => 28,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_means_the_word() {
        assert_eq!("no".parse(), Ok(RestartPolicy::Never));
        assert_eq!("production".parse(), Ok(Environment::Prod));
        assert_eq!("15".parse(), Ok(StopSignal::Term));
    }

    #[test]
    fn a_foreign_word_is_told_the_known_ones() {
        let error = "alway".parse::<RestartPolicy>().unwrap_err();
        assert_eq!(error.to_string(), "`alway` is not one of always, on-failure, unless-stopped, never");
    }
}
