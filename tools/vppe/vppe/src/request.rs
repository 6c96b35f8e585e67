// SPDX-License-Identifier: GPL-2.0-only
//! The requests that the control socket answers, as JSON and as words of `vppe ctl`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Subcommand};
use serde::{Deserialize, Serialize};
use vppe_model::Faults;

/// A request to a running vppe.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Print the statistics.
    Stats,
    /// Print the bound entries.
    Entries,
    /// Switch a fault on or off.
    Fault {
        /// Name of the fault.
        #[arg(value_parser = PossibleValuesParser::new(Faults::NAMES))]
        name: String,
        /// Switch the fault on or off.
        #[arg(value_name = "SWITCH", action = ArgAction::Set, value_parser = switch())]
        on: bool,
        /// For lost-writes the number of writes to lose, for dead the number of the first
        /// access without an answer.
        #[arg(default_value_t = 1)]
        #[serde(default = "one")]
        count: u32,
    },
    /// Write a word of a PPE's table in memory.
    Poke {
        /// Number of the PPE.
        ppe: usize,
        /// Index of the entry.
        index: u32,
        /// Number of the word in the entry.
        word: u32,
        /// Value to write.
        value: u32,
    },
    /// Write any words into the tables and counters, as a broken engine might.
    Scribble {
        /// Seed that chooses places and values.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Number of words for each PPE.
        #[arg(long, default_value_t = 64)]
        words: u32,
    },
    /// Set the statistics to 0.
    ResetStats,
    /// Bring the chip to its state after power-up, without telling its driver.
    Reset,
}

fn switch() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["on", "off"]).map(|word| word == "on")
}

fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::{json, Value};

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        request: Request,
    }

    fn words(line: &str) -> Option<Value> {
        let line = Line::try_parse_from(std::iter::once("ctl").chain(line.split(' '))).ok()?;
        Some(serde_json::to_value(line.request).unwrap())
    }

    #[test]
    fn words_become_json_and_json_is_understood() {
        for (line, json) in [
            ("stats", json!({"cmd": "stats"})),
            ("entries", json!({"cmd": "entries"})),
            ("reset-stats", json!({"cmd": "reset-stats"})),
            ("reset", json!({"cmd": "reset"})),
            (
                "fault dead on",
                json!({"cmd": "fault", "name": "dead", "on": true, "count": 1}),
            ),
            (
                "fault lost-writes off 7",
                json!({"cmd": "fault", "name": "lost-writes", "on": false, "count": 7}),
            ),
            (
                "poke 1 2 3 4",
                json!({"cmd": "poke", "ppe": 1, "index": 2, "word": 3, "value": 4}),
            ),
            (
                "scribble --seed 5",
                json!({"cmd": "scribble", "seed": 5, "words": 64}),
            ),
        ] {
            assert_eq!(words(line), Some(json.clone()), "{line}");
            let request: Request = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(serde_json::to_value(request).unwrap(), json, "{line}");
        }
        for line in ["fault no-such on", "fault dead maybe", "poke 1 2 3", "tea"] {
            assert_eq!(words(line), None, "{line}");
        }
    }
}
