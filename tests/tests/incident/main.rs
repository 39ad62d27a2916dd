//! From a leaked string to an incident that is over: on the simulated estate of `claviger demo`, through the real binary.

mod approvals;
mod course;
mod drill;
mod receipts;
mod reprobe;
mod trace;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::binary;
use serde_json::Value;

/// What a command did.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn expect(self, code: i32) -> Result<Self> {
        ensure!(self.code == code, "exit {} instead of {code}\n{}\n{}", self.code, self.stdout, self.stderr);
        Ok(self)
    }

    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("{}\n{}", self.stdout, self.stderr))
    }

    /// Refused with this code, and with a hint.
    fn refused(self, exit: i32, code: &str) -> Result<Self> {
        let ran = self.expect(exit)?;
        ensure!(
            ran.stderr.contains(&format!("error[{code}]")) && ran.stderr.contains("hint"),
            "{}",
            ran.stderr
        );
        Ok(ran)
    }
}

/// A directory that `claviger demo` has made, and what lies in it.
struct Place {
    _home: tempfile::TempDir,
    dir: PathBuf,
}

impl Place {
    fn new() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let dir = home.path().join("demo");
        let place = Self { _home: home, dir };
        let made = place.run_in(place._home.path(), "root", &["demo", "--dir", "demo"], None)?;
        made.expect(0)?;
        Ok(place)
    }

    fn run_in(&self, dir: &Path, user: &str, arguments: &[&str], input: Option<&[u8]>) -> Result<Ran> {
        let mut command = binary::command(dir)?;
        // Whoever has made a key acts with it; the others are the account that runs the test, whatever `USER` says.
        let key = self.dir.join(format!("{user}.key"));
        if key.exists() && user != account()? {
            command.env("CLAVIGER_OPERATOR__KEY", key);
        }
        command.args(arguments).env("USER", user).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn()?;
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(input)?;
        }
        let output = child.wait_with_output()?;
        Ok(Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn run(&self, arguments: &[&str]) -> Result<Ran> {
        self.run_in(&self.dir, "root", arguments, None)
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        self.run(&[arguments, &["-o", "json"]].concat())?.expect(0)?.json()
    }

    fn estate(&self) -> Result<Value> {
        Ok(serde_json::from_str(&fs::read_to_string(self.dir.join("estate.json"))?)?)
    }

    /// Adds to the configuration.
    fn configure(&self, text: &str) -> Result<()> {
        let file = self.dir.join("claviger.toml");
        let before = fs::read_to_string(&file)?;
        Ok(fs::write(&file, format!("{before}\n{text}\n"))?)
    }

    /// Puts a section before the demo's own policies, so that it is the first that matches.
    fn policy(&self, text: &str) -> Result<()> {
        let file = self.dir.join("claviger.toml");
        let before = fs::read_to_string(&file)?;
        Ok(fs::write(
            &file,
            before.replace("[policies.databases]", &format!("{text}\n[policies.databases]")),
        )?)
    }

    /// Writes a file beside the configuration.
    fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.dir.join(name);
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    }
}

/// The account that runs the test.
fn account() -> Result<String> {
    let output = std::process::Command::new("id").arg("-un").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().with_context(|| format!("no text: {value}"))?.to_owned())
}
