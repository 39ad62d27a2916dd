//! What the service and its schedule are told on the command line.

use clap::{Args, Subcommand, ValueEnum};

/// `schedule`
#[derive(Debug, Args)]
pub(crate) struct ScheduleArgs {
    #[command(subcommand)]
    pub(crate) command: ScheduleCommand,
}

/// What to do with what is scheduled
#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// All firings that are not over, and the pauses that hold
    List {
        /// Also those that are over
        #[arg(long)]
        done: bool,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 1000)]
        limit: u64,
    },
    /// What starts next
    Next {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 10)]
        limit: u64,
    },
    /// Let nothing start that the selector matches, until `resume`; what was begun goes on
    Pause {
        /// A ref with globs, an id or its beginning, or terms such as `kind=password backend=db`
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        selector: Vec<String>,
        /// Everything
        #[arg(long)]
        all: bool,
        /// Why; it goes into the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Have what is scheduled start at once, whatever its window and its due time say; approvals and pauses hold
    Run {
        /// A ref with globs, an id or its beginning, or terms such as `kind=password backend=db`
        #[arg(required = true)]
        selector: Vec<String>,
        /// Why; it goes into the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// End a pause
    Resume {
        /// The pause's id or its beginning; `schedule list` shows them
        pause: String,
        /// Why; it goes into the audit log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// What a process of the service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    /// Answer the API, for whoever shows who they are: `claviger token create`
    Api,
    /// Plan what is due, and scan; of several processes one at a time does
    Scheduler,
    /// Carry out what is due, and take up what was left
    Worker,
}

/// `serve`
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// What this process does; health and metrics are answered for every role
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [RoleName::Api, RoleName::Scheduler, RoleName::Worker])]
    pub(crate) roles: Vec<RoleName>,
    /// Where to listen; port 0 takes a free one, and standard error says which
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8470")]
    pub(crate) listen: std::net::SocketAddr,
}
