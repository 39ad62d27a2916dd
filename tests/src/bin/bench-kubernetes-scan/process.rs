//! A process, and what it cost.

use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// How often its memory is looked at. The kernel keeps the peak itself: only a peak of the very last moments is missed.
const SAMPLING: Duration = Duration::from_millis(10);
/// Clock ticks a second in `/proc/PID/stat`: `USER_HZ`, 100 on every Linux that Rust's standard library runs on.
const TICKS: u64 = 100;

/// A process that ended.
pub(crate) struct Run {
    pub(crate) wall: Duration,
    /// In user mode.
    pub(crate) user: Duration,
    /// In the kernel on its behalf.
    pub(crate) system: Duration,
    /// `VmHWM`, in bytes: what of the program's file is in memory counts as well.
    pub(crate) peak_rss: u64,
    /// The most of `RssAnon`, in bytes, at 10 ms intervals: without files.
    pub(crate) peak_anonymous: u64,
    pub(crate) status: ExitStatus,
    /// Its stdout where it was asked for.
    pub(crate) output: Vec<u8>,
    /// How much it wrote to stdout.
    pub(crate) output_bytes: u64,
}

/// Runs it to its end. Its stderr goes to the file `errors`; its stdout is read, and kept if `keep`.
pub(crate) fn run(mut command: Command, errors: &Path, keep: bool) -> Result<Run> {
    let errors = File::create(errors).with_context(|| format!("{}", errors.display()))?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
    let begun = Instant::now();
    let mut child = command.spawn().with_context(|| format!("start {}", command.get_program().display()))?;
    let pid = child.id();
    let mut stdout = child.stdout.take().context("its stdout")?;
    let ended = AtomicBool::new(false);
    let (read, (peak_rss, peak_anonymous), wall) = std::thread::scope(|scope| {
        let sampler = scope.spawn(|| sample(pid, &ended));
        let read = drain(&mut stdout, keep);
        // Not reaped yet, so that its times can still be read.
        while !is_zombie(pid) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let wall = begun.elapsed();
        ended.store(true, Ordering::Relaxed);
        (read, sampler.join().unwrap_or_default(), wall)
    });
    let (user, system) = times(pid).unwrap_or_default();
    let status = child.wait()?;
    let (output, output_bytes) = read?;
    Ok(Run { wall, user, system, peak_rss, peak_anonymous, status, output, output_bytes })
}

fn drain(stdout: &mut impl std::io::Read, keep: bool) -> Result<(Vec<u8>, u64)> {
    let mut kept = Vec::new();
    if keep {
        let bytes = stdout.read_to_end(&mut kept)?;
        return Ok((kept, bytes as u64));
    }
    let mut buffer = vec![0_u8; 1 << 16];
    let mut bytes = 0;
    loop {
        match stdout.read(&mut buffer)? {
            0 => return Ok((kept, bytes)),
            more => bytes += more as u64,
        }
    }
}

/// The peaks, until it ends.
fn sample(pid: u32, ended: &AtomicBool) -> (u64, u64) {
    let (mut peak, mut anonymous) = (0, 0);
    while !ended.load(Ordering::Relaxed) {
        if let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) {
            peak = peak.max(kibibytes(&status, "VmHWM:") << 10);
            anonymous = anonymous.max(kibibytes(&status, "RssAnon:") << 10);
        }
        std::thread::sleep(SAMPLING);
    }
    (peak, anonymous)
}

fn kibibytes(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// The fields of `/proc/PID/stat` after the name, which may hold anything; the first is the state (proc(5), field 3).
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn is_zombie(pid: u32) -> bool {
    stat(pid).is_none_or(|fields| matches!(fields.first().map(String::as_str), Some("Z" | "X")))
}

/// User and system time of all its threads (proc(5), fields 14 and 15).
fn times(pid: u32) -> Option<(Duration, Duration)> {
    let fields = stat(pid)?;
    let ticks = |index: usize| {
        let ticks: u64 = fields.get(index)?.parse().ok()?;
        Some(Duration::from_millis(ticks * 1000 / TICKS))
    };
    Some((ticks(11)?, ticks(12)?))
}
