// SPDX-License-Identifier: GPL-2.0-only
//! Fuzz targets: each is a function of any bytes, which panics if what is tested does
//! something that it must not, whatever the bytes are.
//!
//! `make fuzz` has libFuzzer look for such bytes. What it found worth keeping is in
//! `corpus/`, which a test of this crate runs through.

mod bytes;
mod rules;

pub mod bridge;
pub mod model;
pub mod rule;
pub mod table;

/// A program that runs a target: libFuzzer's, or one that reads the files it is given.
#[macro_export]
macro_rules! target {
    ($run:path) => {
        /// Called by libFuzzer with bytes of its choice.
        #[cfg(fuzzing)]
        #[no_mangle]
        pub extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, len: usize) -> i32 {
            // SAFETY: libFuzzer gives as many bytes as it says, for the call; of none there
            // may be no pointer.
            let data = match len {
                0 => &[][..],
                _ => unsafe { core::slice::from_raw_parts(data, len) },
            };
            $run(data);
            0
        }

        #[cfg(not(fuzzing))]
        fn main() {
            let mut any = false;
            for name in std::env::args_os().skip(1) {
                any = true;
                match std::fs::read(&name) {
                    Ok(data) => $run(&data),
                    Err(error) => panic!("{}: {error}", name.to_string_lossy()),
                }
            }
            assert!(any, "name the files whose bytes are to be tried");
        }
    };
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    fn replay(target: &str, run: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(target);
        let mut files = 0;
        for file in fs::read_dir(&folder).expect("there is a corpus") {
            let file = file.expect("it can be listed").path();
            println!("{}", file.display());
            run(&fs::read(file).expect("it can be read"));
            files += 1;
        }
        assert!(files > 0, "{} is empty", folder.display());
    }

    #[test]
    fn rule() {
        replay("rule", crate::rule::run);
    }

    #[test]
    fn table() {
        replay("table", crate::table::run);
    }

    #[test]
    fn bridge() {
        replay("bridge", crate::bridge::run);
    }

    #[test]
    fn model() {
        replay("model", crate::model::run);
    }
}
