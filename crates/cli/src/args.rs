//! The command line, as in the contract: names here are used by scripts.

mod audit;
mod db;
mod keys;
mod service;
mod swap;
mod token;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use claviger_core::clock::{Clock as _, SystemClock};
use claviger_engine::selector::{self, Selector};

pub(crate) use self::{
    audit::{AuditArgs, AuditCommand},
    db::{DbArgs, DbCommand},
    keys::{KeysArgs, KeysCommand, PassphraseArgs},
    service::{RoleName, ScheduleArgs, ScheduleCommand, ServeArgs},
    swap::SwapArgs,
    token::{TokenArgs, TokenCommand},
};

/// Knows every long-lived credential that machines use, rotates them without losing one, and proves a revoked one dead.
#[derive(Debug, Parser)]
#[command(name = "claviger", version, about, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Configuration file [default: ./claviger.toml, ~/.config/claviger/config.toml, /etc/claviger/config.toml]
    #[arg(long, global = true, env = "CLAVIGER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Lifecycle database: sqlite://FILE or postgres://…
    #[arg(long, global = true, env = "CLAVIGER_DATABASE", value_name = "URL", hide_env_values = true)]
    pub(crate) database: Option<String>,
    /// Ask this service instead of the database and the backends; the token is in CLAVIGER_TOKEN or in --token-file
    #[arg(long, global = true, env = "CLAVIGER_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// File with the token that --server is shown
    #[arg(long, global = true, value_name = "FILE", requires = "server")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificates (PEM) that --server is trusted by, and no others [default: the system's]
    #[arg(long, global = true, env = "CLAVIGER_SERVER_CA", value_name = "FILE")]
    pub(crate) server_ca: Option<PathBuf>,
    /// Act as the person whose private key this is; [[approvers]] says who that is [default: `key` of [operator], else the machine's account]
    #[arg(long = "as", global = true, value_name = "FILE")]
    pub(crate) operator: Option<PathBuf>,
    /// Format of the data on standard output
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// No progress and no remarks on standard error
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// More of what happens on standard error; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// No colour [env: NO_COLOR]
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Format of the log on standard error
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// Formats of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, cut to fit
    Table,
    /// Aligned columns, nothing cut
    Wide,
    /// One document
    Json,
    /// One line per item
    Jsonl,
    /// One document
    Yaml,
    /// RFC 4180, safe to open in a spreadsheet
    Csv,
}

/// Formats of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find what there is to connect to; write a commented claviger.toml and the keys
    Init(InitArgs),
    /// Per backend: is it reachable, are we authenticated, which permissions does each flow need and have
    Doctor(DoctorArgs),
    /// Run the whole loop on a built-in simulated estate: no server, no account
    Demo(DemoArgs),
    /// Take the inventory
    Scan(ScanArgs),
    /// List what the inventory knows
    List(ListArgs),
    /// One credential whole
    Show(ShowArgs),
    /// Read a leaked value on standard input: which credential is it, who uses it, what to do
    Trace(TraceArgs),
    /// Plan a rotation, ask, and carry it out
    Rotate(RotateArgs),
    /// Plan a revocation, ask, carry it out, and prove it
    Revoke(RevokeArgs),
    /// Plan to let short-lived workload identity take a static credential's place, ask, carry it out, and prove the static one dead
    Swap(SwapArgs),
    /// Before the old value is retired: everything back to it, proven
    Rollback(RollbackArgs),
    /// Take up interrupted work
    Resume(ResumeArgs),
    /// Decide about work that is paused or stuck
    Resolve(ResolveArgs),
    /// Write a report
    Report(ReportArgs),
    /// The tamper-evident log
    Audit(AuditArgs),
    /// Which policy holds for what
    Policy(PolicyArgs),
    /// Approve another person's plan, with a key of one's own
    Approve(ApproveArgs),
    /// Incidents: from exposed to proven
    Incident(IncidentArgs),
    /// Try again what was revoked, or what is in use: is it still dead, does it still log in?
    Verify(VerifyArgs),
    /// Plant a decoy, pretend that it leaked, revoke it, and measure
    Drill(DrillArgs),
    /// What is scheduled: firings and pauses
    Schedule(ScheduleArgs),
    /// Run the service: plan what is due, carry it out, keep the inventory fresh
    Serve(ServeArgs),
    /// Our own keys: those that make fingerprints, seal values and sign the audit log
    Keys(KeysArgs),
    /// Tokens of the API: who may do what over it
    Token(TokenArgs),
    /// The lifecycle database
    Db(DbArgs),
    /// Print a shell's completion script
    Completion(CompletionArgs),
    /// Print the manual page
    Man,
}

/// `init`
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Answer every question with yes
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `doctor`
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Only this backend
    pub(crate) backend: Option<String>,
}

/// `demo`
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where to put claviger.toml, claviger.db, keys/ and report.html; must not exist or be empty
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// `scan`
#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// Only these backends
    pub(crate) backends: Vec<String>,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Thing {
    /// Authenticators
    Credentials,
    /// Principals
    Identities,
    /// Places where a value lies
    Copies,
    /// Workloads that read a copy
    Consumers,
    /// Rules that hold
    Findings,
    /// Rotations
    Rotations,
    /// Revocations
    Revocations,
    /// Swaps to workload identity
    Swaps,
    /// What policies will have rotated, and when
    Schedules,
    /// Drills, with what they measured
    Drills,
    /// What others are to be told, and were not yet or could not be
    Notifications,
    /// What our own backends are logged in to with, with age and end
    Connections,
    /// Secrets of CI systems that nobody can read, and the credentials that they are probably copies of
    Proposals,
}

/// `list`
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// What
    #[arg(value_enum)]
    pub(crate) thing: Thing,
    /// A ref with globs, an id or its beginning, or terms such as `kind=password owner=payments`
    pub(crate) selector: Vec<String>,
    #[command(flatten)]
    pub(crate) condition: ConditionArgs,
    /// Also what is gone
    #[arg(long)]
    pub(crate) gone: bool,
}

/// `show`
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// An id, its beginning, or a ref
    pub(crate) id: String,
    /// Also ask the targets whom a replacement would save and what was obtained with it
    #[arg(long)]
    pub(crate) ask: bool,
}

/// `--where`
#[derive(Debug, Args)]
pub(crate) struct ConditionArgs {
    /// A condition in CEL over the fields of `list credentials`, such as `kind == "password" && copies > 1`
    #[arg(long = "where", id = "where", value_name = "CEL")]
    pub(crate) condition: Option<String>,
}

impl ConditionArgs {
    /// Words and condition as one selector. Ages in it are counted from now.
    pub(crate) fn selector(&self, words: &[String]) -> Result<Selector, claviger_engine::Error> {
        let words = selector::absolute(&words.join(" "), SystemClock.now())?;
        Selector::parse_with(&words, self.condition.as_deref())
    }
}

/// `policy`
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

/// What to do with policies
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// All of them, in the order in which they are tried
    List,
    /// Which one holds for a credential, when it is due, and why
    Test(PolicyTestArgs),
}

/// `policy test`
#[derive(Debug, Args)]
pub(crate) struct PolicyTestArgs {
    /// An id, its beginning, or a ref
    pub(crate) id: String,
}

/// What leaked values come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LeakFormat {
    /// One value, whatever it looks like
    Text,
    /// One value per line
    Lines,
    /// JSON report of gitleaks
    Gitleaks,
    /// JSON lines of TruffleHog
    Trufflehog,
    /// SARIF 2.1.0 of any scanner
    Sarif,
    /// Secret-scanning alerts of GitHub: a list, one, or a webhook's payload
    Github,
}

impl From<LeakFormat> for claviger_core::leak::Format {
    fn from(format: LeakFormat) -> Self {
        match format {
            LeakFormat::Text => Self::Text,
            LeakFormat::Lines => Self::Lines,
            LeakFormat::Gitleaks => Self::Gitleaks,
            LeakFormat::Trufflehog => Self::Trufflehog,
            LeakFormat::Sarif => Self::Sarif,
            LeakFormat::Github => Self::Github,
        }
    }
}

/// `trace`
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// One value per line instead of one value in all
    #[arg(long, conflicts_with = "from")]
    pub(crate) lines: bool,
    /// What it is; a scanner's report is known by itself
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) from: Option<LeakFormat>,
    /// Read this file instead of standard input; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,
}

/// What commands that change a target have in common.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Carry the plan out without asking
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
    /// Stop after the plan
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `rotate`
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// A ref with globs, an id or its beginning, or terms such as `kind=password owner=payments`
    #[arg(required_unless_present_any = ["where", "due"])]
    pub(crate) selector: Vec<String>,
    #[command(flatten)]
    pub(crate) condition: ConditionArgs,
    /// Only what its policy says is due and may start now (schedule, window, blackouts); for a timer that runs it often
    #[arg(long)]
    pub(crate) due: bool,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
    /// Why; it goes into the audit log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Go on although some copies cannot be written: they will hold the old value
    #[arg(long)]
    pub(crate) leave_stale: bool,
    /// Carry it out now; this is what happens without a flag
    #[arg(long, conflicts_with = "detach")]
    pub(crate) wait: bool,
    /// Only record it: `resume` carries it out, here or in another process on the same database
    #[arg(long)]
    pub(crate) detach: bool,
}

/// `revoke`
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// A ref with globs, an id or its beginning, or terms such as `identity=prod/ci/* created-before=90d`
    #[arg(required_unless_present = "where")]
    pub(crate) selector: Vec<String>,
    #[command(flatten)]
    pub(crate) condition: ConditionArgs,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
    /// Why; it goes into the audit log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Give its consumers a new value first; the old one then ends at once
    #[arg(long)]
    pub(crate) replace: bool,
    /// Also take the dead value out of its copies and their former versions
    #[arg(long)]
    pub(crate) scrub: bool,
    /// Go on where evidence cannot be had; never beats `retain` or a legal hold
    #[arg(long)]
    pub(crate) force: bool,
    /// Delete the one ServiceAccount that is named and make it again as it was: that ends every token of it, bound ones too; its workloads are restarted
    #[arg(long, conflicts_with = "replace")]
    pub(crate) recreate_service_account: bool,
    /// Restart nobody who runs with the ServiceAccount
    #[arg(long, requires = "recreate_service_account")]
    pub(crate) leave_stale: bool,
    /// For this incident (id or its beginning); while it is fresh it lets a plan through without approvals, which is noted
    #[arg(long, value_name = "ID")]
    pub(crate) incident: Option<String>,
}

/// `verify`
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").args(["revoked", "copies"])))]
pub(crate) struct VerifyArgs {
    /// What was revoked: a login where its value lies still or again, and its issuer is asked whether it has it again
    #[arg(long)]
    pub(crate) revoked: bool,
    /// What is in use: each copy is read and logged in with, and the copies of a credential are compared
    #[arg(long, conflicts_with = "yes")]
    pub(crate) copies: bool,
    /// Only what this matches: a ref with globs, an id or its beginning, or terms such as `kind=password owner=payments`
    pub(crate) selector: Vec<String>,
    /// Revoke again what is back and whose policy says `re_revoke`
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `drill`
#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// In which backend; may be left out where only one can make decoys
    pub(crate) backend: Option<String>,
    /// Plant it without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `approve`
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The plan's hash or its beginning (8 digits or more)
    #[arg(required_unless_present = "new_key", value_name = "PLAN-HASH")]
    pub(crate) plan: Option<String>,
    /// Sign it with this private key
    #[arg(long, value_name = "FILE", required_unless_present_any = ["show", "new_key"])]
    pub(crate) key: Option<PathBuf>,
    /// Who approves, as [[approvers]] has it; wanted with --server, which alone knows whose keys are whose
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// How long the approval holds: `24h`, `30m`, `7d`
    #[arg(long, value_name = "AGE", default_value = "24h")]
    pub(crate) valid: String,
    /// Only show what would be approved, and who has
    #[arg(long, conflicts_with = "key")]
    pub(crate) show: bool,
    /// Make a key of one's own, and print what the configuration has to say of it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["plan", "key", "show"])]
    pub(crate) new_key: Option<PathBuf>,
}

/// `incident`
#[derive(Debug, Args)]
pub(crate) struct IncidentArgs {
    #[command(subcommand)]
    pub(crate) command: IncidentCommand,
}

/// What to do with incidents
#[derive(Debug, Subcommand)]
pub(crate) enum IncidentCommand {
    /// Open one
    Open {
        /// What to call it
        #[arg(long, value_name = "TEXT")]
        title: String,
        /// Since when somebody else could have had what leaked (RFC 3339)
        #[arg(long, value_name = "TIME")]
        exposed_at: Option<chrono::DateTime<chrono::Utc>>,
        /// Credentials that are concerned: a selector; may be given several times
        #[arg(long, value_name = "SELECTOR")]
        credential: Vec<String>,
    },
    /// What happened, what is left, what to do; without an id all of them
    Status {
        /// Its id or its beginning
        id: Option<String>,
    },
    /// Close one
    Close {
        /// Its id or its beginning
        id: String,
        /// What is to be said after the act
        #[arg(long, value_name = "TEXT")]
        note: String,
        /// Why it is closed although something is open
        #[arg(long, value_name = "REASON")]
        unresolved: Option<String>,
    },
}

/// `rollback`
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The rotation's id or its beginning; `list rotations` shows them
    pub(crate) rotation: String,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
    /// Why; it goes into the audit log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// `resolve`
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("decision").required(true)))]
pub(crate) struct ResolveArgs {
    /// The rotation's or revocation's id or its beginning
    pub(crate) rotation: String,
    /// Try again what failed: a stuck undo, or the step of a paused one
    #[arg(long, group = "decision")]
    pub(crate) retry: bool,
    /// Leave everything as it is and end it; refused while the sealed values may be the last ones
    #[arg(long, group = "decision")]
    pub(crate) close: bool,
    /// Why; it goes into the audit log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// `resume`
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// Only this one; a paused one goes on only when it is named
    pub(crate) rotation: Option<String>,
}

/// Reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportKind {
    /// Everything that is known, with coverage first
    Inventory,
    /// The rules that hold
    Findings,
    /// One incident: timeline, credentials, runbook
    Incident,
}

/// Formats of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// One file that opens anywhere
    Html,
    /// For spreadsheets
    Csv,
    /// For programs
    Json,
}

/// `report`
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Which
    #[arg(value_enum)]
    pub(crate) kind: ReportKind,
    /// Its format
    #[arg(long, value_enum, default_value_t = ReportFormat::Html)]
    pub(crate) format: ReportFormat,
    /// Where to write it; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Of which incident (id or its beginning); the newest one by default
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
}

/// `completion`
#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}
