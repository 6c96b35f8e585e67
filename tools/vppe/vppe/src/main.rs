// SPDX-License-Identifier: GPL-2.0-only
//! The command `vppe`.

use std::process::ExitCode;

use clap::Parser;
use vppe::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Run(options) => {
            env_logger::Builder::new()
                .filter_level(options.log)
                .parse_default_env()
                .init();
            vppe::run::run(&options)
        }
        Command::Bucket(options) => vppe::bucket::run(&options),
        Command::Ctl(options) => vppe::ctl::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vppe: {error:#}");
            ExitCode::FAILURE
        }
    }
}
