//! What the system is told so that no value leaves the process by another way than the program's own.

/// Makes the process one that is not dumped and not looked into: no core dump holds its memory, and no other process of the same account attaches to
/// it (`PR_SET_DUMPABLE`, prctl(2)). Not inherited by programs that it runs. On another system than Linux nothing happens.
///
/// Its files in `/proc` belong to root from then on: who we are is asked of the kernel, never of them.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn memory() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
