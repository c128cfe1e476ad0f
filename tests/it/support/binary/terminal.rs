//! A terminal for the program to be run at, and somebody who types.

use std::{
    fs::File,
    io::{self, Read, Write},
    process::Stdio,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{tcgetwinsize, tcsetwinsize},
};

/// A pseudo-terminal, from the side of who sits at it.
pub struct Terminal {
    ours: File,
    path: String,
}

impl Terminal {
    /// A new one.
    pub fn open() -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let path = ptsname(&ours, Vec::new()).unwrap();
        Self {
            ours: File::from(ours),
            path: path.into_string().unwrap(),
        }
    }

    /// Gives it so many columns.
    pub fn resize(&self, columns: u16) {
        let mut size = tcgetwinsize(&self.ours).unwrap();
        size.ws_col = columns;
        tcsetwinsize(&self.ours, size).unwrap();
    }

    /// The program's side.
    pub fn side(&self) -> Stdio {
        let side = File::options().read(true).write(true).open(&self.path);
        side.unwrap().into()
    }

    /// What it shows, until nobody is on the program's side any more.
    pub fn shown(&self) -> impl Read + Send + 'static {
        Shown(self.ours.try_clone().unwrap())
    }
}

impl Write for Terminal {
    fn write(&mut self, typed: &[u8]) -> io::Result<usize> {
        self.ours.write(typed)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.ours.flush()
    }
}

struct Shown(File);

impl Read for Shown {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            // How Linux says that nobody is there any more.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                Ok(0)
            }
            read => read,
        }
    }
}
