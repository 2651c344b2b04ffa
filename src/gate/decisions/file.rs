//! The file: for its owner only, put aside when it has grown, and never begun in the middle of a line.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::DecisionSettings;

/// The file that is being written, and where the older ones go.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    max_size: u64,
    keep: u32,
    file: File,
    size: u64,
    /// The last write ended somewhere in a line.
    is_torn: bool,
}

impl LogFile {
    /// Opens the file to go on where it ends.
    pub(super) fn open(settings: &DecisionSettings) -> io::Result<Self> {
        let (file, size, is_torn) = open(&settings.file)?;
        Ok(Self {
            path: settings.file.clone(),
            max_size: settings.max_size,
            keep: settings.keep,
            file,
            size,
            is_torn,
        })
    }

    /// Writes whole lines.
    ///
    /// # Errors
    /// When they could not all be written; what was begun is ended by the next write.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + lines.len() as u64 > self.max_size {
            self.put_aside()?;
        }
        if self.is_torn {
            self.file.write_all(b"\n")?;
            self.size += 1;
            self.is_torn = false;
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(self.torn(lines, rest, io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.size += count as u64;
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.torn(lines, rest, error)),
            }
        }
        Ok(())
    }

    fn torn(&mut self, lines: &[u8], rest: &[u8], error: io::Error) -> io::Error {
        let written = &lines[..lines.len() - rest.len()];
        self.is_torn = written.last().is_some_and(|octet| *octet != b'\n');
        error
    }

    /// Has the disk keep what was written.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// `decisions.log` becomes `decisions.log.1`, that `.2`, and the last one goes.
    fn put_aside(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        let aside = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        if self.keep == 0 {
            fs::remove_file(&self.path)?;
        }
        for number in (1..=self.keep).rev() {
            let from = if number == 1 {
                self.path.clone()
            } else {
                aside(number - 1)
            };
            match fs::rename(&from, aside(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        (self.file, self.size, self.is_torn) = open(&self.path)?;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(File, u64, bool)> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let size = file.seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    if size > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    Ok((file, size, last != [b'\n']))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::MetadataExt, time::Duration};

    use super::*;

    fn settings(directory: &Path, max_size: u64, keep: u32) -> DecisionSettings {
        DecisionSettings {
            file: directory.join("decisions.log"),
            max_size,
            keep,
            sync: Duration::from_secs(1),
        }
    }

    fn read(directory: &Path, name: &str) -> Option<String> {
        fs::read_to_string(directory.join(name)).ok()
    }

    #[test]
    fn a_file_that_has_grown_is_put_aside_and_the_oldest_goes() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let mut file = LogFile::open(&settings(path, 8, 2)).expect("opened");
        for line in ["one-1\n", "two-2\n", "three\n", "four4\n"] {
            file.write(line.as_bytes()).expect("written");
        }
        assert_eq!(read(path, "decisions.log").as_deref(), Some("four4\n"));
        assert_eq!(read(path, "decisions.log.1").as_deref(), Some("three\n"));
        assert_eq!(read(path, "decisions.log.2").as_deref(), Some("two-2\n"));
        assert_eq!(read(path, "decisions.log.3"), None);
        for name in ["decisions.log", "decisions.log.1"] {
            let mode = fs::metadata(path.join(name)).expect("a file").mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        // More than a file may hold is still written whole.
        file.write(b"a line that is long\n").expect("written");
        assert_eq!(
            read(path, "decisions.log").as_deref(),
            Some("a line that is long\n")
        );
    }

    #[test]
    fn none_are_kept_when_none_are_wanted() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let mut file = LogFile::open(&settings(path, 4, 0)).expect("opened");
        file.write(b"one\n").expect("written");
        file.write(b"two\n").expect("written");
        assert_eq!(read(path, "decisions.log").as_deref(), Some("two\n"));
        assert_eq!(fs::read_dir(path).expect("a directory").count(), 1);
    }

    /// A crash in the middle of a line must not spoil the next one.
    #[test]
    fn a_torn_line_is_ended_before_the_next_one_begins() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        fs::write(path.join("decisions.log"), "{\"time\":\"20").expect("written");
        let mut file = LogFile::open(&settings(path, 1000, 2)).expect("opened");
        file.write(b"{}\n").expect("written");
        file.write(b"{}\n").expect("written");
        assert_eq!(
            read(path, "decisions.log").as_deref(),
            Some("{\"time\":\"20\n{}\n{}\n")
        );
    }
}
