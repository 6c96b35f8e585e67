// SPDX-License-Identifier: GPL-2.0-only
//! The scheduling priority of the program.

use rustix::io::Result;
use rustix::process::{getpriority_process, setpriority_process};

/// Gives the calling thread this nice value unless it has a better one; returns whether the
/// value changed.
///
/// Threads that the calling thread starts later inherit the value.
pub fn raise(nice: i32) -> Result<bool> {
    if getpriority_process(None)? <= nice {
        return Ok(false);
    }
    setpriority_process(None, nice)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_for_the_worse() {
        std::thread::spawn(|| {
            setpriority_process(None, 7).unwrap();
            assert_eq!(raise(9), Ok(false));
            assert_eq!(raise(7), Ok(false));
            assert_eq!(getpriority_process(None), Ok(7));
            // The test may run with or without the privilege.
            let now = if raise(3) == Ok(true) { 3 } else { 7 };
            assert_eq!(getpriority_process(None), Ok(now));
        })
        .join()
        .unwrap();
    }
}
