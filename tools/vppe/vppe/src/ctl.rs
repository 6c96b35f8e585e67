// SPDX-License-Identifier: GPL-2.0-only
//! `vppe ctl`: the client of the control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use anyhow::{bail, Context, Result};
use serde_json::Value;

use crate::cli::CtlOptions;

/// Sends the request to a running vppe and prints the answer.
pub fn run(options: &CtlOptions) -> Result<()> {
    let path = options.control.display();
    let mut stream = UnixStream::connect(&options.control)
        .with_context(|| format!("cannot connect to {path} (does vppe run?)"))?;
    let mut request = serde_json::to_vec(&options.request)?;
    request.push(b'\n');
    stream.write_all(&request)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let answer: Value =
        serde_json::from_str(&line).with_context(|| format!("{path} gave no answer"))?;
    if let Some(error) = answer.get("error") {
        bail!("{}", error.as_str().unwrap_or("unknown error"));
    }
    println!("{}", serde_json::to_string_pretty(&answer)?);
    Ok(())
}
