// SPDX-License-Identifier: GPL-2.0-only
//! Listening Unix sockets whose files vanish with them.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

/// Removes a socket's file when dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed the file already.
        let _ = fs::remove_file(&self.0);
    }
}

/// Listens at `path`.
///
/// Replaces the socket file of a program that has ended. A socket at which a program listens,
/// or a file of another kind, is an error.
pub fn listen(path: &Path) -> Result<(UnixListener, SocketFile)> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            bail!("{shown} exists and is not a socket: choose another path")
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => bail!("{shown}: somebody listens there already (another vppe?)"),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                fs::remove_file(path).with_context(|| format!("cannot remove {shown}"))?;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot use {shown}")),
        },
        Err(_) => (),
    }
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot make the socket {shown}"))?;
    Ok((listener, SocketFile(path.to_path_buf())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_sockets_are_replaced_and_live_ones_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a killed program leaves the file");
        let (listener, file) = listen(&path).unwrap();
        let refused = listen(&path).unwrap_err().to_string();
        assert!(refused.contains("listens there already"), "{refused}");
        drop((listener, file));
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        assert!(listen(&path).is_err());
        assert!(path.exists());
    }
}
